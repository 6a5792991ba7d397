-- What ends is counted on its last day too: a stock's -1 stands on the day after. The facts of before, and what took them
-- back, move there. Of a stock, what is negative and reverses nothing is an end; what is positive and reverses is an end
-- taken back.
UPDATE service_facts SET fact_date = fact_date + 1
WHERE measure IN ('stations', 'volunteer_team', 'volunteer') AND (amount < 0) = (reverses IS NULL);

-- A team or a volunteer recorded by mistake is void: kept with the reason, counted nowhere, its identity number free again.
ALTER TABLE volunteer_teams
    ADD COLUMN state       text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT volunteer_teams_state_known CHECK (state IN ('ACTIVE', 'VOID')),
    ADD COLUMN void_reason text NOT NULL DEFAULT '';
ALTER TABLE volunteers
    ADD COLUMN state       text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT volunteers_state_known CHECK (state IN ('ACTIVE', 'VOID')),
    ADD COLUMN void_reason text NOT NULL DEFAULT '';
CREATE INDEX volunteers_identity ON volunteers (identity_number) WHERE identity_number IS NOT NULL;
DROP INDEX volunteers_identity_number_key;
CREATE UNIQUE INDEX volunteers_identity_number_key ON volunteers (identity_number) WHERE withdrawn_date IS NULL AND state = 'ACTIVE';

-- A worker may become head long after the start of service: the first day in the present position, NULL for the start.
ALTER TABLE staff ADD COLUMN position_since date;

-- The teams in which a volunteer was before the present one, so that a change of team leaves the figures of the months before
-- it as they were. The present one is in the volunteer's own row: since a day, NULL for that of registration, as it is of all
-- who are registered by now, and of those whom services of the release before register.
ALTER TABLE volunteers ADD COLUMN team_since date;
CREATE TABLE volunteer_memberships (
    volunteer_id uuid NOT NULL REFERENCES volunteers,
    team_id      uuid NOT NULL REFERENCES volunteer_teams,
    station_id   uuid NOT NULL REFERENCES stations,
    first_day    date NOT NULL,
    last_day     date NOT NULL CONSTRAINT volunteer_memberships_last_after_first CHECK (last_day >= first_day),
    PRIMARY KEY (volunteer_id, first_day)
);
CREATE INDEX volunteer_memberships_team ON volunteer_memberships (team_id);

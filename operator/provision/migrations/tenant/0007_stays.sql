-- Where households and residents belonged before they moved. Visits and needs are often brought in days later; what was done
-- for those who have moved meanwhile still counts for the station that did it. last_date is the day of the move, the last one
-- of the stay.
CREATE TABLE household_stays (
    household_id uuid NOT NULL REFERENCES households,
    station_id   uuid NOT NULL REFERENCES stations,
    last_date    date NOT NULL,
    PRIMARY KEY (household_id, station_id, last_date)
);

CREATE TABLE resident_stays (
    resident_id  uuid NOT NULL REFERENCES residents,
    household_id uuid NOT NULL REFERENCES households,
    last_date    date NOT NULL,
    PRIMARY KEY (resident_id, household_id, last_date)
);

-- The follow-ups of a visit, which keep it from being taken back.
CREATE INDEX visits_follow_up_of ON visits (follow_up_of) WHERE follow_up_of IS NOT NULL;

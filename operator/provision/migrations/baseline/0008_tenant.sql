-- The schema of one tenant as its migrations 1 to 8 leave it, in one piece: new tenants begin here, which is a tenth
-- cheaper than going through all of them, and whoever wants to know what the tables are reads here. A test holds both ways
-- to the same catalogs.
--
-- It runs with the search_path set to the tenant's schema, so names are unqualified; every statement of the services is
-- schema-qualified. Ids are UUIDv7. Dates are Asia/Shanghai calendar days.
-- Codes (domain, tier, category …) come from the tenant's standards pack and are checked by the services.

-- Authorization -----------------------------------------------------------------------------------------------------
CREATE TABLE stations (
    id            uuid PRIMARY KEY,
    division_code text NOT NULL CONSTRAINT stations_division_code_format CHECK (division_code ~ '^[0-9]{9}$'),
    display_name  text NOT NULL,
    address       text NOT NULL DEFAULT '',
    phone         text NOT NULL DEFAULT '',
    opened_date   date NOT NULL,
    closed_date   date CONSTRAINT stations_closed_after_opened CHECK (closed_date >= opened_date),
    revision      integer NOT NULL DEFAULT 1,
    created_by    text NOT NULL,
    create_time   timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX stations_division_code_key ON stations (division_code) WHERE closed_date IS NULL;

CREATE TABLE roles (
    name     text PRIMARY KEY,
    title_zh text NOT NULL,
    title_en text NOT NULL,
    standard boolean NOT NULL DEFAULT false,
    revision integer NOT NULL DEFAULT 1
);

CREATE TABLE role_rules (
    role     text NOT NULL REFERENCES roles ON DELETE CASCADE,
    resource text NOT NULL,
    action   text NOT NULL,
    level    text NOT NULL CONSTRAINT role_rules_level_known CHECK (level IN ('aggregate', 'own', 'station', 'tenant')),
    PRIMARY KEY (role, resource, action)
);

CREATE TABLE role_grants (
    id         uuid PRIMARY KEY,
    subject    text NOT NULL,
    role       text NOT NULL REFERENCES roles,
    station_id uuid REFERENCES stations,
    expires_at timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX role_grants_once ON role_grants (subject, role, station_id) NULLS NOT DISTINCT;

-- One row; every change of roles, rules and grants moves it and tells the services, which drop their snapshot.
CREATE TABLE policy_version (
    single  boolean PRIMARY KEY DEFAULT true CHECK (single),
    version bigint NOT NULL
);
INSERT INTO policy_version (version) VALUES (1);

-- The policy's version is told to the control schema too, where one query reads it of all tenants, beside the replicas of
-- the services that have acknowledged it. The function runs as the owner of both schemas; it writes one row, that of the
-- schema whose table was changed, and only once the control schema knows the tenant. A policy is written after that, so
-- none is left out.
CREATE FUNCTION bump_policy_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v bigint;
BEGIN
    -- No number is told twice, even if the schema was restored from a dump older than what was told.
    UPDATE policy_version SET version = 1 + greatest(version,
        (SELECT told.version FROM circle15.policy_versions told WHERE told.schema_name = TG_TABLE_SCHEMA))
    RETURNING version INTO v;
    INSERT INTO circle15.policy_versions (schema_name, version)
    SELECT t.schema_name, v FROM circle15.tenants t WHERE t.schema_name = TG_TABLE_SCHEMA
    ON CONFLICT (schema_name) DO UPDATE SET version = excluded.version;
    PERFORM pg_catalog.pg_notify('circle15_policy', TG_TABLE_SCHEMA || ':' || v);
    RETURN NULL;
END $$;
CREATE TRIGGER roles_bump AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON roles
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE TRIGGER role_rules_bump AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON role_rules
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE TRIGGER role_grants_bump AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON role_grants
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();

-- Writes ------------------------------------------------------------------------------------------------------------
CREATE TABLE idempotency_keys (
    subject      text NOT NULL,
    key          text NOT NULL,
    method       text NOT NULL,
    request_hash bytea NOT NULL,
    response     bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Who did what, when, with what outcome (PIPL 51, 55; MLPS). Append-only for the tenant's role.
CREATE TABLE audit_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    subject     text NOT NULL,
    method      text NOT NULL,
    resource_id text NOT NULL,
    outcome     text NOT NULL,
    trace_id    text NOT NULL DEFAULT ''
);
-- The audit trail is read newest first, all of it or that of one subject or record, and often of a period. Each index gives
-- one of these in its order, so that a page costs the rows on it, however long the trail is.
CREATE INDEX audit_events_time ON audit_events (at, id);
CREATE INDEX audit_events_subject ON audit_events (subject, at, id);
CREATE INDEX audit_events_resource ON audit_events (resource_id, at, id);

-- Registry ----------------------------------------------------------------------------------------------------------
CREATE TABLE staff (
    id             uuid PRIMARY KEY,
    station_id     uuid NOT NULL REFERENCES stations,
    name           text NOT NULL,
    position       text NOT NULL CONSTRAINT staff_position_known CHECK (position IN ('HEAD', 'SOCIAL_WORKER', 'VOLUNTEER_COORDINATOR')),
    subject        text,
    phone          text NOT NULL DEFAULT '',
    start_date     date NOT NULL,
    end_date       date CONSTRAINT staff_end_after_start CHECK (end_date >= start_date),
    revision       integer NOT NULL DEFAULT 1,
    created_by     text NOT NULL,
    create_time    timestamptz NOT NULL DEFAULT now(),
    update_time    timestamptz NOT NULL DEFAULT now(),
    position_since date -- in the present position; NULL: since the start of service
);
CREATE INDEX staff_station ON staff (station_id, id);
CREATE UNIQUE INDEX staff_one_head ON staff (station_id) WHERE position = 'HEAD' AND end_date IS NULL;
CREATE INDEX staff_subject ON staff (subject);

CREATE TABLE communities (
    id            uuid PRIMARY KEY,
    station_id    uuid NOT NULL REFERENCES stations,
    division_code text NOT NULL CONSTRAINT communities_division_code_format CHECK (division_code ~ '^[0-9]{12}$'),
    display_name  text NOT NULL,
    revision      integer NOT NULL DEFAULT 1,
    created_by    text NOT NULL,
    create_time   timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX communities_station ON communities (station_id, id);
CREATE UNIQUE INDEX communities_division_code_key ON communities (division_code);

CREATE TABLE households (
    id           uuid PRIMARY KEY,
    station_id   uuid NOT NULL REFERENCES stations,
    community_id uuid NOT NULL REFERENCES communities,
    head_name    text NOT NULL,
    address      text NOT NULL,
    phone        text NOT NULL DEFAULT '',
    note         text NOT NULL DEFAULT '',
    revision     integer NOT NULL DEFAULT 1,
    created_by   text NOT NULL,
    create_time  timestamptz NOT NULL DEFAULT now(),
    update_time  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX households_station ON households (station_id, id);
CREATE INDEX households_community ON households (community_id);

CREATE TABLE residents (
    id                    uuid PRIMARY KEY,
    station_id            uuid NOT NULL REFERENCES stations,
    household_id          uuid NOT NULL REFERENCES households,
    name                  text NOT NULL,
    sex                   text NOT NULL CONSTRAINT residents_sex_known CHECK (sex IN ('FEMALE', 'MALE')),
    birth_date            date NOT NULL,
    identity_number       text CONSTRAINT residents_identity_number_format CHECK (identity_number ~ '^[0-9]{17}[0-9X]$'),
    no_identity_reason    text NOT NULL DEFAULT '',
    phone                 text NOT NULL DEFAULT '',
    assistance_tier       text NOT NULL DEFAULT '',
    registered            boolean NOT NULL,
    categories            text[] NOT NULL DEFAULT '{}',
    disability_type       text NOT NULL DEFAULT '',
    disability_degree     integer NOT NULL DEFAULT 0 CONSTRAINT residents_disability_degree_range CHECK (disability_degree BETWEEN 0 AND 4),
    guardian_resident_id  uuid REFERENCES residents,
    guardian_name         text NOT NULL DEFAULT '',
    guardian_relationship text NOT NULL DEFAULT '',
    guardian_phone        text NOT NULL DEFAULT '',
    legal_basis           text NOT NULL CONSTRAINT residents_legal_basis_known
                          CHECK (legal_basis IN ('CONSENT', 'GUARDIAN_CONSENT', 'STATUTORY_DUTY')),
    legal_basis_reference text NOT NULL DEFAULT '',
    legal_basis_date      date NOT NULL,
    revision              integer NOT NULL DEFAULT 1,
    created_by            text NOT NULL,
    create_time           timestamptz NOT NULL DEFAULT now(),
    update_time           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT residents_identity_or_reason CHECK (identity_number IS NOT NULL OR no_identity_reason <> '')
);
CREATE INDEX residents_station ON residents (station_id, id);
CREATE INDEX residents_household ON residents (household_id);
CREATE UNIQUE INDEX residents_identity_number_key ON residents (identity_number);

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

CREATE TABLE volunteer_teams (
    id             uuid PRIMARY KEY,
    station_id     uuid NOT NULL REFERENCES stations,
    display_name   text NOT NULL,
    domain         text NOT NULL DEFAULT '',
    founded_date   date NOT NULL,
    dissolved_date date CONSTRAINT volunteer_teams_dissolved_after_founded CHECK (dissolved_date >= founded_date),
    revision       integer NOT NULL DEFAULT 1,
    created_by     text NOT NULL,
    create_time    timestamptz NOT NULL DEFAULT now(),
    update_time    timestamptz NOT NULL DEFAULT now(),
    state          text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT volunteer_teams_state_known CHECK (state IN ('ACTIVE', 'VOID')),
    void_reason    text NOT NULL DEFAULT ''
);
CREATE INDEX volunteer_teams_station ON volunteer_teams (station_id, id);

CREATE TABLE volunteers (
    id              uuid PRIMARY KEY,
    station_id      uuid NOT NULL REFERENCES stations,
    team_id         uuid NOT NULL REFERENCES volunteer_teams,
    name            text NOT NULL,
    identity_number text CONSTRAINT volunteers_identity_number_format CHECK (identity_number ~ '^[0-9]{17}[0-9X]$'),
    phone           text NOT NULL DEFAULT '',
    skills          text[] NOT NULL DEFAULT '{}',
    registered_date date NOT NULL,
    withdrawn_date  date CONSTRAINT volunteers_withdrawn_after_registered CHECK (withdrawn_date >= registered_date),
    revision        integer NOT NULL DEFAULT 1,
    created_by      text NOT NULL,
    create_time     timestamptz NOT NULL DEFAULT now(),
    update_time     timestamptz NOT NULL DEFAULT now(),
    state           text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT volunteers_state_known CHECK (state IN ('ACTIVE', 'VOID')),
    void_reason     text NOT NULL DEFAULT '',
    team_since      date -- in the present team; NULL: since registration
);
CREATE INDEX volunteers_station ON volunteers (station_id, id);
CREATE INDEX volunteers_team ON volunteers (team_id);
CREATE INDEX volunteers_identity ON volunteers (identity_number) WHERE identity_number IS NOT NULL;
CREATE UNIQUE INDEX volunteers_identity_number_key ON volunteers (identity_number) WHERE withdrawn_date IS NULL AND state = 'ACTIVE';

-- The teams in which a volunteer was before the present one, so that a change of team leaves the figures of the months before
-- it as they were. The present one is in the volunteer's own row.
CREATE TABLE volunteer_memberships (
    volunteer_id uuid NOT NULL REFERENCES volunteers,
    team_id      uuid NOT NULL REFERENCES volunteer_teams,
    station_id   uuid NOT NULL REFERENCES stations,
    first_day    date NOT NULL,
    last_day     date NOT NULL CONSTRAINT volunteer_memberships_last_after_first CHECK (last_day >= first_day),
    PRIMARY KEY (volunteer_id, first_day)
);
CREATE INDEX volunteer_memberships_team ON volunteer_memberships (team_id);

-- Casework (MZ/T 094-2017) --------------------------------------------------------------------------------------------
CREATE TABLE cases (
    id                 uuid PRIMARY KEY,
    station_id         uuid NOT NULL REFERENCES stations,
    household_id       uuid NOT NULL REFERENCES households,
    resident_id        uuid NOT NULL REFERENCES residents,
    staff_id           uuid NOT NULL REFERENCES staff,
    domain             text NOT NULL,
    title              text NOT NULL,
    presenting_problem text NOT NULL,
    stage              text NOT NULL CONSTRAINT cases_stage_known CHECK
                       (stage IN ('INTAKE', 'ASSESSMENT', 'PLANNING', 'INTERVENTION', 'EVALUATION', 'CLOSURE', 'VOID')),
    assessment         text NOT NULL DEFAULT '',
    goals              text NOT NULL DEFAULT '',
    plan               text NOT NULL DEFAULT '',
    evaluation_summary text NOT NULL DEFAULT '',
    reflection         text NOT NULL DEFAULT '',
    goal_attainment    text NOT NULL DEFAULT '',
    evaluated_date     date,
    opened_date        date NOT NULL,
    closed_date        date CONSTRAINT cases_closed_after_opened CHECK (closed_date >= opened_date),
    closure_reason     text NOT NULL DEFAULT '',
    void_reason        text NOT NULL DEFAULT '',
    revision           integer NOT NULL DEFAULT 1,
    created_by         text NOT NULL,
    create_time        timestamptz NOT NULL DEFAULT now(),
    update_time        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cases_station ON cases (station_id, id);
CREATE INDEX cases_household ON cases (household_id);
CREATE INDEX cases_resident ON cases (resident_id);

-- Every move between stages, so that a case can be read step by step.
CREATE TABLE case_stage_changes (
    id          uuid PRIMARY KEY,
    case_id     uuid NOT NULL REFERENCES cases,
    from_stage  text NOT NULL,
    to_stage    text NOT NULL,
    change_date date NOT NULL,
    staff_id    uuid REFERENCES staff, -- none for a case that was taken back
    note        text NOT NULL DEFAULT '',
    reason      text NOT NULL DEFAULT '',
    created_by  text NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX case_stage_changes_case ON case_stage_changes (case_id, id);

-- A session (as of a group), a referral or a follow-up that was taken back stays readable, with the number that paper files
-- know it by; its void_reason is not empty.
CREATE TABLE case_sessions (
    id               uuid PRIMARY KEY,
    station_id       uuid NOT NULL REFERENCES stations,
    case_id          uuid NOT NULL REFERENCES cases,
    staff_id         uuid NOT NULL REFERENCES staff,
    number           integer NOT NULL,
    session_date     date NOT NULL,
    duration_minutes integer NOT NULL,
    persons_served   integer NOT NULL CONSTRAINT case_sessions_persons_served_positive CHECK (persons_served > 0),
    goals            text NOT NULL DEFAULT '',
    record           text NOT NULL,
    next_steps       text NOT NULL DEFAULT '',
    created_by       text NOT NULL,
    create_time      timestamptz NOT NULL DEFAULT now(),
    void_reason      text NOT NULL DEFAULT '',
    revision         integer NOT NULL DEFAULT 1,
    update_time      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (case_id, number)
);
CREATE INDEX case_sessions_case ON case_sessions (case_id, id);

CREATE TABLE referrals (
    id                 uuid PRIMARY KEY,
    station_id         uuid NOT NULL REFERENCES stations,
    case_id            uuid NOT NULL REFERENCES cases,
    staff_id           uuid NOT NULL REFERENCES staff,
    organization       text NOT NULL,
    reason             text NOT NULL,
    referral_date      date NOT NULL,
    state              text NOT NULL CONSTRAINT referrals_state_known CHECK (state IN ('SENT', 'ACCEPTED', 'DECLINED', 'COMPLETED', 'VOID')),
    outcome            text NOT NULL DEFAULT '',
    outcome_date       date CONSTRAINT referrals_outcome_after_referral CHECK (outcome_date >= referral_date),
    linked_value_fen   bigint NOT NULL DEFAULT 0 CONSTRAINT referrals_linked_value_not_negative CHECK (linked_value_fen >= 0),
    revision           integer NOT NULL DEFAULT 1,
    created_by         text NOT NULL,
    create_time        timestamptz NOT NULL DEFAULT now(),
    update_time        timestamptz NOT NULL DEFAULT now(),
    void_reason        text NOT NULL DEFAULT ''
);
CREATE INDEX referrals_case ON referrals (case_id, id);

-- Visits --------------------------------------------------------------------------------------------------------------
CREATE TABLE visits (
    id               uuid PRIMARY KEY,
    station_id       uuid NOT NULL REFERENCES stations,
    household_id     uuid NOT NULL REFERENCES households,
    staff_id         uuid NOT NULL REFERENCES staff,
    kind             text NOT NULL CONSTRAINT visits_kind_known CHECK (kind IN ('HOME', 'PHONE', 'STATION')),
    domain           text NOT NULL,
    state            text NOT NULL CONSTRAINT visits_state_known CHECK (state IN ('PLANNED', 'COMPLETED', 'CANCELLED', 'VOID')),
    purpose          text NOT NULL DEFAULT '',
    planned_date     date,
    visit_date       date,
    duration_minutes integer NOT NULL DEFAULT 0,
    persons_served   integer NOT NULL DEFAULT 0,
    resident_ids     uuid[] NOT NULL DEFAULT '{}',
    findings         text NOT NULL DEFAULT '',
    follow_up_of     uuid REFERENCES visits,
    case_id          uuid REFERENCES cases,
    reason           text NOT NULL DEFAULT '',
    revision         integer NOT NULL DEFAULT 1,
    created_by       text NOT NULL,
    create_time      timestamptz NOT NULL DEFAULT now(),
    update_time      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT visits_completed_has_date CHECK (state NOT IN ('COMPLETED', 'VOID') OR (visit_date IS NOT NULL AND persons_served > 0))
);
CREATE INDEX visits_station ON visits (station_id, id);
CREATE INDEX visits_household ON visits (household_id, id);
CREATE INDEX visits_case ON visits (case_id, id) WHERE case_id IS NOT NULL;
CREATE INDEX visits_planned ON visits (station_id, planned_date) WHERE state = 'PLANNED';
-- The follow-ups of a visit, which keep it from being taken back.
CREATE INDEX visits_follow_up_of ON visits (follow_up_of) WHERE follow_up_of IS NOT NULL;

-- Needs, files and follow-ups -----------------------------------------------------------------------------------------
CREATE TABLE needs (
    id            uuid PRIMARY KEY,
    station_id    uuid NOT NULL REFERENCES stations,
    household_id  uuid NOT NULL REFERENCES households,
    resident_id   uuid REFERENCES residents,
    staff_id      uuid NOT NULL REFERENCES staff,
    visit_id      uuid REFERENCES visits,
    domain        text NOT NULL,
    source        text NOT NULL,
    description   text NOT NULL,
    recorded_date date NOT NULL,
    state         text NOT NULL CONSTRAINT needs_state_known CHECK (state IN ('OPEN', 'MET', 'VOID')),
    met_date      date CONSTRAINT needs_met_after_recorded CHECK (met_date >= recorded_date),
    outcome       text NOT NULL DEFAULT '',
    void_reason   text NOT NULL DEFAULT '',
    reopen_reason text NOT NULL DEFAULT '',
    revision      integer NOT NULL DEFAULT 1,
    created_by    text NOT NULL,
    create_time   timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX needs_station ON needs (station_id, id);
CREATE INDEX needs_household ON needs (household_id);
CREATE INDEX needs_resident ON needs (resident_id);

CREATE TABLE service_files (
    id           uuid PRIMARY KEY,
    station_id   uuid NOT NULL REFERENCES stations,
    resident_id  uuid NOT NULL REFERENCES residents,
    household_id uuid NOT NULL REFERENCES households,
    staff_id     uuid NOT NULL REFERENCES staff,
    category     text NOT NULL,
    domain       text NOT NULL,
    summary      text NOT NULL DEFAULT '',
    built_date   date NOT NULL,
    state        text NOT NULL CONSTRAINT service_files_state_known CHECK (state IN ('ACTIVE', 'VOID')),
    void_reason  text NOT NULL DEFAULT '',
    revision     integer NOT NULL DEFAULT 1,
    created_by   text NOT NULL,
    create_time  timestamptz NOT NULL DEFAULT now(),
    update_time  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX service_files_station ON service_files (station_id, id);
CREATE UNIQUE INDEX service_files_one_active ON service_files (resident_id, category) WHERE state = 'ACTIVE';

CREATE TABLE case_needs (
    case_id uuid NOT NULL REFERENCES cases,
    need_id uuid NOT NULL REFERENCES needs,
    PRIMARY KEY (case_id, need_id)
);
CREATE INDEX case_needs_need ON case_needs (need_id);

CREATE TABLE case_follow_ups (
    id             uuid PRIMARY KEY,
    station_id     uuid NOT NULL REFERENCES stations,
    case_id        uuid NOT NULL REFERENCES cases,
    staff_id       uuid NOT NULL REFERENCES staff,
    visit_id       uuid REFERENCES visits,
    follow_up_date date NOT NULL,
    finding        text NOT NULL,
    next_steps     text NOT NULL DEFAULT '',
    created_by     text NOT NULL,
    create_time    timestamptz NOT NULL DEFAULT now(),
    void_reason    text NOT NULL DEFAULT '',
    revision       integer NOT NULL DEFAULT 1,
    update_time    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX case_follow_ups_case ON case_follow_ups (case_id, id);

-- Activities and group work (MZ/T 095-2017) ---------------------------------------------------------------------------
CREATE TABLE activities (
    id              uuid PRIMARY KEY,
    station_id      uuid NOT NULL REFERENCES stations,
    staff_id        uuid NOT NULL REFERENCES staff,
    title           text NOT NULL,
    domain          text NOT NULL,
    location        text NOT NULL DEFAULT '',
    state           text NOT NULL CONSTRAINT activities_state_known CHECK (state IN ('PLANNED', 'HELD', 'CANCELLED', 'VOID')),
    planned_date    date,
    held_date       date,
    attendee_count  integer NOT NULL DEFAULT 0,
    volunteer_ids   uuid[] NOT NULL DEFAULT '{}',
    summary         text NOT NULL DEFAULT '',
    reason          text NOT NULL DEFAULT '',
    revision        integer NOT NULL DEFAULT 1,
    created_by      text NOT NULL,
    create_time     timestamptz NOT NULL DEFAULT now(),
    update_time     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT activities_held_has_date CHECK (state NOT IN ('HELD', 'VOID') OR (held_date IS NOT NULL AND attendee_count > 0))
);
CREATE INDEX activities_station ON activities (station_id, id);

CREATE TABLE groups (
    id            uuid PRIMARY KEY,
    station_id    uuid NOT NULL REFERENCES stations,
    staff_id      uuid NOT NULL REFERENCES staff,
    display_name  text NOT NULL,
    domain        text NOT NULL,
    purpose       text NOT NULL DEFAULT '',
    stage         text NOT NULL CONSTRAINT groups_stage_known CHECK
                  (stage IN ('PREPARATION', 'FORMATION', 'TRANSITION', 'MATURITY', 'ENDING', 'VOID')),
    opened_date   date NOT NULL,
    ended_date    date CONSTRAINT groups_ended_after_opened CHECK (ended_date >= opened_date),
    member_ids    uuid[] NOT NULL DEFAULT '{}',
    revision      integer NOT NULL DEFAULT 1,
    created_by    text NOT NULL,
    create_time   timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now(),
    void_reason   text NOT NULL DEFAULT '',
    return_reason text NOT NULL DEFAULT '' -- why it last went back to the stage before
);
CREATE INDEX groups_station ON groups (station_id, id);

CREATE TABLE group_sessions (
    id               uuid PRIMARY KEY,
    station_id       uuid NOT NULL REFERENCES stations,
    group_id         uuid NOT NULL REFERENCES groups,
    staff_id         uuid NOT NULL REFERENCES staff,
    number           integer NOT NULL,
    theme            text NOT NULL,
    session_date     date NOT NULL,
    duration_minutes integer NOT NULL,
    record           text NOT NULL DEFAULT '',
    created_by       text NOT NULL,
    create_time      timestamptz NOT NULL DEFAULT now(),
    void_reason      text NOT NULL DEFAULT '',
    revision         integer NOT NULL DEFAULT 1,
    update_time      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (group_id, number)
);
CREATE INDEX group_sessions_group ON group_sessions (group_id, id);

CREATE TABLE group_attendances (
    session_id  uuid NOT NULL REFERENCES group_sessions,
    resident_id uuid NOT NULL REFERENCES residents,
    PRIMARY KEY (session_id, resident_id)
);
CREATE INDEX group_attendances_resident ON group_attendances (resident_id);

-- Reporting -----------------------------------------------------------------------------------------------------------
-- One row per counted act, written in the act's transaction; a correction appends a reversal with the negated amount on
-- the same date. Append-only: no total is stored anywhere.
CREATE TABLE service_facts (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    measure      text NOT NULL,
    fact_date    date NOT NULL,
    station_id   uuid NOT NULL REFERENCES stations,
    staff_id     uuid REFERENCES staff,
    domain       text NOT NULL DEFAULT '',
    household_id uuid REFERENCES households,
    resident_id  uuid REFERENCES residents,
    amount       integer NOT NULL CONSTRAINT service_facts_amount_not_zero CHECK (amount <> 0),
    source_type  text NOT NULL,
    source_id    uuid NOT NULL,
    reverses     bigint REFERENCES service_facts,
    recorded_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX service_facts_measure ON service_facts (measure, fact_date, station_id);
CREATE INDEX service_facts_source ON service_facts (source_id);
CREATE UNIQUE INDEX service_facts_reversed_once ON service_facts (reverses) WHERE reverses IS NOT NULL;

-- The work summary of a period, counted from service_facts. It is the one door through which circle15_aggregate reads a
-- tenant: the role may execute this function and nothing else, so sums leave a city and rows do not.
--
-- One row has is_total, over the whole period; the others are the groups asked for, without those whose figures are all 0.
--   Flows (home_visits, cases, case_sessions, activities, groups, person_times, needs, needs_met, files): the sum of the
--     amounts with p_from <= fact_date <= p_to.
--   households_visited: the distinct households whose home visits in the period, and in the group, come to more than 0.
--     It is counted anew for the total: groups share households.
--   Stocks (stations, volunteer_teams, volunteers): the sum of the amounts up to the end of the period, and of each month
--     (or p_to, if earlier) when grouped by month: every month shows what is in being at its end.
-- What is not grouped by has NULL station and month and an empty domain; so has, for domain, what belongs to none.
-- p_stations NULL means every station; an unknown one is refused.
CREATE FUNCTION work_summary(
    p_from date, p_to date, p_by_station boolean, p_by_month boolean, p_by_domain boolean, p_stations uuid[]
) RETURNS TABLE (
    is_total boolean, station_id uuid, station_name text, division_code text, month date, domain text,
    stations bigint, households_visited bigint, home_visits bigint, cases bigint, case_sessions bigint, activities bigint,
    groups bigint, volunteer_teams bigint, volunteers bigint, person_times bigint, needs bigint, needs_met bigint, files bigint
) LANGUAGE plpgsql STABLE SECURITY DEFINER
-- The plan depends on the width of the period: a cached generic one would read a month like ten years. Compiling the query
-- costs more than it saves, and one tenant's report takes one core, not the workers of all. Figures: services/reporting.
SET plan_cache_mode = force_custom_plan
SET jit = off
SET max_parallel_workers_per_gather = 0
SET work_mem = '32MB'
-- It runs as the owner of the schema, so its names must not be caught by a caller's temporary tables, which come first unless
-- pg_temp is named last, as the migrations' own search_path names it.
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
DECLARE
    -- Keys that are not grouped by hold a constant rather than NULL, so that they compare.
    no_station CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    first_month CONSTANT date := date_trunc('month', p_from::timestamp)::date;
    grouped CONSTANT boolean := p_by_station OR p_by_month OR p_by_domain;
BEGIN
    IF EXISTS (SELECT FROM unnest(p_stations) AS p (id) WHERE NOT EXISTS (SELECT FROM stations s WHERE s.id = p.id)) THEN
        RAISE EXCEPTION 'unknown station' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN QUERY
    WITH flow AS MATERIALIZED (
        SELECT CASE WHEN p_by_station THEN f.station_id ELSE no_station END AS station,
            CASE WHEN p_by_month THEN date_trunc('month', f.fact_date::timestamp)::date ELSE first_month END AS month,
            CASE WHEN p_by_domain THEN f.domain ELSE '' END AS domain,
            f.measure, sum(f.amount) AS amount
        FROM service_facts f
        WHERE f.measure IN ('case', 'case_session', 'activity', 'group', 'person_times', 'need', 'need_met', 'file')
            AND f.fact_date BETWEEN p_from AND p_to
            AND (p_stations IS NULL OR f.station_id = ANY (p_stations))
        GROUP BY 1, 2, 3, 4
    ), visited AS MATERIALIZED (
        SELECT CASE WHEN p_by_station THEN f.station_id ELSE no_station END AS station,
            CASE WHEN p_by_month THEN date_trunc('month', f.fact_date::timestamp)::date ELSE first_month END AS month,
            CASE WHEN p_by_domain THEN f.domain ELSE '' END AS domain,
            f.household_id AS household, sum(f.amount)::integer AS visits
        FROM service_facts f
        WHERE f.measure = 'home_visit'
            AND f.fact_date BETWEEN p_from AND p_to
            AND (p_stations IS NULL OR f.station_id = ANY (p_stations))
        GROUP BY 1, 2, 3, 4
    ), stock_change AS MATERIALIZED (
        SELECT CASE WHEN p_by_station THEN f.station_id ELSE no_station END AS station,
            CASE WHEN p_by_month THEN greatest(date_trunc('month', f.fact_date::timestamp)::date, first_month)
                ELSE first_month END AS month,
            CASE WHEN p_by_domain THEN f.domain ELSE '' END AS domain,
            f.measure, sum(f.amount) AS amount
        FROM service_facts f
        WHERE f.measure IN ('stations', 'volunteer_team', 'volunteer')
            AND f.fact_date <= p_to
            AND (p_stations IS NULL OR f.station_id = ANY (p_stations))
        GROUP BY 1, 2, 3, 4
    ), stock_step AS ( -- every month of the period gets a step, if only of 0
        SELECT c.station, c.month, c.domain, c.measure, c.amount FROM stock_change c
        UNION ALL
        SELECT k.station, m.month::date, k.domain, k.measure, 0
        FROM (SELECT DISTINCT c.station, c.domain, c.measure FROM stock_change c) k
        CROSS JOIN generate_series(first_month::timestamp, p_to::timestamp, '1 month') AS m (month)
        WHERE p_by_month
    ), stock AS (
        SELECT t.station, t.month, t.domain, t.measure,
            sum(sum(t.amount)) OVER (PARTITION BY t.station, t.domain, t.measure ORDER BY t.month) AS amount
        FROM stock_step t
        GROUP BY t.station, t.month, t.domain, t.measure
    ), figure AS (
        SELECT false AS is_total, w.station, w.month, w.domain, w.measure, w.amount FROM flow w WHERE grouped
        UNION ALL
        SELECT false, v.station, v.month, v.domain, 'home_visit', sum(v.visits) FROM visited v WHERE grouped GROUP BY 2, 3, 4
        UNION ALL
        SELECT false, v.station, v.month, v.domain, 'household', count(*) FROM visited v WHERE grouped AND v.visits > 0
        GROUP BY 2, 3, 4
        UNION ALL
        SELECT false, k.station, k.month, k.domain, k.measure, k.amount FROM stock k WHERE grouped
        UNION ALL
        SELECT true, no_station, first_month, '', w.measure, sum(w.amount) FROM flow w GROUP BY w.measure
        UNION ALL
        SELECT true, no_station, first_month, '', 'home_visit', coalesce(sum(v.visits), 0) FROM visited v
        UNION ALL
        SELECT true, no_station, first_month, '', 'household', count(*)
        FROM (SELECT FROM visited v GROUP BY v.household HAVING sum(v.visits) > 0) h
        UNION ALL
        SELECT true, no_station, first_month, '', c.measure, sum(c.amount) FROM stock_change c GROUP BY c.measure
    ), summary AS (
        SELECT f.is_total, f.station, f.month, f.domain,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'stations'), 0)::bigint AS stations,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'household'), 0)::bigint AS households_visited,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'home_visit'), 0)::bigint AS home_visits,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'case'), 0)::bigint AS cases,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'case_session'), 0)::bigint AS case_sessions,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'activity'), 0)::bigint AS activities,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'group'), 0)::bigint AS groups,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'volunteer_team'), 0)::bigint AS volunteer_teams,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'volunteer'), 0)::bigint AS volunteers,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'person_times'), 0)::bigint AS person_times,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'need'), 0)::bigint AS needs,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'need_met'), 0)::bigint AS needs_met,
            coalesce(sum(f.amount) FILTER (WHERE f.measure = 'file'), 0)::bigint AS files
        FROM figure f
        GROUP BY f.is_total, f.station, f.month, f.domain
        HAVING f.is_total OR bool_or(f.amount <> 0)
    )
    SELECT y.is_total, s.id, s.display_name, s.division_code,
        CASE WHEN p_by_month AND NOT y.is_total THEN y.month END, y.domain,
        y.stations, y.households_visited, y.home_visits, y.cases, y.case_sessions, y.activities, y.groups, y.volunteer_teams,
        y.volunteers, y.person_times, y.needs, y.needs_met, y.files
    FROM summary y
    LEFT JOIN stations s ON s.id = y.station
    ORDER BY y.is_total DESC, s.division_code, s.id, y.month, y.domain;
END $$;
REVOKE ALL ON FUNCTION work_summary(date, date, boolean, boolean, boolean, uuid[]) FROM PUBLIC;

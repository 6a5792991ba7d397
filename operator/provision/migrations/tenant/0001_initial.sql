-- The schema of one tenant. It runs with the search_path set to the tenant's schema, so names are unqualified;
-- every statement of the services is schema-qualified. Ids are UUIDv7. Dates are Asia/Shanghai calendar days.
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

CREATE FUNCTION bump_policy_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v bigint;
BEGIN
    UPDATE policy_version SET version = version + 1 RETURNING version INTO v;
    PERFORM pg_catalog.pg_notify('circle15_policy', TG_TABLE_SCHEMA || ':' || v);
    RETURN NULL;
END $$;
CREATE TRIGGER roles_bump AFTER INSERT OR UPDATE OR DELETE ON roles FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE TRIGGER role_rules_bump AFTER INSERT OR UPDATE OR DELETE ON role_rules FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE TRIGGER role_grants_bump AFTER INSERT OR UPDATE OR DELETE ON role_grants FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();

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

-- Registry ----------------------------------------------------------------------------------------------------------
CREATE TABLE staff (
    id          uuid PRIMARY KEY,
    station_id  uuid NOT NULL REFERENCES stations,
    name        text NOT NULL,
    position    text NOT NULL CONSTRAINT staff_position_known CHECK (position IN ('HEAD', 'SOCIAL_WORKER', 'VOLUNTEER_COORDINATOR')),
    subject     text,
    phone       text NOT NULL DEFAULT '',
    start_date  date NOT NULL,
    end_date    date CONSTRAINT staff_end_after_start CHECK (end_date >= start_date),
    revision    integer NOT NULL DEFAULT 1,
    created_by  text NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now()
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

CREATE TABLE needs (
    id            uuid PRIMARY KEY,
    station_id    uuid NOT NULL REFERENCES stations,
    household_id  uuid NOT NULL REFERENCES households,
    resident_id   uuid REFERENCES residents,
    staff_id      uuid NOT NULL REFERENCES staff,
    visit_id      uuid,
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
    update_time    timestamptz NOT NULL DEFAULT now()
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
    update_time     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX volunteers_station ON volunteers (station_id, id);
CREATE INDEX volunteers_team ON volunteers (team_id);
CREATE UNIQUE INDEX volunteers_identity_number_key ON volunteers (identity_number) WHERE withdrawn_date IS NULL;

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

CREATE TABLE case_needs (
    case_id uuid NOT NULL REFERENCES cases,
    need_id uuid NOT NULL REFERENCES needs,
    PRIMARY KEY (case_id, need_id)
);
CREATE INDEX case_needs_need ON case_needs (need_id);

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
    state              text NOT NULL CONSTRAINT referrals_state_known CHECK (state IN ('SENT', 'ACCEPTED', 'DECLINED', 'COMPLETED')),
    outcome            text NOT NULL DEFAULT '',
    outcome_date       date CONSTRAINT referrals_outcome_after_referral CHECK (outcome_date >= referral_date),
    linked_value_fen   bigint NOT NULL DEFAULT 0 CONSTRAINT referrals_linked_value_not_negative CHECK (linked_value_fen >= 0),
    revision           integer NOT NULL DEFAULT 1,
    created_by         text NOT NULL,
    create_time        timestamptz NOT NULL DEFAULT now(),
    update_time        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX referrals_case ON referrals (case_id, id);

CREATE TABLE case_follow_ups (
    id             uuid PRIMARY KEY,
    station_id     uuid NOT NULL REFERENCES stations,
    case_id        uuid NOT NULL REFERENCES cases,
    staff_id       uuid NOT NULL REFERENCES staff,
    visit_id       uuid,
    follow_up_date date NOT NULL,
    finding        text NOT NULL,
    next_steps     text NOT NULL DEFAULT '',
    created_by     text NOT NULL,
    create_time    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX case_follow_ups_case ON case_follow_ups (case_id, id);

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

ALTER TABLE needs ADD CONSTRAINT needs_visit_id_fkey FOREIGN KEY (visit_id) REFERENCES visits;
ALTER TABLE case_follow_ups ADD CONSTRAINT case_follow_ups_visit_id_fkey FOREIGN KEY (visit_id) REFERENCES visits;

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
    id           uuid PRIMARY KEY,
    station_id   uuid NOT NULL REFERENCES stations,
    staff_id     uuid NOT NULL REFERENCES staff,
    display_name text NOT NULL,
    domain       text NOT NULL,
    purpose      text NOT NULL DEFAULT '',
    stage        text NOT NULL CONSTRAINT groups_stage_known CHECK
                 (stage IN ('PREPARATION', 'FORMATION', 'TRANSITION', 'MATURITY', 'ENDING')),
    opened_date  date NOT NULL,
    ended_date   date CONSTRAINT groups_ended_after_opened CHECK (ended_date >= opened_date),
    member_ids   uuid[] NOT NULL DEFAULT '{}',
    revision     integer NOT NULL DEFAULT 1,
    created_by   text NOT NULL,
    create_time  timestamptz NOT NULL DEFAULT now(),
    update_time  timestamptz NOT NULL DEFAULT now()
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

-- The control schema: what the operator, the services and the command line know of the tenants of one database
-- cluster. It runs with the search_path set to circle15, as the role circle15_operator.

-- One row: which installation this database belongs to. The id stands in the ownership mark of every tenant's schema
-- and role, so that one installation never takes over what another made.
CREATE TABLE installation (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id         uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Which migrations this installation has seen, of both lines. A changed checksum means that a published migration
-- was edited; a higher version means that a newer release has been here.
CREATE TABLE migrations (
    line       text NOT NULL CONSTRAINT migrations_line_known CHECK (line IN ('control', 'tenant')),
    version    integer NOT NULL,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (line, version)
);

CREATE TABLE tenants (
    name                text PRIMARY KEY,
    id                  uuid NOT NULL UNIQUE,
    display_name_zh     text NOT NULL,
    display_name_en     text NOT NULL DEFAULT '',
    level               text NOT NULL CONSTRAINT tenants_level_known CHECK (level IN ('province', 'city', 'district')),
    parent              text CONSTRAINT tenants_parent_by_level CHECK ((parent IS NULL) = (level = 'province')),
    division_code       text NOT NULL CONSTRAINT tenants_division_code_format CHECK (division_code ~ '^[0-9]{6}$'),
    cluster             text NOT NULL DEFAULT 'default',
    schema_name         text NOT NULL UNIQUE,
    role_name           text NOT NULL UNIQUE,
    -- provisioning: being made; active; suspended; deleting: being dropped; retained: put away with its data
    state               text NOT NULL CONSTRAINT tenants_state_known
                        CHECK (state IN ('provisioning', 'active', 'suspended', 'deleting', 'retained')),
    schema_version      integer NOT NULL DEFAULT 0,
    deletion_policy     text NOT NULL DEFAULT 'Retain' CONSTRAINT tenants_deletion_policy_known CHECK (deletion_policy IN ('Retain', 'Delete')),
    standards_pack      text NOT NULL DEFAULT '',
    -- Quotas: null is unlimited.
    max_stations        integer CONSTRAINT tenants_max_stations_range CHECK (max_stations >= 0),
    max_staff           integer CONSTRAINT tenants_max_staff_range CHECK (max_staff >= 0),
    max_residents       integer CONSTRAINT tenants_max_residents_range CHECK (max_residents >= 0),
    requests_per_second integer CONSTRAINT tenants_requests_per_second_range CHECK (requests_per_second > 0),
    -- The policy overlay last written into the tenant's schema, and the digest of it with the standard rules.
    policy              jsonb NOT NULL DEFAULT '{}',
    policy_digest       text NOT NULL DEFAULT '',
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX tenants_division_code_live ON tenants (division_code) WHERE state <> 'retained';
CREATE INDEX tenants_parent ON tenants (parent);
CREATE INDEX tenants_schema_version ON tenants (schema_version);

-- The ledger: which migration each tenant's schema has, and when it got it.
CREATE TABLE tenant_migrations (
    tenant      text NOT NULL REFERENCES tenants ON DELETE CASCADE,
    version     integer NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, version)
);

-- Services listen on circle15_control and read again the tenant that the payload names.
CREATE FUNCTION notify_control() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM pg_catalog.pg_notify('circle15_control', OLD.name);
    ELSE
        PERFORM pg_catalog.pg_notify('circle15_control', NEW.name);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tenants_notify AFTER INSERT OR UPDATE OR DELETE ON tenants FOR EACH ROW EXECUTE FUNCTION notify_control();

GRANT USAGE ON SCHEMA circle15 TO circle15_app;
GRANT SELECT ON tenants TO circle15_app;

-- The policy's version is told to the control schema too, where one query reads it of all tenants, beside the replicas of
-- the services that have acknowledged it (control migration 0002).
--
-- The function runs as the owner of both schemas; it writes one row, that of the schema whose table was changed, and
-- only once the control schema knows the tenant. A policy is written after that, so none is left out.
CREATE OR REPLACE FUNCTION bump_policy_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
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

-- A tenant of an older release has a version that nothing will move for long.
INSERT INTO circle15.policy_versions (schema_name, version)
SELECT t.schema_name, p.version FROM policy_version p, circle15.tenants t WHERE t.schema_name = current_schema()
ON CONFLICT (schema_name) DO UPDATE SET version = excluded.version;

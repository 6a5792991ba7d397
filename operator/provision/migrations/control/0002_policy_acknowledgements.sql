-- Which replicas of the services decide by which version of a tenant's policy. The services tell it through the functions
-- below, which are all they have here; the operator reads the tables.

-- The version of each tenant's policy, moved with the one in its schema by the same trigger (bump_policy_version).
CREATE TABLE policy_versions (
    schema_name text PRIMARY KEY REFERENCES tenants (schema_name) ON DELETE CASCADE ON UPDATE CASCADE,
    version     bigint NOT NULL
);

-- The processes of the services that have shown themselves within the last minute.
CREATE TABLE replicas (
    name    text PRIMARY KEY CONSTRAINT replicas_name_length CHECK (length(name) BETWEEN 1 AND 253),
    seen_at timestamptz NOT NULL
);

-- The replica decides by this version of the tenant's policy or a later one, for every request that it has begun since.
-- A tenant that is dropped takes its acknowledgements along: the versions of one made anew begin anew.
CREATE TABLE policy_acknowledgements (
    schema_name text NOT NULL REFERENCES policy_versions ON DELETE CASCADE ON UPDATE CASCADE,
    replica     text NOT NULL REFERENCES replicas ON DELETE CASCADE,
    version     bigint NOT NULL,
    PRIMARY KEY (schema_name, replica)
);
CREATE INDEX policy_acknowledgements_replica ON policy_acknowledgements (replica);

-- see_replica notes that the replica lives, and removes those that have not shown themselves for a minute. It returns
-- whether the replica was known: if not, what it acknowledged before is gone.
CREATE FUNCTION see_replica(p_replica text) RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    -- Two replicas that clean up at once, or one that comes back meanwhile, do not wait for each other.
    DELETE FROM replicas r WHERE r.name IN (
        SELECT gone.name FROM replicas gone
        WHERE gone.seen_at < clock_timestamp() - interval '1 minute' AND gone.name <> p_replica
        FOR UPDATE SKIP LOCKED);
    UPDATE replicas r SET seen_at = clock_timestamp() WHERE r.name = p_replica;
    IF FOUND THEN
        RETURN true;
    END IF;
    INSERT INTO replicas (name, seen_at) VALUES (p_replica, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at;
    RETURN false;
END $$;

-- acknowledge_policies is a heartbeat of the replica with the versions that it decides by, of the schemas in the same
-- places of the arrays; both may be empty. A version is never lowered, and one that the tenant's policy does not have
-- (of a tenant that is gone, or was made anew) is ignored. It returns whether the replica was known: if not, the replica
-- must acknowledge everything.
CREATE FUNCTION acknowledge_policies(p_replica text, p_schemas text[], p_versions bigint[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    known boolean := see_replica(p_replica);
BEGIN
    INSERT INTO policy_acknowledgements AS a (schema_name, replica, version)
    SELECT v.schema_name, p_replica, max(told.version)
    FROM unnest(p_schemas, p_versions) AS told (schema_name, version)
    JOIN policy_versions v ON v.schema_name = told.schema_name AND told.version <= v.version
    GROUP BY v.schema_name
    ORDER BY v.schema_name
    ON CONFLICT (schema_name, replica) DO UPDATE SET version = excluded.version WHERE a.version < excluded.version;
    RETURN known;
END $$;

-- acknowledge_all_policies acknowledges every tenant's policy as it is now. The replica must, after this has run and
-- before it commits, stop trusting all that it read before.
CREATE FUNCTION acknowledge_all_policies(p_replica text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM see_replica(p_replica);
    INSERT INTO policy_acknowledgements AS a (schema_name, replica, version)
    SELECT v.schema_name, p_replica, v.version
    FROM policy_versions v
    LEFT JOIN policy_acknowledgements had ON had.schema_name = v.schema_name AND had.replica = p_replica
    WHERE had.version IS NULL OR had.version < v.version -- the others need not even be locked
    ORDER BY v.schema_name
    ON CONFLICT (schema_name, replica) DO UPDATE SET version = excluded.version WHERE a.version < excluded.version;
END $$;

-- forget_replica removes a replica that stops.
CREATE FUNCTION forget_replica(p_replica text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM replicas WHERE name = p_replica;
$$;

REVOKE ALL ON FUNCTION see_replica(text), acknowledge_policies(text, text[], bigint[]), acknowledge_all_policies(text),
    forget_replica(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION acknowledge_policies(text, text[], bigint[]), acknowledge_all_policies(text), forget_replica(text)
    TO circle15_app;

-- The version of each tenant's policy in which the operator last found everything that it has written: one query tells
-- whose policy has changed since, and only those are looked at.
ALTER TABLE policy_versions ADD COLUMN checked bigint NOT NULL DEFAULT 0;

-- The grants at single stations that the operator last made; null where it has recorded none.
ALTER TABLE tenants ADD COLUMN station_grants jsonb;

-- A table of the policy that is emptied at once moves the policy's version, as every other change does.
CREATE OR REPLACE TRIGGER roles_bump AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON roles
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE OR REPLACE TRIGGER role_rules_bump AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON role_rules
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE OR REPLACE TRIGGER role_grants_bump AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON role_grants
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();

package provision_test

import (
	"strings"
	"testing"

	"circle15.dev/internal/tenant"
)

// snapshot describes, line by line, everything that a tenant is in the cluster, with its name, id and times taken out,
// so that two tenants compare equal. It reads the catalogs in its own way, independent of the code under test.
func snapshot(t testing.TB, name tenant.Name) []string {
	t.Helper()
	conn := superuser(t)
	schema := name.Schema()
	var lines []string
	for _, sql := range []string{
		`SELECT 'tenant ' || concat_ws(' ', level, cluster, schema_name, role_name, state, schema_version, deletion_policy, policy, policy_digest)
			FROM circle15.tenants WHERE schema_name = $1`,
		`SELECT 'ledger ' || version FROM circle15.tenant_migrations m JOIN circle15.tenants t ON t.name = m.tenant WHERE t.schema_name = $1 ORDER BY version`,
		`SELECT 'role ' || (to_jsonb(r) - 'oid')::text FROM pg_roles r WHERE rolname = $1`,
		`SELECT 'member ' || concat_ws(' ', m.roleid::regrole, m.member::regrole, m.admin_option, to_jsonb(m) ->> 'inherit_option', to_jsonb(m) ->> 'set_option')
			FROM pg_auth_members m WHERE to_regrole($1) IN (m.roleid, m.member) ORDER BY 1`,
		`SELECT 'schema ' || concat_ws(' ', nspname, nspowner::regrole, nspacl) FROM pg_namespace WHERE nspname = $1`,
		`SELECT 'class ' || concat_ws(' ', relname, relkind, relowner::regrole, relacl) FROM pg_class
			WHERE relnamespace = $1::text::regnamespace ORDER BY relname`,
		`SELECT 'column ' || concat_ws(' ', attrelid::regclass, attname, atttypid::regtype, attnotnull, pg_get_expr(d.adbin, d.adrelid), attacl)
			FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
			WHERE c.relnamespace = $1::text::regnamespace AND attnum > 0 AND NOT attisdropped AND c.relkind = 'r' ORDER BY attrelid::regclass::text, attnum`,
		`SELECT 'constraint ' || concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated) FROM pg_constraint
			WHERE connamespace = $1::text::regnamespace ORDER BY conrelid::regclass::text, conname`,
		`SELECT 'index ' || concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			WHERE c.relnamespace = $1::text::regnamespace ORDER BY 1`,
		`SELECT 'trigger ' || concat_ws(' ', pg_get_triggerdef(t.oid), tgenabled) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
			WHERE c.relnamespace = $1::text::regnamespace AND NOT tgisinternal ORDER BY 1`,
		`SELECT 'function ' || concat_ws(' ', pg_get_functiondef(oid), proacl) FROM pg_proc WHERE pronamespace = $1::text::regnamespace ORDER BY 1`,
	} {
		lines = append(lines, list(t, conn, sql, schema)...)
	}
	if value[bool](t, conn, `SELECT to_regclass($1) IS NOT NULL`, schema+".roles") {
		lines = append(lines, list(t, conn, `SELECT 'standard role ' || r FROM `+schema+`.roles AS r ORDER BY 1`)...)
		lines = append(lines, list(t, conn, `SELECT 'rule ' || r FROM `+schema+`.role_rules AS r ORDER BY 1`)...)
		lines = append(lines, list(t, conn, `SELECT 'told ' || (told.version IS NOT DISTINCT FROM v.version)
			FROM `+schema+`.policy_version v LEFT JOIN circle15.policy_versions told ON told.schema_name = $1`, schema)...)
		lines = append(lines, list(t, conn, `SELECT 'grant ' || concat_ws(' ', subject, role, created_by) FROM `+schema+`.role_grants ORDER BY 1`)...)
	}
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], schema, "{schema}")
	}
	return lines
}

package tenantdb_test

import (
	"testing"

	"circle15.dev/internal/tenantdb"
)

func TestStatementsOfOneTenantAreAccepted(t *testing.T) {
	for _, text := range []string{
		`SELECT 1`,
		`SELECT 'a;b', '$$', '--', '/*', 'pg_class' FROM {tenant}.cases -- a comment with set_config;`,
		`WITH a AS (SELECT id FROM {tenant}.cases) SELECT "Quoted ""name""" FROM a /* set_config */`,
		`INSERT INTO {tenant}.cases (id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id`,
		`SELECT pg_try_advisory_xact_lock($1), '{"a": 1}'::jsonb, '{}'::text[]`,
		`LOCK TABLE {tenant}.cases IN EXCLUSIVE MODE`,
		`SELECT * FROM {tenant}.work_summary($1) WHERE NOT (a AND (b)) AND id = ANY ($2) AND NOT EXISTS (SELECT 1)`,
		`SELECT coalesce(sum(n), 0) FROM unnest($1::int[]) u (n)`,
		`SELECT 'ts_rewrite(', "x" FROM {tenant}.cases -- ts_rewrite(`,
	} {
		if err := tenantdb.Vet(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestStatementsThatLeaveTheTenantOrItsTransactionAreRefused(t *testing.T) {
	for _, text := range []string{
		``, `-- nothing`, `SET ROLE t_b`, `RESET ROLE`, `BEGIN`, `COMMIT`, `ROLLBACK`, `SET LOCAL search_path = t_b`,
		`DO $$ BEGIN END $$`, `CALL {tenant}.p()`, `COPY {tenant}.cases TO STDOUT`, `LISTEN x`, `PREPARE p AS SELECT 1`,
		`EXECUTE p`, `DEALLOCATE ALL`, `DISCARD ALL`, `CREATE TABLE {tenant}.x ()`, `DROP TABLE {tenant}.cases`,
		`GRANT SELECT ON {tenant}.cases TO t_b`, `EXPLAIN SELECT 1`, `TABLE {tenant}.cases`,
		`SELECT 1; SELECT 2`, `SELECT set_config('role', 't_b', true)`, `SELECT "set_config"('role', 't_b', true)`,
		`SELECT SET_CONFIG ('role', 't_b', true)`, `SELECT U&"set\005fconfig"('role', 't_b', true)`,
		`SELECT /* a /* nested */ comment */ 1`, `SELECT $$text$$`, `SELECT $tag$text$tag$`, `SELECT E'\' , set_config('`,
		`SELECT relname FROM pg_class`, `SELECT * FROM pg_catalog.pg_namespace`, `SELECT table_name FROM information_schema.tables`,
		`SELECT ts_rewrite('a'::tsquery, $1)`, `SELECT "ts_rewrite"('a', $1)`, "SELECT ts_rewrite\n\t(a, $1)",
		`SELECT TS_REWRITE /* not */ -- yet
		('a', $1)`, `SELECT * FROM ts_stat($1)`, `SELECT lo_create(0)`, `SELECT lo_from_bytea(0, $1)`,
		`SELECT database_to_xmlschema(true, true, '')`, `SELECT setval('x', 1)`, `SELECT {tenant}.a + ts_rewrite('a', $1)`,
		`SELECT pg_advisory_lock(1)`, `SELECT pg_terminate_backend(1)`, `SELECT query_to_xml('SELECT 1', true, false, '')`,
		`SELECT 1 FROM {tenant}cases`, `SELECT 1 FROM {other}.cases`, `SELECT 'unclosed`, `SELECT "unclosed`, `SELECT 1 /* unclosed`,
	} {
		if tenantdb.Vet(text) == nil {
			t.Errorf("accepted: %s", text)
		}
	}
}

func TestABadStatementStopsTheProgramWhenItStarts(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("SQL returned")
		}
	}()
	tenantdb.SQL(`RESET ROLE`)
}

func FuzzVetKeepsRoleChangesOut(f *testing.F) {
	f.Add("SELECT ", " FROM {tenant}.cases")
	f.Add("SELECT '", "'")
	f.Add("SELECT \"", "\"")
	f.Add("SELECT /*", "*/ 1")
	f.Add("SELECT 'a' -- x", "\n 'b'")
	f.Fuzz(func(t *testing.T, before, after string) {
		// What is around a call must not make an accepted text of it, unless it turns it into a string or a comment.
		if tenantdb.Vet(before+" 1 "+after) != nil {
			return
		}
		const call = " set_config('role','x',true) "
		if tenantdb.Vet(before+call+after) == nil && tenantdb.Vet(before+" ; "+after) != nil {
			t.Errorf("%q accepts a call where it refuses a semicolon", before+call+after)
		}
	})
}

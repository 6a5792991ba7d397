package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Object is something in a tenant's schema that a release's migrations and grants make.
type Object struct {
	Kind string // schema, table, column, default, constraint, index, function, trigger, sequence, view
	Name string // with its table, where it has one: "cases.cases_stage_known"

	identity   string // what else must agree: type, validity, expressions, the body's digest
	acl        string // who may do what, with the tenant's role as "@"
	definition string // DDL that makes it again in a schema named referenceName; empty for what holds rows
}

// referenceName is the schema and role of the reference, which exist only inside a transaction that is rolled back.
const referenceName = "circle15_reference"

// catalogSQL lists the objects of the schemas $1, one row each. The same query reads the reference, one tenant, and all
// tenants: there it is folded into one number a schema, so that 3,000 schemas need neither sorting nor sending.
// Types are compared by oid: no tenant has types of its own. Expressions are compared as the server writes them: what it
// stores tells where in the statement each part stood, so that an object that was made again would differ.
//
// The catalogs have no index by schema, so what lists everything in a schema reads all of pg_class. With the names of the
// relations and functions that are looked for ($2, $3), one schema among thousands is found by index.
func catalogSQL(byName bool) string {
	relations, functions := "", ""
	if byName {
		relations, functions = "AND c.relname = ANY ($2)", "WHERE f.proname = ANY ($3)"
	}
	return strings.NewReplacer("{relations}", relations, "{functions}", functions).Replace(catalogTemplate)
}

const catalogTemplate = `
WITH s AS MATERIALIZED (SELECT n.oid, n.nspname::text AS name, n.nspacl FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1)),
rel AS MATERIALIZED (SELECT c.oid, c.relname::text AS relname, c.relkind, c.relacl, c.relrowsecurity, s.name AS schema
	FROM pg_catalog.pg_class c JOIN s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') {relations}),
item AS (
	SELECT s.name AS schema, 'schema' AS kind, '' AS name, '' AS identity, s.nspacl AS acl FROM s
	UNION ALL
	SELECT schema, CASE relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'view' ELSE 'table' END, relname,
		relrowsecurity::text, relacl FROM rel
	UNION ALL
	SELECT rel.schema, 'column', rel.relname || '.' || a.attname,
		pg_catalog.concat_ws(' ', a.atttypid, a.atttypmod, a.attnotnull, a.attidentity, a.attgenerated), a.attacl
	FROM pg_catalog.pg_attribute a JOIN rel ON rel.oid = a.attrelid AND rel.relkind IN ('r', 'p')
	WHERE a.attnum > 0 AND NOT a.attisdropped
	UNION ALL
	SELECT rel.schema, 'default', rel.relname || '.' || a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid), NULL
	FROM pg_catalog.pg_attrdef d JOIN rel ON rel.oid = d.adrelid
	JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated = ''
	UNION ALL
	SELECT rel.schema, 'constraint', rel.relname || '.' || k.conname,
		pg_catalog.concat_ws(' ', k.contype, k.convalidated, k.condeferrable, k.condeferred, k.conkey, target.relname, k.confkey,
			k.confdeltype, k.confupdtype, CASE k.contype WHEN 'c' THEN pg_catalog.pg_get_expr(k.conbin, k.conrelid) END), NULL
	FROM pg_catalog.pg_constraint k JOIN rel ON rel.oid = k.conrelid LEFT JOIN rel AS target ON target.oid = k.confrelid
	WHERE k.contype <> 't'
	UNION ALL
	SELECT rel.schema, 'index', rel.relname || '.' || ic.relname,
		pg_catalog.concat_ws(' ', i.indisvalid, i.indisunique, i.indkey, i.indclass, i.indoption,
			pg_catalog.pg_get_expr(i.indpred, i.indrelid), pg_catalog.pg_get_expr(i.indexprs, i.indrelid)), NULL
	FROM pg_catalog.pg_index i JOIN rel ON rel.oid = i.indrelid JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
		WHERE k.conrelid = i.indrelid AND k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
	UNION ALL
	SELECT s.name, 'function', f.proname || '(' || f.proargtypes::text || ')',
		pg_catalog.concat_ws(' ', pg_catalog.md5(f.prosrc), f.prolang, f.prorettype, f.provolatile, f.prosecdef,
			pg_catalog.replace(pg_catalog.array_to_string(f.proconfig, ','), s.name, '@')), f.proacl
	FROM pg_catalog.pg_proc f JOIN s ON s.oid = f.pronamespace {functions}
	UNION ALL
	SELECT rel.schema, 'trigger', rel.relname || '.' || t.tgname,
		pg_catalog.concat_ws(' ', t.tgenabled, t.tgtype, t.tgattr, t.tgargs, s.name = rel.schema, f.proname,
			CASE WHEN t.tgqual IS NOT NULL THEN pg_catalog.replace(pg_catalog.pg_get_triggerdef(t.oid), rel.schema || '.', '@.') END), NULL
	FROM pg_catalog.pg_trigger t JOIN rel ON rel.oid = t.tgrelid JOIN pg_catalog.pg_proc f ON f.oid = t.tgfoid
	LEFT JOIN s ON s.oid = f.pronamespace WHERE NOT t.tgisinternal
),
folded AS (
	SELECT schema, kind, name, identity, CASE WHEN acl IS NULL THEN '' ELSE pg_catalog.replace(
		(SELECT pg_catalog.string_agg(a, ' ' ORDER BY a) FROM pg_catalog.unnest(acl::text[]) AS a), schema || '=', '@=') END AS acl
	FROM item
)
`

const objectsSQL = `SELECT kind, name, identity, acl FROM folded`

const (
	fingerprintExpression = `pg_catalog.bit_xor(pg_catalog.hashtextextended(kind || '|' || name || '|' || identity || '|' || acl, 0))`
	fingerprintSQL        = `SELECT schema, ` + fingerprintExpression + ` FROM folded GROUP BY schema`
)

// definitionsSQL is the DDL of what can be made again, in an order in which it can be made.
const definitionsSQL = `
WITH s AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = '` + referenceName + `'),
rel AS (SELECT c.oid, c.relname FROM pg_catalog.pg_class c JOIN s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p'))
SELECT kind, name, definition FROM (
	SELECT 1 AS turn, 'function' AS kind, f.proname || '(' || f.proargtypes::text || ')' AS name,
		pg_catalog.pg_get_functiondef(f.oid) AS definition
	FROM pg_catalog.pg_proc f JOIN s ON s.oid = f.pronamespace
	UNION ALL
	SELECT CASE k.contype WHEN 'f' THEN 4 WHEN 'p' THEN 2 WHEN 'u' THEN 2 ELSE 3 END, 'constraint', rel.relname || '.' || k.conname,
		pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I, ADD CONSTRAINT %2$I %3$s', k.conrelid::regclass, k.conname,
			pg_catalog.pg_get_constraintdef(k.oid))
	FROM pg_catalog.pg_constraint k JOIN rel ON rel.oid = k.conrelid WHERE k.contype <> 't'
	UNION ALL
	SELECT 2, 'default', rel.relname || '.' || a.attname,
		pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', d.adrelid::regclass, a.attname,
			pg_catalog.pg_get_expr(d.adbin, d.adrelid))
	FROM pg_catalog.pg_attrdef d JOIN rel ON rel.oid = d.adrelid
	JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated = ''
	UNION ALL
	SELECT 5, 'index', rel.relname || '.' || ic.relname,
		pg_catalog.format('DROP INDEX IF EXISTS %s; %s', i.indexrelid::regclass, pg_catalog.pg_get_indexdef(i.indexrelid))
	FROM pg_catalog.pg_index i JOIN rel ON rel.oid = i.indrelid JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
	WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
	UNION ALL
	SELECT 6, 'trigger', rel.relname || '.' || t.tgname,
		pg_catalog.format('DROP TRIGGER IF EXISTS %I ON %s; %s', t.tgname, t.tgrelid::regclass, pg_catalog.pg_get_triggerdef(t.oid))
	FROM pg_catalog.pg_trigger t JOIN rel ON rel.oid = t.tgrelid WHERE NOT t.tgisinternal
) AS d ORDER BY turn, name`

// namesSQL lists the names in the reference: tables and views, sequences, functions with parameters, all relations, and
// functions without.
const namesSQL = `
WITH s AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = '` + referenceName + `'),
rel AS (SELECT c.relname::text AS name, c.relkind FROM pg_catalog.pg_class c JOIN s ON s.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S')),
f AS (SELECT f.proname::text AS name, f.proargtypes FROM pg_catalog.pg_proc f JOIN s ON s.oid = f.pronamespace)
SELECT ARRAY(SELECT name FROM rel WHERE relkind <> 'S' ORDER BY 1), ARRAY(SELECT name FROM rel WHERE relkind = 'S' ORDER BY 1),
	ARRAY(SELECT pg_catalog.format('%I(%s)', name, pg_catalog.oidvectortypes(proargtypes)) FROM f ORDER BY 1),
	ARRAY(SELECT name FROM rel ORDER BY 1), ARRAY(SELECT DISTINCT name FROM f ORDER BY 1)`

// reference is a tenant's schema as this release makes it, read from the catalogs of this cluster.
type reference struct {
	objects     []Object // those that can be made again first, in the order in which they can be made
	fingerprint int64
	names       objectNames
	relations   []string // the names of tables, sequences and views
	functions   []string // the names of functions, without parameters
}

// referenceCache builds the reference once per Provisioner, when it is first needed.
type referenceCache struct {
	mu    sync.Mutex
	built *reference
}

func (p *Provisioner) referenceSchema(ctx context.Context) (*reference, error) {
	p.reference.mu.Lock()
	defer p.reference.mu.Unlock()
	if p.reference.built != nil {
		return p.reference.built, nil
	}
	// A connection of its own: the caller holds one of the pool's, and so may everyone who waits here.
	conn, err := pgx.ConnectConfig(ctx, p.pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	r, err := p.buildReference(ctx, tx)
	if err := errors.Join(err, tx.Rollback(ctx)); err != nil {
		return nil, fmt.Errorf("reference schema: %w", err)
	}
	p.reference.built = r
	return r, nil
}

func (p *Provisioner) buildReference(ctx context.Context, tx pgx.Tx) (*reference, error) {
	if err := execAll(ctx, tx, []statement{lockSchema(referenceName)}); err != nil {
		return nil, err
	}
	w := &plan{}
	w.exec("CREATE ROLE "+referenceName+" NOLOGIN", "CREATE SCHEMA "+referenceName)
	w.exec(migrationDDL(referenceName, p.tenants.upgrade(0))...)
	if _, err := tx.Exec(ctx, w.ddl.String()); err != nil {
		return nil, err
	}
	r := &reference{}
	n := &r.names
	if err := tx.QueryRow(ctx, namesSQL).Scan(&n.tables, &n.sequences, &n.functions, &r.relations, &r.functions); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, strings.Join(grantDDL(referenceName, referenceName, r.names), ";\n")); err != nil {
		return nil, err
	}
	var schema string
	if err := tx.QueryRow(ctx, catalogSQL(false)+fingerprintSQL, []string{referenceName}).Scan(&schema, &r.fingerprint); err != nil {
		return nil, err
	}
	objects, err := readObjects(ctx, tx, catalogSQL(false)+objectsSQL, []string{referenceName})
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, definitionsSQL)
	if err != nil {
		return nil, err
	}
	defined, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o Object, err error) {
		return o, row.Scan(&o.Kind, &o.Name, &o.definition)
	})
	if err != nil {
		return nil, err
	}
	r.objects = withDefinitions(objects, defined)
	return r, nil
}

func withDefinitions(objects, defined []Object) []Object {
	byKey := map[[2]string]Object{}
	for _, o := range objects {
		byKey[o.key()] = o
	}
	ordered := make([]Object, 0, len(objects))
	for _, d := range defined {
		o := byKey[d.key()]
		o.definition = d.definition
		ordered = append(ordered, o)
		delete(byKey, d.key())
	}
	for _, o := range objects {
		if _, left := byKey[o.key()]; left {
			ordered = append(ordered, o)
		}
	}
	return ordered
}

func (o Object) key() [2]string { return [2]string{o.Kind, o.Name} }

func readObjects(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]Object, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (o Object, err error) {
		return o, row.Scan(&o.Kind, &o.Name, &o.identity, &o.acl)
	})
}

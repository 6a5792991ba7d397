package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/tenant"
)

// NotIsolated is the reason of a refusal by ProveIsolation: a role reaches what is not its own.
const NotIsolated Reason = "NotIsolated"

// insufficientPrivilege is the SQLSTATE with which PostgreSQL must answer every probe.
const insufficientPrivilege = "42501"

// reachSQL lists what the current role reaches outside the catalogs and its own schema, by its own rights, by PUBLIC's
// or through a group: nothing is the right answer. Roles and control tables are found by index: this is asked of each of
// thousands of tenants, and pg_class has a hundred thousand rows then.
const reachSQL = `
WITH RECURSIVE groups AS (
	SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member WHERE r.rolname = current_user
	UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN groups g ON g.roleid = m.member
), control AS MATERIALIZED (
	SELECT d.objid FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass
		AND d.refobjid = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'circle15') AND d.classid = 'pg_catalog.pg_class'::regclass
)
SELECT 'schema ' || n.nspname FROM pg_catalog.pg_namespace n
WHERE n.nspname <> $1 AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'circle15')
	AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
UNION ALL
SELECT 'role ' || r.rolname FROM groups JOIN pg_catalog.pg_roles r ON r.oid = groups.roleid WHERE r.rolname <> $2
UNION ALL
SELECT 'table circle15.' || c.relname FROM control JOIN pg_catalog.pg_class c ON c.oid = control.objid
WHERE c.relkind IN ('r', 'p', 'v', 'm')
	AND pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
LIMIT 10`

// ProveIsolation becomes the tenant's role and shows that it reaches no other schema: by its rights in the catalogs, and
// by trying to read, write and lock another tenant's table. It returns nil, or what could be reached. It leaves nothing
// behind: the membership that it needs lives and dies in its transaction.
func (p *Provisioner) ProveIsolation(ctx context.Context, name tenant.Name) error {
	tx, err := p.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	var other string
	err = tx.QueryRow(ctx, `SELECT schema_name FROM circle15.tenants WHERE name <> $1 AND state IN ('active', 'suspended')
		ORDER BY random() LIMIT 1`, string(name)).Scan(&other)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if _, err := tx.Exec(ctx, p.grantMembership(name.Role(), OperatorRole)); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "SET LOCAL ROLE "+ident(name.Role())); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, reachSQL, name.Schema(), TenantsRole)
	if err != nil {
		return err
	}
	reached, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(reached) > 0 {
		return refuse(NotIsolated, "the role of tenant %s reaches %s", name, reached[0])
	}
	if other == "" {
		return nil
	}
	return probe(ctx, tx, name, other)
}

// probe tries what a leak would look like. The other schema is only named in messages for the operator's log.
func probe(ctx context.Context, tx pgx.Tx, name tenant.Name, other string) error {
	table := ident(other, "residents")
	for what, sql := range map[string]string{
		"read":  "SELECT 1 FROM " + table + " LIMIT 1",
		"write": "DELETE FROM " + table + " WHERE false",
		"lock":  "LOCK TABLE " + table + " IN ACCESS SHARE MODE",
	} {
		err := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
			_, err := savepoint.Exec(ctx, sql)
			return err
		})
		switch refused, ok := errors.AsType[*pgconn.PgError](err); {
		case ok && refused.Code == insufficientPrivilege:
		case err == nil:
			return refuse(NotIsolated, "the role of tenant %s could %s a table of schema %s", name, what, other)
		default:
			return fmt.Errorf("probing isolation: %w", err)
		}
	}
	return nil
}

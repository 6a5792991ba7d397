package provision

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/tenant"
)

// Difference is how a schema differs from one that this release makes.
type Difference struct {
	Missing     []Object // absent or altered
	WrongGrants []Object // with other rights than the release gives
	Unknown     []Object // made by others; left alone
	Grantees    []string // every role with a right in the schema
	PolicyRows  []string // roles, rules and grants that are not as they were written, where someone has looked
}

// compareWith fills the difference of one schema of the release's version from the reference, but for unknown objects.
func (o *Observation) compareWith(ctx context.Context, tx pgx.Tx, ref *reference) error {
	schema := o.Name.Schema()
	args := []any{[]string{schema}, ref.relations, ref.functions}
	var name string
	var fingerprint int64
	err := tx.QueryRow(ctx, catalogSQL(true)+fingerprintSQL, args...).Scan(&name, &fingerprint)
	if err != nil || fingerprint == ref.fingerprint {
		return err
	}
	have, err := readObjects(ctx, tx, catalogSQL(true)+objectsSQL, args...)
	if err != nil {
		return err
	}
	return o.examine(ctx, tx, ref, have)
}

// compareAll fills the differences of many schemas. One query finds those that differ at all; only they are looked at
// closely.
func compareAll(ctx context.Context, tx pgx.Tx, ref *reference, observations []*Observation) error {
	bySchema := make(map[string]*Observation, len(observations))
	schemas := make([]string, 0, len(observations))
	for _, o := range observations {
		bySchema[o.Name.Schema()] = o
		schemas = append(schemas, o.Name.Schema())
	}
	rows, err := tx.Query(ctx, catalogSQL(false)+fingerprintSQL+` HAVING `+fingerprintExpression+` <> $2`, schemas, ref.fingerprint)
	if err != nil {
		return err
	}
	different, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (schema string, err error) {
		var fingerprint int64
		return schema, row.Scan(&schema, &fingerprint)
	})
	if err != nil {
		return err
	}
	for _, schema := range different {
		have, err := readObjects(ctx, tx, catalogSQL(false)+objectsSQL, []string{schema})
		if err != nil {
			return err
		}
		if err := bySchema[schema].examine(ctx, tx, ref, have); err != nil {
			return err
		}
	}
	return nil
}

func (o *Observation) examine(ctx context.Context, tx pgx.Tx, ref *reference, have []Object) error {
	var err error
	o.Difference.compare(ref.objects, have)
	o.Grantees, err = grantees(ctx, tx, o.Name.Schema())
	return err
}

func (d *Difference) compare(want, have []Object) {
	found := make(map[[2]string]Object, len(have))
	for _, o := range have {
		found[o.key()] = o
	}
	for _, w := range want {
		h, present := found[w.key()]
		switch {
		case !present || h.identity != w.identity:
			d.Missing = append(d.Missing, w)
		case h.acl != w.acl:
			d.WrongGrants = append(d.WrongGrants, w)
		}
		delete(found, w.key())
	}
	for _, h := range have {
		if _, unknown := found[h.key()]; unknown {
			d.Unknown = append(d.Unknown, h)
		}
	}
}

// grantees are the roles that hold a right on the schema or on anything in it.
func grantees(ctx context.Context, tx pgx.Tx, schema string) ([]string, error) {
	rows, err := tx.Query(ctx, `
		WITH acls AS (
			SELECT nspacl AS acl FROM pg_catalog.pg_namespace WHERE nspname = $1
			UNION ALL SELECT relacl FROM pg_catalog.pg_class WHERE relnamespace = $1::text::regnamespace
			UNION ALL SELECT proacl FROM pg_catalog.pg_proc WHERE pronamespace = $1::text::regnamespace
			UNION ALL SELECT a.attacl FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
				WHERE c.relnamespace = $1::text::regnamespace)
		SELECT DISTINCT r.rolname::text FROM acls, pg_catalog.aclexplode(acl) AS x JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
		ORDER BY 1`, schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// planRepair makes the missing objects again that hold no rows, and refuses where rows are gone.
func planRepair(w *plan, name tenant.Name, missing []Object) error {
	var lost []string
	for _, o := range missing {
		switch {
		case o.Kind == "schema": // its rights, which the grants step sets
		case o.definition == "":
			lost = append(lost, o.Kind+" "+o.Name)
		default:
			w.exec(strings.ReplaceAll(o.definition, referenceName, name.Schema()))
		}
	}
	if len(lost) > 0 {
		return refuse(DataLost, "tenant %s has lost or altered %s: restore it from a backup", name, strings.Join(lost, ", "))
	}
	return nil
}

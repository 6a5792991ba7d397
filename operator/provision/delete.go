package provision

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/tenant"
)

// DeletionSteps are the labels of the transactions of a Delete that drops, in order. Each is safe to repeat.
func DeletionSteps() []string { return []string{"mark", "drop schema", "drop role", "forget"} }

// Retire puts a tenant away with its data, whatever its deletion policy: the services lose its role, its division code
// becomes free, and Create with the same name adopts it again.
func (p *Provisioner) Retire(ctx context.Context, name tenant.Name) (Result, error) {
	return p.converge(ctx, name, only("membership", "state"), func(ctx context.Context, tx pgx.Tx, have *Observation) (goal, error) {
		g, err := recorded(name, StateRetained)(ctx, tx, have)
		if err != nil {
			return g, err
		}
		return g, p.checkChildless(ctx, tx, name)
	})
}

// Delete drops the tenant's schema, role and control row, for ever. It refuses unless the tenant's deletion policy is
// Delete, schema and role bear this installation's mark, no live tenant has it as its parent, and the role has nothing in
// another database of the cluster. A Delete that was interrupted is finished by the next.
func (p *Provisioner) Delete(ctx context.Context, name tenant.Name) error {
	for _, s := range p.deletion(name) {
		err := p.inTenantLock(ctx, name, func(tx pgx.Tx) error {
			have, err := p.deletable(ctx, tx, name)
			if err != nil {
				return err
			}
			ddl, rest := s.act(have)
			if ddl != "" {
				if _, err := tx.Exec(ctx, ddl); err != nil {
					return err
				}
			}
			return execAll(ctx, tx, rest)
		})
		if err != nil {
			return err
		}
		if p.cfg.AfterStep != nil {
			if err := p.cfg.AfterStep(ctx, s.label); err != nil {
				return err
			}
		}
	}
	return nil
}

// deletionStep is one transaction of a Delete: its DDL, and the statements after it.
type deletionStep struct {
	label string
	act   func(have *Observation) (ddl string, rest []statement)
}

// deletion is the steps of a Delete, as DeletionSteps names them.
func (p *Provisioner) deletion(name tenant.Name) []deletionStep {
	schema, role := ident(name.Schema()), ident(name.Role())
	return []deletionStep{
		{"mark", func(have *Observation) (string, []statement) {
			ddl := make([]string, 0, len(have.RoleMembers))
			for _, member := range have.RoleMembers {
				ddl = append(ddl, p.revokeMembership(name.Role(), member.Role, member.Grantor))
			}
			return strings.Join(ddl, ";"), []statement{setState(name, StateDeleting)}
		}},
		{"drop schema", func(*Observation) (string, []statement) { return "DROP SCHEMA IF EXISTS " + schema + " CASCADE", nil }},
		{"drop role", func(have *Observation) (string, []statement) {
			if !have.RoleExists {
				return "", nil
			}
			// What the role made outside its schema, a large object, would keep it. To drop that one must be able to act as it.
			become := "GRANT " + role + " TO " + ident(OperatorRole)
			if p.serverVersion >= 160000 {
				become += " WITH INHERIT TRUE"
			}
			return become + "; DROP OWNED BY " + role + "; DROP ROLE " + role, nil
		}},
		{"forget", func(*Observation) (string, []statement) {
			return "", []statement{{`DELETE FROM circle15.tenants WHERE name = $1`, []any{string(name)}}}
		}},
	}
}

// deletable observes the tenant and refuses unless everything allows to drop it.
func (p *Provisioner) deletable(ctx context.Context, tx pgx.Tx, name tenant.Name) (*Observation, error) {
	observations, err := p.observation(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	have := observations[name]
	switch {
	case have.Tenant == nil:
		return nil, refuse(NotFound, "there is no tenant %s", name)
	case have.Tenant.DeletionPolicy != Delete:
		return nil, refuse(PolicyForbids, "tenant %s has the deletion policy %s: its data may not be dropped; "+
			"retire it, or set the policy %s first", name, have.Tenant.DeletionPolicy, Delete)
	}
	if err := p.checkOwnership(have); err != nil {
		return nil, err
	}
	if err := checkNowhereElse(ctx, tx, name); err != nil {
		return nil, err
	}
	return have, p.checkChildless(ctx, tx, name)
}

// checkNowhereElse refuses where the tenant's role owns or may use something in another database, which cannot be dropped
// from here and would keep the role.
func checkNowhereElse(ctx context.Context, tx pgx.Tx, name tenant.Name) error {
	rows, err := tx.Query(ctx, `SELECT DISTINCT d.datname::text FROM pg_catalog.pg_shdepend s
		JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid JOIN pg_catalog.pg_database d ON d.oid = s.dbid
		WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname = $1
			AND d.datname <> pg_catalog.current_database()
		ORDER BY 1`, name.Role())
	if err != nil {
		return err
	}
	databases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(databases) > 0 {
		return refuse(RoleInUse, "role %s has objects or rights in other databases (%s): run DROP OWNED BY %s there as a superuser first",
			name.Role(), strings.Join(databases, ", "), ident(name.Role()))
	}
	return err
}

func (p *Provisioner) checkChildless(ctx context.Context, tx pgx.Tx, name tenant.Name) error {
	rows, err := tx.Query(ctx, `SELECT name FROM circle15.tenants WHERE parent = $1 AND state <> 'retained'
		ORDER BY name LIMIT 5`, string(name))
	if err != nil {
		return err
	}
	children, err := pgx.CollectRows(rows, pgx.RowTo[tenant.Name])
	if err == nil && len(children) > 0 {
		return refuse(HasChildren, "tenant %s is the parent of %s: delete or retire those first", name, joinNames(children))
	}
	return err
}

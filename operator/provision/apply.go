package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/tenant"
)

// Result tells what an operation did.
type Result struct {
	Tenant Tenant
	Did    []string // labels of the steps that had something to do; empty: nothing was missing
}

// decide chooses the goal from what exists, or refuses. parent is the control row of the spec's parent, if any.
type decide func(ctx context.Context, tx pgx.Tx, have *Observation) (goal, error)

// converge brings a tenant to a goal by the steps of the labels, in one transaction, or in one for each step where
// Config.AfterStep is set.
func (p *Provisioner) converge(ctx context.Context, name tenant.Name, chosen []step, decide decide) (Result, error) {
	var did []string
	run := func(batch []step) error {
		return p.inTenantLock(ctx, name, func(tx pgx.Tx) error {
			labels, err := p.convergeIn(ctx, tx, name, batch, decide)
			did = append(did, labels...)
			return err
		})
	}
	if p.cfg.AfterStep == nil {
		if err := run(chosen); err != nil {
			return Result{}, err
		}
	} else {
		for _, s := range chosen {
			if err := run([]step{s}); err != nil {
				return Result{}, err
			}
			if err := p.cfg.AfterStep(ctx, s.label); err != nil {
				return Result{}, err
			}
		}
	}
	t, err := p.Show(ctx, name)
	return Result{Tenant: t, Did: did}, err
}

// convergeIn observes, plans and acts in one transaction: two round trips to look, one for DDL, one for statements.
func (p *Provisioner) convergeIn(ctx context.Context, tx pgx.Tx, name tenant.Name, chosen []step, decide decide) ([]string, error) {
	observations, err := p.observation(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	have := observations[name]
	if err := p.checkOwnership(have); err != nil {
		return nil, err
	}
	w := &plan{}
	if slices.ContainsFunc(chosen, step.compares) {
		if w.ref, err = p.referenceSchema(ctx); err != nil {
			return nil, err
		}
		if have.SchemaExists && have.schemaVersion() == p.tenants.latest() {
			if err := have.compareWith(ctx, tx, w.ref); err != nil {
				return nil, err
			}
			if err := have.comparePolicy(ctx, tx); err != nil {
				return nil, err
			}
		}
	}
	g, err := decide(ctx, tx, have)
	if err != nil {
		return nil, err
	}
	if err := p.plan(w, chosen, g, have); err != nil {
		return nil, err
	}
	if w.ddl.Len() > 0 {
		countDDLUse(tx.Conn())
		if _, err := tx.Exec(ctx, w.ddl.String()); err != nil {
			return nil, err
		}
	}
	return w.did, execAll(ctx, tx, w.statements)
}

func (p *Provisioner) plan(w *plan, chosen []step, g goal, have *Observation) error {
	for _, s := range chosen {
		ddl, statements := w.ddl.Len(), len(w.statements)
		if err := s.plan(p, w, g, have); err != nil {
			return err
		}
		if w.ddl.Len() > ddl || len(w.statements) > statements {
			w.did = append(w.did, s.label)
		}
	}
	return nil
}

// inTenantLock runs fn in a transaction that holds the tenant's lock.
func (p *Provisioner) inTenantLock(ctx context.Context, name tenant.Name, fn func(tx pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		limit := strconv.FormatInt(p.cfg.LockTimeout.Milliseconds(), 10)
		if err := execAll(ctx, tx, []statement{
			{`SELECT pg_catalog.set_config('lock_timeout', $1, true)`, []any{limit}},
			lockSchema(name.Schema()),
		}); err != nil {
			return err
		}
		return fn(tx)
	})
	return p.explain(name, err)
}

// checkOwnership refuses a schema or role that this installation did not make.
func (p *Provisioner) checkOwnership(have *Observation) error {
	switch {
	case have.SchemaExists && !have.SchemaOwned:
		return refuse(ForeignSchema, "schema %s exists and is not marked as a tenant of this installation: "+
			"choose another name, or remove the schema", have.Name.Schema())
	case have.SchemaExists && have.SchemaOwner != OperatorRole:
		return refuse(ForeignSchema, "schema %s is owned by %s instead of %s", have.Name.Schema(), have.SchemaOwner, OperatorRole)
	case have.SchemaExists && have.Tenant != nil && have.schemaMark.Tenant != have.Tenant.ID:
		return refuse(ForeignSchema, "schema %s is marked as another tenant's (%s)", have.Name.Schema(), have.schemaMark.Tenant)
	case have.RoleExists && !have.RoleOwned:
		return refuse(ForeignRole, "role %s exists and is not marked as a tenant of this installation: choose another name, or remove the role",
			have.Name.Role())
	}
	return nil
}

// explain turns errors of the server that have one meaning here into sentences; others pass.
func (p *Provisioner) explain(name tenant.Name, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch {
	case pg.Code == "23505" && pg.ConstraintName == "tenants_division_code_live":
		return refuseField(DivisionTaken, "divisionCode", "another tenant has it")
	case pg.Code == insufficientPrivilege:
		return refuse(PermissionDenied, "tenant %s: the database refuses %s: %s", name, OperatorRole, pg.Message)
	case pg.Code == "55P03":
		return fmt.Errorf("tenant %s is busy: another operation or a long transaction holds a lock: %w", name, err)
	}
	return err
}

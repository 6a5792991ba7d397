package provision

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenant"
)

// Create makes the tenant of the spec, adopts what is left of it (a retained schema, a creation that was interrupted),
// or brings an existing one into line with the spec. It refuses what cannot work with the reasons of Reason. A suspended
// tenant stays suspended.
func (p *Provisioner) Create(ctx context.Context, s Spec) (Result, error) {
	if err := s.normalize(); err != nil {
		return Result{}, err
	}
	return p.CreateFrom(ctx, s.Name, func(*Spec) (Spec, error) { return s, nil })
}

// CreateFrom is Create of the spec that specOf makes of what is recorded of the tenant, nil where there is none, so that
// what it leaves alone stays. It is called under the tenant's lock; its error ends the operation.
func (p *Provisioner) CreateFrom(ctx context.Context, name tenant.Name, specOf func(recorded *Spec) (Spec, error)) (Result, error) {
	if _, err := tenant.ParseName(string(name)); err != nil {
		return Result{}, refuseField(InvalidSpec, "name", "%s", err)
	}
	fresh := ids.New()
	return p.converge(ctx, name, steps, func(ctx context.Context, tx pgx.Tx, have *Observation) (goal, error) {
		var recorded *Spec
		if have.Tenant != nil {
			s := have.Tenant.spec()
			recorded = &s
		}
		s, err := specOf(recorded)
		if err != nil {
			return goal{}, err
		}
		if err := s.normalize(); err != nil {
			return goal{}, err
		}
		if s.Cluster != p.cfg.Cluster {
			return goal{}, refuseField(InvalidSpec, "cluster", "is %q; this is cluster %q", s.Cluster, p.cfg.Cluster)
		}
		return p.created(ctx, tx, have, s, fresh)
	})
}

// created is the goal of Create; fresh is the id of a tenant that has none.
func (p *Provisioner) created(ctx context.Context, tx pgx.Tx, have *Observation, s Spec, fresh uuid.UUID) (goal, error) {
	g := goal{spec: s, tenantID: fresh, state: s.state(have)}
	if have.Tenant == nil {
		if have.schemaMark.Tenant != uuid.Nil {
			g.tenantID = have.schemaMark.Tenant
		}
		return g, p.checkPlace(ctx, tx, s)
	}
	g.tenantID = have.Tenant.ID
	switch have.Tenant.State {
	case StateDeleting:
		return g, refuse(BeingDeleted, "tenant %s is being deleted; create it again when that is done", s.Name)
	case StateRetained:
		if err := p.checkPlace(ctx, tx, s); err != nil {
			return g, err
		}
	case StateActive, StateProvisioning, StateSuspended:
	}
	return g, s.checkUnchanged(have.Tenant)
}

// state is what Create leaves the tenant in.
func (s *Spec) state(have *Observation) State {
	suspended := have.Tenant != nil && have.Tenant.State == StateSuspended
	if s.Suspend != nil {
		suspended = *s.Suspend
	}
	if suspended {
		return StateSuspended
	}
	return StateActive
}

// checkPlace checks the parent and that the division is free.
func (p *Provisioner) checkPlace(ctx context.Context, tx pgx.Tx, s Spec) error {
	rows, err := tx.Query(ctx, `SELECT `+tenantColumns+` FROM circle15.tenants t
		WHERE t.name = $1 OR t.division_code = $2 AND t.state <> 'retained' AND t.name <> $3`, string(s.Parent), s.DivisionCode, string(s.Name))
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, scanTenant)
	if err != nil {
		return err
	}
	var parent *Tenant
	for i := range found {
		if found[i].Name == s.Parent {
			parent = &found[i]
		}
		if found[i].DivisionCode == s.DivisionCode && found[i].State != StateRetained {
			return refuseField(DivisionTaken, "divisionCode", "%s belongs to tenant %s", s.DivisionCode, found[i].Name)
		}
	}
	return s.checkParent(parent, p.cfg.ParentsElsewhere)
}

// recorded is the goal that the control row tells, in the state given or, if empty, its own.
func recorded(name tenant.Name, state State) decide {
	return func(_ context.Context, _ pgx.Tx, have *Observation) (goal, error) {
		if have.Tenant == nil {
			return goal{}, refuse(NotFound, "there is no tenant %s", name)
		}
		g := goal{spec: have.Tenant.spec(), tenantID: have.Tenant.ID, state: state}
		if state == "" {
			g.state = have.Tenant.State
		}
		if have.Tenant.State == StateDeleting {
			return g, refuse(BeingDeleted, "tenant %s is being deleted", name)
		}
		return g, nil
	}
}

// Upgrade brings a tenant to this release's schema, grants, standard roles and rules, and repairs what was changed by
// hand: the role, memberships, rights, indexes, constraints, functions and triggers. A lost table or column is DataLost.
func (p *Provisioner) Upgrade(ctx context.Context, name tenant.Name) (Result, error) {
	return p.converge(ctx, name, steps, func(ctx context.Context, tx pgx.Tx, have *Observation) (goal, error) {
		g, err := recorded(name, "")(ctx, tx, have)
		if g.state == StateProvisioning {
			g.state = StateActive
		}
		return g, err
	})
}

// EnsureGrants replaces the tenant's policy overlay.
func (p *Provisioner) EnsureGrants(ctx context.Context, name tenant.Name, policy Policy) (Result, error) {
	if err := policy.check(); err != nil {
		return Result{}, err
	}
	return p.converge(ctx, name, only("policies"), func(ctx context.Context, tx pgx.Tx, have *Observation) (goal, error) {
		g, err := recorded(name, "")(ctx, tx, have)
		g.spec.Policy = policy
		return g, err
	})
}

// Suspend takes the tenant's role from the services, so that the database itself refuses them, and tells them so.
func (p *Provisioner) Suspend(ctx context.Context, name tenant.Name) (Result, error) {
	return p.converge(ctx, name, only("membership", "state"), ifUsable(recorded(name, StateSuspended)))
}

// Resume undoes Suspend.
func (p *Provisioner) Resume(ctx context.Context, name tenant.Name) (Result, error) {
	return p.converge(ctx, name, only("membership", "state"), ifUsable(recorded(name, StateActive)))
}

// ifUsable refuses for a tenant that is neither active nor suspended.
func ifUsable(next decide) decide {
	return func(ctx context.Context, tx pgx.Tx, have *Observation) (goal, error) {
		if t := have.Tenant; t != nil && (t.State == StateRetained || t.State == StateProvisioning) {
			return goal{}, refuse(NotReady, "tenant %s is %s: create it again first", have.Name, t.State)
		}
		return next(ctx, tx, have)
	}
}

func only(labels ...string) []step {
	var chosen []step
	for _, s := range steps {
		if slices.Contains(labels, s.label) {
			chosen = append(chosen, s)
		}
	}
	return chosen
}

package provision

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Inspect tells what exists of the tenant of a spec, without changing anything. Drift and Stalled are about what Create
// of that spec would do; Drift names every step where the tenant is unknown here. Other than Observe, it takes as long
// among thousands of tenants as among a few.
func (p *Provisioner) Inspect(ctx context.Context, s Spec) (*Observation, error) {
	if err := s.normalize(); err != nil {
		return nil, err
	}
	ref, err := p.referenceSchema(ctx)
	if err != nil {
		return nil, err
	}
	var o *Observation
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, p.pool, options, func(tx pgx.Tx) error {
		found, err := p.observation(ctx, tx, s.Name)
		if err != nil {
			return err
		}
		if o = found[s.Name]; !o.SchemaExists || !o.SchemaOwned || o.schemaVersion() != p.tenants.latest() {
			return nil
		}
		if err := o.compareWith(ctx, tx, ref); err != nil {
			return err
		}
		return o.compareChangedPolicy(ctx, tx)
	})
	if err != nil {
		return nil, err
	}
	return p.judged(o, s, ref), nil
}

// Judge says of what Observe has seen of a tenant what Inspect of the spec would have said then. It asks the database
// nothing.
func (p *Provisioner) Judge(ctx context.Context, seen *Observation, s Spec) (*Observation, error) {
	if err := s.normalize(); err != nil {
		return nil, err
	}
	ref, err := p.referenceSchema(ctx)
	if err != nil {
		return nil, err
	}
	return p.judged(seen, s, ref), nil
}

func (p *Provisioner) judged(seen *Observation, s Spec, ref *reference) *Observation {
	o := *seen
	w := &plan{ref: ref}
	err := p.checkOwnership(&o)
	if err == nil {
		if o.Tenant == nil {
			w.did = Steps()
		} else if err = s.checkUnchanged(o.Tenant); err == nil {
			err = p.plan(w, steps, goal{spec: s, tenantID: o.Tenant.ID, state: s.state(&o)}, &o)
		}
	}
	o.settle(w, err)
	return &o
}

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
		return o.compareWith(ctx, tx, ref)
	})
	if err != nil {
		return nil, err
	}
	w := &plan{ref: ref}
	if err = p.checkOwnership(o); err == nil {
		if o.Tenant == nil {
			w.did = Steps()
		} else if err = s.checkUnchanged(o.Tenant); err == nil {
			err = p.plan(w, steps, goal{spec: s, tenantID: o.Tenant.ID, state: s.state(o)}, o)
		}
	}
	o.judged(w, err)
	return o, nil
}

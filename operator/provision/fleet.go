package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"circle15.dev/internal/tenant"
)

// Observe tells what exists of the tenants named, or of all that are not being deleted, in order of their names, with a
// fixed number of queries however many there are, and one or two more for each whose schema differs, or whose policy was
// changed since it was last seen to be as written.
func (p *Provisioner) Observe(ctx context.Context, names ...tenant.Name) ([]*Observation, error) {
	ref, err := p.referenceSchema(ctx)
	if err != nil {
		return nil, err
	}
	var observations []*Observation
	var good policyVersions
	err = pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if len(names) == 0 {
			var err error
			if names, err = liveNames(ctx, tx); err != nil {
				return err
			}
		}
		found, err := p.observation(ctx, tx, names...)
		if err != nil {
			return err
		}
		var current []*Observation
		for _, name := range names {
			o := found[name]
			observations = append(observations, o)
			if o.SchemaExists && o.SchemaOwned && o.schemaVersion() == p.tenants.latest() {
				current = append(current, o)
			}
		}
		if err := compareAll(ctx, tx, ref, current); err != nil {
			return err
		}
		good, err = comparePolicies(ctx, tx, current)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := p.found(ctx, good); err != nil {
		return nil, err
	}
	for _, o := range observations {
		p.judge(o, ref)
	}
	return observations, nil
}

func liveNames(ctx context.Context, tx pgx.Tx) ([]tenant.Name, error) {
	rows, err := tx.Query(ctx, `SELECT name FROM circle15.tenants WHERE state <> 'deleting' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[tenant.Name])
}

// judge plans, without acting, what Upgrade would do.
func (p *Provisioner) judge(o *Observation, ref *reference) {
	w := &plan{ref: ref}
	err := p.checkOwnership(o)
	if err == nil && o.Tenant != nil {
		g := goal{spec: o.Tenant.spec(), tenantID: o.Tenant.ID, state: o.Tenant.State}
		if g.state == StateProvisioning {
			g.state = StateActive
		}
		err = p.plan(w, steps, g, o)
	}
	o.settle(w, err)
}

// settle records what a plan came to.
func (o *Observation) settle(w *plan, err error) {
	o.Drift, o.Stalled = w.did, nil
	errors.As(err, &o.Stalled)
}

// UpgradeOptions bound an UpgradeAll.
type UpgradeOptions struct {
	Workers  int                   // tenants at a time; 0: two
	Progress func(done, total int) // called after each tenant, by one goroutine at a time; may be nil
}

// UpgradeAll upgrades every tenant in use whose schema, standard rules or policy are not this release's; with nothing to
// do it is one query, however many tenants there are. It goes on after a tenant that fails, tries those again that may
// succeed then, and returns the first ten errors that stay.
func (p *Provisioner) UpgradeAll(ctx context.Context, o UpgradeOptions) (upgraded int, err error) {
	pending, err := p.pending(ctx)
	if err != nil {
		return 0, err
	}
	total := len(pending)
	failures := map[tenant.Name]error{}
	for round := 0; round < 3 && len(pending) > 0; round++ {
		select {
		case <-ctx.Done():
			return upgraded, ctx.Err()
		case <-time.After(time.Duration(round) * time.Second):
		}
		p.upgradeEach(ctx, pending, max(o.Workers, 2), func(name tenant.Name, err error) {
			failures[name] = err
			if err == nil {
				delete(failures, name)
				upgraded++
			}
			if o.Progress != nil {
				o.Progress(upgraded, total)
			}
		})
		pending = worthRetrying(failures)
	}
	return upgraded, firstErrors(failures)
}

// pending are the tenants in use that are behind, or ahead, which Upgrade refuses.
func (p *Provisioner) pending(ctx context.Context) ([]tenant.Name, error) {
	all, err := p.List(ctx, Filter{})
	if err != nil {
		return nil, err
	}
	var names []tenant.Name
	for i := range all {
		t := &all[i]
		if t.State == StateRetained || t.State == StateDeleting {
			continue
		}
		if t.SchemaVersion != p.tenants.latest() || t.State == StateProvisioning || t.policyDigest != t.Policy.digest() {
			names = append(names, t.Name)
		}
	}
	return names, nil
}

// upgradeEach upgrades the tenants, several at a time, and calls done for each, one call at a time.
func (p *Provisioner) upgradeEach(ctx context.Context, names []tenant.Name, workers int, done func(tenant.Name, error)) {
	var mu sync.Mutex
	group := errgroup.Group{}
	group.SetLimit(workers)
	for _, name := range names {
		group.Go(func() error {
			_, err := p.Upgrade(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			done(name, err)
			return nil
		})
	}
	_ = group.Wait() // done has the errors
}

func worthRetrying(failures map[tenant.Name]error) []tenant.Name {
	names := make([]tenant.Name, 0, len(failures))
	for name, err := range failures {
		if ReasonOf(err) == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func firstErrors(failures map[tenant.Name]error) error {
	names := slices.Sorted(maps.Keys(failures))
	list := make([]error, min(len(names), 10))
	for i := range list {
		list[i] = fmt.Errorf("upgrade of tenant %s: %w", names[i], failures[names[i]])
	}
	return errors.Join(list...)
}

package tenant

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/cluster"
	"circle15.dev/operator/provision"
)

// DriftScan looks at every cluster's catalogs, with a fixed number of queries a cluster, and queues the tenants in which
// something is not as it should be, behind new ones, and those whose status tells of another policy, or of other replicas
// that decide by it, than was seen. Stalled tenants and deletions are queued too: what they wait for may lie outside
// Kubernetes, as a schema of another installation that was removed.
type DriftScan struct {
	Scanner
	Every time.Duration
}

// Start scans until the context ends.
func (d *DriftScan) Start(ctx context.Context) error {
	ticker := time.NewTicker(d.Every)
	defer ticker.Stop()
	for {
		d.eachCluster(ctx, "drift scan failed", d.scan)
		if err := d.queueStalled(ctx); err != nil && ctx.Err() == nil {
			slog.ErrorContext(ctx, "stalled tenants were not queued", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-d.Clusters.Opened():
		}
	}
}

func (d *DriftScan) queueStalled(ctx context.Context) error {
	var list v1alpha1.TenantList
	if err := d.Client.List(ctx, &list); err != nil {
		return err
	}
	tenantsByPhase.Reset()
	for i := range list.Items {
		tenantsByPhase.WithLabelValues(string(list.Items[i].Status.Phase)).Inc()
		if phase := list.Items[i].Status.Phase; phase == v1alpha1.PhaseStalled || phase == v1alpha1.PhaseDeleting {
			if err := d.lookAgainAt(ctx, list.Items[i].Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// outdated says whether the status of a settled tenant tells another version of its policy, or other replicas, than was
// seen. The objects come from the cache.
func (d *DriftScan) outdated(ctx context.Context, seen *provision.Observation) bool {
	var t v1alpha1.Tenant
	if d.Client.Get(ctx, client.ObjectKey{Name: string(seen.Name)}, &t) != nil || !settled(&t) {
		return false // it has no object, or is being worked on
	}
	return t.Status.PolicyVersion != seen.Policies.Version || !slices.Equal(t.Status.Acknowledged, seen.Policies.Acknowledged)
}

func (d *DriftScan) scan(ctx context.Context, name string, handle *cluster.Handle) error {
	var observed []*provision.Observation
	began := time.Now()
	err := handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) (err error) {
		observed, err = p.Observe(ctx)
		return err
	})
	if err != nil {
		return err
	}
	scanSeconds.WithLabelValues(name).Observe(time.Since(began).Seconds())
	handle.Scanned(began, observed)
	for _, o := range observed {
		switch {
		case len(o.Drift) > 0 || o.Stalled != nil:
			driftFound.WithLabelValues(name).Inc()
		case !d.outdated(ctx, o):
			continue
		}
		if err := d.lookAgainAt(ctx, string(o.Name)); err != nil {
			return err
		}
	}
	return nil
}

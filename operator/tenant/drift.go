package tenant

import (
	"context"
	"errors"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/cluster"
	"circle15.dev/operator/provision"
)

// DriftScan looks at every cluster's catalogs, with a fixed number of queries a cluster, and queues the tenants in which
// something is not as it should be. It runs on the leader.
type DriftScan struct {
	Clusters *cluster.Pool
	Every    time.Duration
	Drifted  chan<- event.TypedGenericEvent[*v1alpha1.Tenant]
}

// NeedLeaderElection keeps the scan on the leader.
func (d *DriftScan) NeedLeaderElection() bool { return true }

// Start scans until the context ends.
func (d *DriftScan) Start(ctx context.Context) error {
	ticker := time.NewTicker(d.Every)
	defer ticker.Stop()
	for {
		for _, name := range d.Clusters.Names() {
			if err := d.scan(ctx, name); err != nil && ctx.Err() == nil {
				slog.ErrorContext(ctx, "drift scan failed", "cluster", name, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (d *DriftScan) scan(ctx context.Context, name string) error {
	handle, err := d.Clusters.Get(name)
	if errors.Is(err, cluster.ErrUnknown) { // removed meanwhile
		return nil
	} else if err != nil {
		return err
	}
	var observed []*provision.Observation
	started := time.Now()
	err = handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) (err error) {
		observed, err = p.Observe(ctx)
		return err
	})
	if err != nil {
		return err
	}
	scanSeconds.WithLabelValues(name).Observe(time.Since(started).Seconds())
	for _, o := range observed {
		if len(o.Drift) == 0 && o.Stalled == nil {
			continue
		}
		driftFound.WithLabelValues(name).Inc()
		found := event.TypedGenericEvent[*v1alpha1.Tenant]{
			Object: &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: string(o.Name)}},
		}
		select {
		case d.Drifted <- found:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

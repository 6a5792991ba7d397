package tenant

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/cluster"
	"circle15.dev/operator/provision"
)

// PolicyWatch queues the tenants whose policy has another version than their status tells: grants are made, and taken
// back, over REST too, and who did so wants to see when every replica decides by it. It asks each cluster one question
// of one row a tenant, far less than a drift scan does, and so may ask far more often. It runs on the leader.
type PolicyWatch struct {
	Client   client.Reader
	Clusters *cluster.Pool
	Every    time.Duration
	Drifted  chan<- event.TypedGenericEvent[*v1alpha1.Tenant]
}

// NeedLeaderElection keeps the watch on the leader.
func (w *PolicyWatch) NeedLeaderElection() bool { return true }

// Start watches until the context ends.
func (w *PolicyWatch) Start(ctx context.Context) error {
	ticker := time.NewTicker(w.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for _, name := range w.Clusters.Names() {
			if err := w.look(ctx, name); err != nil && ctx.Err() == nil {
				slog.WarnContext(ctx, "the versions of policies were not read", "cluster", name, "error", err)
			}
		}
	}
}

func (w *PolicyWatch) look(ctx context.Context, name string) error {
	handle, err := w.Clusters.Get(name)
	if errors.Is(err, cluster.ErrUnknown) { // removed meanwhile
		return nil
	} else if err != nil {
		return err
	}
	var versions map[tenant.Name]int64
	err = handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) (err error) {
		versions, err = p.PolicyVersions(ctx)
		return err
	})
	if err != nil {
		return err
	}
	var list v1alpha1.TenantList
	if err := w.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil { // thousands, and none is changed
		return err
	}
	for i := range list.Items {
		t := &list.Items[i]
		version, known := versions[tenant.Name(t.Name)]
		if !known || t.Status.Cluster != name || t.Status.PolicyVersion == version || !settled(t) {
			continue
		}
		handle.Outdated(tenant.Name(t.Name))
		if err := lookAgainAt(ctx, w.Drifted, t.Name); err != nil {
			return err
		}
	}
	return nil
}

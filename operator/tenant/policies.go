package tenant

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/cluster"
	"circle15.dev/operator/provision"
)

// PolicyWatch queues the tenants whose policy has another version than their status tells: grants are made, and taken
// back, over REST too, and who did so wants to see when every replica decides by it. It asks each cluster one question
// of one row a tenant, far less than a drift scan does, and so may ask far more often.
type PolicyWatch struct {
	Scanner
	Every time.Duration
}

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
		w.eachCluster(ctx, "the versions of policies were not read", w.look)
	}
}

func (w *PolicyWatch) look(ctx context.Context, name string, handle *cluster.Handle) error {
	var versions map[tenant.Name]int64
	err := handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) (err error) {
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
		if err := w.lookAgainAt(ctx, t.Name); err != nil {
			return err
		}
	}
	return nil
}

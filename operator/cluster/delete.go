package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"circle15.dev/api/tenancy/v1alpha1"
)

// namedTenants is how many tenants a condition names.
const namedTenants = 5

// delete lets the object go once no Tenant is placed on it, whether or not its database can be reached. Until then the
// cluster is kept open, because its tenants' deletions need it, and takes no new ones.
func (r *Reconciler) delete(ctx context.Context, dbc *v1alpha1.DatabaseCluster) (ctrl.Result, error) {
	placing := r.Pool.leave(dbc.Name)
	if !controllerutil.ContainsFinalizer(dbc, v1alpha1.ClusterFinalizer) {
		return ctrl.Result{}, nil // another's finalizer holds it
	}
	// Not from the cache, which may not know yet of a tenant that was placed just before.
	placed, err := r.placed(ctx, dbc.Name)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case placing && len(placed) == 0:
		return ctrl.Result{RequeueAfter: placingPause}, nil
	case len(placed) == 0:
		return ctrl.Result{}, r.release(ctx, dbc)
	}
	before := dbc.Status.DeepCopy()
	dbc.Status.ObservedGeneration = dbc.Generation
	opened := r.check(ctx, dbc)
	r.Pool.attempted(dbc.Name)
	if opened != nil && ctx.Err() != nil {
		return ctrl.Result{}, opened // the operator is stopping
	}
	setReachable(dbc, opened)
	message := inUse(placed)
	if known := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionInUse); known == nil || known.Message != message {
		r.Recorder.Eventf(dbc, nil, "Warning", "InUse", "Delete", "%s", message)
	}
	meta.SetStatusCondition(&dbc.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionInUse, Status: metav1.ConditionTrue, Reason: "TenantsPlaced", Message: message,
		ObservedGeneration: dbc.Generation,
	})
	// The deletion of a Tenant queues the cluster; the pause is for a changed Secret.
	return ctrl.Result{RequeueAfter: again}, errors.Join(permanent(opened), r.Objects.Patch(ctx, dbc, before, &dbc.Status))
}

// placed are the names of the Tenants on the cluster, as the API server has them.
func (r *Reconciler) placed(ctx context.Context, name string) ([]string, error) {
	var names []string
	var list v1alpha1.TenantList
	for {
		if err := r.Uncached.List(ctx, &list, client.Limit(500), client.Continue(list.Continue)); err != nil {
			return nil, err
		}
		for i := range list.Items {
			if list.Items[i].Status.Cluster == name {
				names = append(names, list.Items[i].Name)
			}
		}
		if list.Continue == "" {
			return names, nil
		}
	}
}

// inUse says who keeps the cluster, and what to do about it.
func inUse(placed []string) string {
	listed := strings.Join(placed[:min(len(placed), namedTenants)], ", ")
	if len(placed) > namedTenants {
		listed += ", …"
	}
	if len(placed) == 1 {
		return fmt.Sprintf("1 Tenant is placed here: %s; delete it, and this deletion goes on (its data stay by the policy Retain)", listed)
	}
	return fmt.Sprintf("%d Tenants are placed here: %s; delete them, and this deletion goes on (their data stay by the policy Retain)",
		len(placed), listed)
}

// release lets the object go, and then its connections.
func (r *Reconciler) release(ctx context.Context, dbc *v1alpha1.DatabaseCluster) error {
	before := dbc.DeepCopy()
	controllerutil.RemoveFinalizer(dbc, v1alpha1.ClusterFinalizer)
	return client.IgnoreNotFound(r.Client.Patch(ctx, dbc, client.MergeFrom(before)))
}

// clusterOf queues the deleted cluster that a Tenant which is gone may have kept.
func clusterOf(_ context.Context, o client.Object) []reconcile.Request {
	t, ok := o.(*v1alpha1.Tenant)
	if !ok || t.Status.Cluster == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: t.Status.Cluster}}}
}

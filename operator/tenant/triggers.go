package tenant

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"circle15.dev/api/tenancy/v1alpha1"
)

// ParentIndex is the cache index of tenants by spec.parent.
const ParentIndex = "spec.parent"

// IndexParent is the index function of ParentIndex.
func IndexParent(o client.Object) []string {
	if t, ok := o.(*v1alpha1.Tenant); ok && t.Spec.Parent != "" {
		return []string{t.Spec.Parent}
	}
	return nil
}

// DivisionIndex is the cache index of tenants by spec.divisionCode.
const DivisionIndex = "spec.divisionCode"

// IndexDivision is the index function of DivisionIndex.
func IndexDivision(o client.Object) []string {
	if t, ok := o.(*v1alpha1.Tenant); ok {
		return []string{t.Spec.DivisionCode}
	}
	return nil
}

// children of a tenant wait for it to be Ready.
func (r *Reconciler) children(ctx context.Context, parent client.Object) []reconcile.Request {
	var list v1alpha1.TenantList
	if err := r.Client.List(ctx, &list, client.MatchingFields{ParentIndex: parent.GetName()}); err != nil {
		return nil
	}
	return unready(list.Items)
}

// waiting are the tenants that may go on when a cluster is opened.
func (r *Reconciler) waiting(ctx context.Context, _ *v1alpha1.DatabaseCluster) []reconcile.Request {
	var list v1alpha1.TenantList
	if err := r.Client.List(ctx, &list); err != nil {
		return nil
	}
	return unready(list.Items)
}

// freed are the tenants that may go on when another is gone: its parent's deletion may have waited for it, and its place
// or its division code may be what a stalled tenant needs.
func (r *Reconciler) freed(ctx context.Context, o client.Object) []reconcile.Request {
	var list v1alpha1.TenantList
	if err := r.Client.List(ctx, &list); err != nil {
		return nil
	}
	t, _ := o.(*v1alpha1.Tenant)
	var requests []reconcile.Request
	for i := range list.Items {
		other := &list.Items[i]
		if other.Status.Phase == v1alpha1.PhaseStalled || t != nil && other.Name == t.Spec.Parent && !other.DeletionTimestamp.IsZero() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(other)})
		}
	}
	return requests
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// settledLast queues tenants that are settled behind those that someone waits for: when the operator starts it looks at
// all there are, and one that was made, or changed, while no operator ran must not wait for that.
func settledLast() handler.EventHandler {
	add := func(o client.Object, q queue) {
		t, ok := o.(*v1alpha1.Tenant)
		enqueue(q, client.ObjectKeyFromObject(o), ok && settled(t))
	}
	return handler.Funcs{
		CreateFunc:  func(_ context.Context, e event.CreateEvent, q queue) { add(e.Object, q) },
		UpdateFunc:  func(_ context.Context, e event.UpdateEvent, q queue) { add(e.ObjectNew, q) },
		DeleteFunc:  func(_ context.Context, e event.DeleteEvent, q queue) { add(e.Object, q) },
		GenericFunc: func(_ context.Context, e event.GenericEvent, q queue) { add(e.Object, q) },
	}
}

// behindNewTenants queues a tenant with a low priority: after an upgrade a scan may find them all.
func behindNewTenants() handler.TypedEventHandler[*v1alpha1.Tenant, reconcile.Request] {
	return handler.TypedFuncs[*v1alpha1.Tenant, reconcile.Request]{
		GenericFunc: func(_ context.Context, e event.TypedGenericEvent[*v1alpha1.Tenant], q queue) {
			enqueue(q, client.ObjectKeyFromObject(e.Object), true)
		},
	}
}

// enqueue uses controller-runtime's priority queue.
func enqueue(q queue, key client.ObjectKey, last bool) {
	priority := 0
	if last {
		priority = handler.LowPriority
	}
	if ordered, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		ordered.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, reconcile.Request{NamespacedName: key})
		return
	}
	q.Add(reconcile.Request{NamespacedName: key})
}

func unready(tenants []v1alpha1.Tenant) []reconcile.Request {
	var requests []reconcile.Request
	for i := range tenants {
		if !meta.IsStatusConditionTrue(tenants[i].Status.Conditions, v1alpha1.ConditionReady) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&tenants[i])})
		}
	}
	return requests
}

func deletionStarted() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return true },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
		},
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return true },
	}
}

func becameReady() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok1 := e.ObjectOld.(*v1alpha1.Tenant)
			after, ok2 := e.ObjectNew.(*v1alpha1.Tenant)
			return ok1 && ok2 && before.Status.ReadyTime == nil && after.Status.ReadyTime != nil
		},
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// backoff spreads retries of one tenant between a quarter of a second and two minutes, and all tenants' over fifty a
// second, with jitter: thousands that failed together must not come back together.
func backoff() workqueue.TypedRateLimiter[reconcile.Request] {
	return jittered{workqueue.NewTypedMaxOfRateLimiter(
		workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](250*time.Millisecond, 2*time.Minute),
		&workqueue.TypedBucketRateLimiter[reconcile.Request]{Limiter: rate.NewLimiter(rate.Limit(50), 200)},
	)}
}

// jittered lengthens each delay by up to a quarter.
type jittered struct {
	workqueue.TypedRateLimiter[reconcile.Request]
}

// When implements workqueue.TypedRateLimiter.
func (j jittered) When(r reconcile.Request) time.Duration {
	d := j.TypedRateLimiter.When(r)
	return d + rand.N(d/4+1) //nolint:gosec // spread, not secrecy
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/provision"
	"circle15.dev/operator/status"
)

// again is how often a healthy cluster is looked at: for a changed Secret, and for its count of tenants.
const again = time.Minute

const (
	atOnce       = 4                // clusters worked on at a time
	openLimit    = 30 * time.Second // for logging in, migrating the control schema and counting
	placingPause = 100 * time.Millisecond
)

// Reconciler opens a Provisioner for every DatabaseCluster.
type Reconciler struct {
	Client    client.Client
	Objects   *status.Store
	Uncached  client.Reader // of Secrets, which the operator may get and not list, and of what a cache may not know yet
	Recorder  events.EventRecorder
	Pool      *Pool
	Namespace string // of the connection Secrets
	// Opened tells of each cluster on which tenants may go on: it became prepared, or its spec changed.
	Opened chan<- event.TypedGenericEvent[*v1alpha1.DatabaseCluster]
	// AfterStep is provision.Config's.
	AfterStep func(ctx context.Context, label string) error
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("databasecluster").
		For(&v1alpha1.DatabaseCluster{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})). // a deletion changes it too
		Watches(&v1alpha1.Tenant{}, handler.EnqueueRequestsFromMapFunc(clusterOf), builder.WithPredicates(Gone())).
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}). // one that does not answer must not hold up the others
		Complete(r)
}

// Reconcile brings the pool and the status of one DatabaseCluster up to date.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (_ ctrl.Result, err error) {
	var dbc v1alpha1.DatabaseCluster
	if err := r.Objects.Get(ctx, req.Name, &dbc); apierrors.IsNotFound(err) {
		r.Pool.remove(req.Name)
		r.Pool.attempted(req.Name) // nobody waits for what is no more
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, err
	}
	ctx, span := otel.Tracer("circle15.dev/operator/cluster").Start(ctx, "DatabaseCluster")
	defer span.End()
	if !dbc.DeletionTimestamp.IsZero() {
		return r.delete(ctx, &dbc)
	}
	if err := r.hold(ctx, &dbc); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	before := dbc.Status.DeepCopy()
	dbc.Status.ObservedGeneration = dbc.Generation
	err = r.check(ctx, &dbc)
	r.Pool.attempted(dbc.Name)
	if err != nil && ctx.Err() != nil {
		return ctrl.Result{}, err // the operator is stopping: nothing was learned about the cluster
	}
	setReachable(&dbc, err)
	patched := r.Objects.Patch(ctx, &dbc, before, &dbc.Status)
	if err != nil {
		return ctrl.Result{}, errors.Join(permanent(err), patched)
	}
	if !meta.IsStatusConditionTrue(before.Conditions, v1alpha1.ConditionPrepared) || before.ObservedGeneration != dbc.Generation {
		r.tellOpened(ctx, &dbc)
	}
	return ctrl.Result{RequeueAfter: again}, patched
}

// hold sets the finalizer, before a tenant can be placed.
func (r *Reconciler) hold(ctx context.Context, dbc *v1alpha1.DatabaseCluster) error {
	before := dbc.DeepCopy()
	if !controllerutil.AddFinalizer(dbc, v1alpha1.ClusterFinalizer) {
		return nil
	}
	return r.Client.Patch(ctx, dbc, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// Gone lets deletions pass alone: what waits for an object to be gone may go on.
func Gone() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(event.UpdateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return true },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// check opens the cluster where that is due, and asks it something.
func (r *Reconciler) check(ctx context.Context, dbc *v1alpha1.DatabaseCluster) error {
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	handle, err := r.open(ctx, dbc)
	if err != nil {
		return err
	}
	n, err := handle.Provisioner.Count(ctx)
	dbc.Status.Tenants = int32(n)
	dbc.Status.Version = handle.Provisioner.ServerVersion()
	return err
}

func (r *Reconciler) tellOpened(ctx context.Context, dbc *v1alpha1.DatabaseCluster) {
	select {
	case r.Opened <- event.TypedGenericEvent[*v1alpha1.DatabaseCluster]{Object: dbc.DeepCopy()}:
	case <-ctx.Done():
	}
}

// open returns the pool's handle, opened anew when the spec or the Secret has changed.
func (r *Reconciler) open(ctx context.Context, dbc *v1alpha1.DatabaseCluster) (*Handle, error) {
	var secret corev1.Secret
	key := types.NamespacedName{Namespace: r.Namespace, Name: dbc.Spec.ConnectionSecret.Name}
	if err := r.Uncached.Get(ctx, key, &secret); err != nil {
		return nil, fmt.Errorf("the Secret %s cannot be read: %w", key, err)
	}
	url, ok := secret.Data[dbc.Spec.ConnectionSecret.Key]
	if !ok {
		return nil, fmt.Errorf("the Secret %s has no key %q", key, dbc.Spec.ConnectionSecret.Key)
	}
	version := fmt.Sprintf("%d/%s", dbc.Generation, secret.ResourceVersion)
	if h, err := r.Pool.Get(dbc.Name); err == nil && h.version == version {
		return h, nil
	}
	p, err := provision.Open(ctx, provision.Config{
		OperatorURL: string(url), Cluster: dbc.Name, MaxConns: dbc.Spec.Connections, ParentsElsewhere: true, AfterStep: r.AfterStep,
	})
	if err != nil {
		return nil, err
	}
	h := &Handle{
		Provisioner: p, Class: dbc.Spec.Class, Capacity: dbc.Spec.Capacity,
		slots: make(chan struct{}, dbc.Spec.Connections), version: version,
	}
	r.Pool.put(dbc.Name, h)
	return h, nil
}

// setReachable sets Reachable and Prepared. A refusal means that the operator logged in and found it unfit.
func setReachable(dbc *v1alpha1.DatabaseCluster, err error) {
	good := func(kind, reason, message string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message}
	}
	reachable := good(v1alpha1.ConditionReachable, "LoggedIn", "the operator is logged in")
	prepared := good(v1alpha1.ConditionPrepared, "Prepared", "tenants can be placed")
	if reason := provision.ReasonOf(err); reason != "" {
		prepared.Status, prepared.Reason, prepared.Message = metav1.ConditionFalse, string(reason), err.Error()
	} else if err != nil {
		reachable.Status, reachable.Reason, reachable.Message = metav1.ConditionFalse, "Unreachable", status.Public(err)
		prepared.Status, prepared.Reason, prepared.Message = metav1.ConditionUnknown, "Unreachable", "the cluster cannot be reached"
	}
	for _, c := range []metav1.Condition{reachable, prepared} {
		c.ObservedGeneration = dbc.Generation
		meta.SetStatusCondition(&dbc.Status.Conditions, c)
	}
}

// permanent keeps the queue from retrying what only a change of spec or Secret cures.
func permanent(err error) error {
	if provision.ReasonOf(err) != "" {
		return reconcile.TerminalError(err)
	}
	return err
}

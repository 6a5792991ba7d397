// Package tenant reconciles Tenant objects: a schema, a role and policies on a PostgreSQL cluster for each.
//
// Reconcile reads: get, finalizer first, scope, deferred status, phases in a list. Each phase looks at what exists and
// does what is missing, so the operator may be killed between any two, or within one.
package tenant

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/cluster"
	"circle15.dev/operator/provision"
	"circle15.dev/operator/status"
)

// Reconciler reconciles Tenants.
type Reconciler struct {
	Client   client.Client
	Objects  *status.Store
	Clusters *cluster.Pool
	Recorder events.EventRecorder
	// Now is the clock of grace periods.
	Now func() time.Time
	// Workers is how many tenants are worked on at a time; each DatabaseCluster has a bound of its own.
	Workers int
	// IsolationEvery is how often isolation is proven again without a change.
	IsolationEvery time.Duration
	// Dump writes a final dump before a schema is dropped; nil where no dump location is set.
	Dump Dumper
	// AfterPhase, if set, is called after each phase with its label; its error ends the reconciliation there, as a crash
	// would.
	AfterPhase func(label string) error
	// Opened are the database clusters on which tenants may go on.
	Opened chan event.TypedGenericEvent[*v1alpha1.DatabaseCluster]
	// Drifted are the tenants in which the drift scan found something to repair.
	Drifted chan event.TypedGenericEvent[*v1alpha1.Tenant]

	places         places
	unacknowledged unacknowledged
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("tenant").
		Watches(&v1alpha1.Tenant{}, settledLast(), builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, deletionStarted(),
		))).
		Watches(&v1alpha1.Tenant{}, handler.EnqueueRequestsFromMapFunc(r.children), builder.WithPredicates(becameReady())).
		Watches(&v1alpha1.Tenant{}, handler.EnqueueRequestsFromMapFunc(r.freed), builder.WithPredicates(cluster.Gone())).
		WatchesRawSource(source.TypedChannel(r.Opened, handler.TypedEnqueueRequestsFromMapFunc(r.waiting))).
		WatchesRawSource(source.TypedChannel(r.Drifted, behindNewTenants())).
		WithOptions(controller.Options{MaxConcurrentReconciles: max(1, r.Workers), RateLimiter: backoff()}).
		Complete(r)
}

// Reconcile brings one tenant in line with its object.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	var t v1alpha1.Tenant
	if err := r.Objects.Get(ctx, req.Name, &t); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if t.DeletionTimestamp.IsZero() && !controllerutil.ContainsFinalizer(&t, v1alpha1.Finalizer) {
		before := t.DeepCopy()
		controllerutil.AddFinalizer(&t, v1alpha1.Finalizer)
		if err := r.Client.Patch(ctx, &t, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	ctx, span := tracer.Start(ctx, "Tenant", trace.WithAttributes(attribute.String("circle15.tenant", t.Name)))
	defer span.End()
	s := newScope(&t)
	defer func() {
		if err != nil && ctx.Err() != nil {
			return // the operator is stopping: nothing was learned about the tenant
		}
		r.sumUp(s, err)
		span.SetAttributes(attribute.String("circle15.phase", string(t.Status.Phase)))
		err = errors.Join(conclude(err), r.Objects.Patch(ctx, &t, s.before, &t.Status))
	}()
	if !t.DeletionTimestamp.IsZero() {
		return r.run(ctx, s, r.deletionPhases())
	}
	return r.run(ctx, s, r.phases())
}

// scope is what the phases of one reconciliation share.
type scope struct {
	tenant *v1alpha1.Tenant
	before *v1alpha1.TenantStatus // as last written
	// settled says that everything was done for this generation of the object, so that a look suffices where nothing was
	// changed by hand. A failure of any phase, and the beginning of any change, unsettles.
	settled bool
	// thorough says that isolation was due, and what is looked at with it.
	thorough bool
	handle   *cluster.Handle        // set by the phase that finds the cluster
	did      []string               // steps of provisioning that had something to do
	policies *provision.PolicyState // of a tenant that was only looked at
	again    time.Duration          // when to look again; 0: when something happens
	stop     bool                   // no further phase
}

func newScope(t *v1alpha1.Tenant) *scope {
	s := &scope{tenant: t, before: t.Status.DeepCopy(), settled: settled(t)}
	t.Status.ObservedGeneration = t.Generation
	return s
}

func settled(t *v1alpha1.Tenant) bool {
	done := t.Status.Phase == v1alpha1.PhaseReady || t.Status.Phase == v1alpha1.PhaseSuspended
	return done && t.Status.ObservedGeneration == t.Generation && t.DeletionTimestamp.IsZero()
}

type phase struct {
	label string
	run   func(ctx context.Context, s *scope) error
}

func (r *Reconciler) run(ctx context.Context, s *scope, phases []phase) (ctrl.Result, error) {
	for _, p := range phases {
		if err := traced(ctx, s, p); err != nil {
			if ctx.Err() == nil {
				r.tellFailure(s, p.label, err)
			}
			return ctrl.Result{}, err
		}
		if r.AfterPhase != nil {
			if err := r.AfterPhase(p.label); err != nil {
				return ctrl.Result{}, err
			}
		}
		if s.stop {
			break
		}
	}
	return ctrl.Result{RequeueAfter: s.again, Priority: lowPriority(s)}, nil
}

func traced(ctx context.Context, s *scope, p phase) error {
	ctx, span := tracer.Start(ctx, p.label)
	defer span.End()
	err := p.run(ctx, s)
	if err != nil {
		reason, _ := describe(err)
		span.SetStatus(codes.Error, reason)
	}
	return err
}

// lowPriority keeps a look that nothing asked for behind new tenants; a deletion that waits is not such a look.
func lowPriority(s *scope) *int {
	if s.again == 0 || !s.tenant.DeletionTimestamp.IsZero() {
		return nil
	}
	low := handler.LowPriority
	return &low
}

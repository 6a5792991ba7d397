package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/provision"
	"circle15.dev/operator/status"
)

// again is how often a healthy cluster is looked at: for a changed Secret, and for its count of tenants.
const again = time.Minute

// Reconciler opens a Provisioner for every DatabaseCluster.
type Reconciler struct {
	Client    client.Client
	Secrets   client.Reader // reads without a cache: the operator may get Secrets, not list them
	Pool      *Pool
	Namespace string // of the connection Secrets
	// Opened tells of each cluster that was opened, or opened anew.
	Opened chan<- event.TypedGenericEvent[*v1alpha1.DatabaseCluster]
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("databasecluster").For(&v1alpha1.DatabaseCluster{}).Complete(r)
}

// Reconcile brings the pool and the status of one DatabaseCluster up to date.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (_ ctrl.Result, err error) {
	var dbc v1alpha1.DatabaseCluster
	if err := r.Client.Get(ctx, req.NamespacedName, &dbc); apierrors.IsNotFound(err) {
		r.Pool.remove(req.Name)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, err
	}
	before := dbc.Status.DeepCopy()
	defer func() { err = errors.Join(err, status.Patch(ctx, r.Client, &dbc, before, &dbc.Status)) }()
	dbc.Status.ObservedGeneration = dbc.Generation

	handle, err := r.open(ctx, &dbc)
	r.Pool.attempted(dbc.Name)
	setReachable(&dbc, err)
	if err != nil {
		return ctrl.Result{}, permanent(err)
	}
	if err := r.count(ctx, &dbc, handle); err != nil {
		setReachable(&dbc, err)
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// open returns the pool's handle, opened anew when the spec or the Secret has changed.
func (r *Reconciler) open(ctx context.Context, dbc *v1alpha1.DatabaseCluster) (*Handle, error) {
	var secret corev1.Secret
	key := types.NamespacedName{Namespace: r.Namespace, Name: dbc.Spec.ConnectionSecret.Name}
	if err := r.Secrets.Get(ctx, key, &secret); err != nil {
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
	p, err := provision.Open(ctx, provision.Config{OperatorURL: string(url), Cluster: dbc.Name, MaxConns: dbc.Spec.Connections})
	if err != nil {
		return nil, err
	}
	h := &Handle{
		Provisioner: p, Class: dbc.Spec.Class, Capacity: dbc.Spec.Capacity,
		slots: make(chan struct{}, dbc.Spec.Connections), version: version,
	}
	r.Pool.put(dbc.Name, h)
	select {
	case r.Opened <- event.TypedGenericEvent[*v1alpha1.DatabaseCluster]{Object: dbc.DeepCopy()}:
	case <-ctx.Done():
	}
	return h, nil
}

func (r *Reconciler) count(ctx context.Context, dbc *v1alpha1.DatabaseCluster, h *Handle) error {
	return h.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		n, err := p.Count(ctx)
		dbc.Status.Tenants = int32(n)
		dbc.Status.Version = p.ServerVersion()
		return err
	})
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

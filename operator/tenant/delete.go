package tenant

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/provision"
)

// Dumper writes everything of a schema somewhere safe before it is dropped, and returns when it is there. Writing the
// same tenant again replaces the dump.
type Dumper func(ctx context.Context, name tenant.Name, cluster string) error

// deletionPhases of a Tenant that is being deleted, in order.
func (r *Reconciler) deletionPhases() []phase {
	return []phase{
		{"children", r.checkChildless},
		{"find", r.findPlaced},
		{"retire", r.retire},
		{"grace", r.grace},
		{"dump", r.dump},
		{"drop", r.drop},
		{"release", r.release},
	}
}

// DeletionPhases are the labels of the phases of a deletion, in order.
func DeletionPhases() []string { return labels((&Reconciler{}).deletionPhases()) }

func (s *scope) dropping() bool {
	return s.handle != nil && s.tenant.Spec.DeletionPolicy == v1alpha1.DeletionDelete
}

// checkChildless waits until no living tenant has this one as its parent, on whatever database cluster.
func (r *Reconciler) checkChildless(ctx context.Context, s *scope) error {
	var list v1alpha1.TenantList
	if err := r.Client.List(ctx, &list, client.MatchingFields{ParentIndex: s.tenant.Name}); err != nil {
		return err
	}
	for i := range list.Items {
		if child := &list.Items[i]; child.DeletionTimestamp.IsZero() {
			return stall("HasChildren", "Tenant %q has this one as its parent; delete it first, and the deletion goes on", child.Name)
		}
	}
	return nil
}

// findPlaced gets the cluster. A tenant that was never placed left nothing behind.
func (r *Reconciler) findPlaced(ctx context.Context, s *scope) error {
	if s.tenant.Status.Cluster == "" {
		return nil
	}
	return r.find(ctx, s)
}

// retire takes the tenant out of use, with its data in place, whatever the policy: from now on the services refuse it.
func (r *Reconciler) retire(ctx context.Context, s *scope) error {
	if s.handle == nil {
		return nil
	}
	return s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		row, err := p.Show(ctx, tenant.Name(s.tenant.Name))
		switch {
		case provision.ReasonOf(err) == provision.NotFound:
			return nil
		case err != nil:
			return err
		case row.State == provision.StateRetained || row.State == provision.StateDeleting:
			return nil
		}
		_, err = p.Retire(ctx, tenant.Name(s.tenant.Name))
		return err
	})
}

// grace waits, for policy Delete, until the grace period since the deletion is over.
func (r *Reconciler) grace(_ context.Context, s *scope) error {
	if !s.dropping() {
		s.tenant.Status.DropTime = nil
		return nil
	}
	at := s.tenant.DeletionTimestamp.Add(s.tenant.Spec.DeletionGrace.Duration)
	s.tenant.Status.DropTime = &metav1.Time{Time: at}
	if wait := at.Sub(r.Now()); wait > 0 {
		s.again, s.stop = min(wait, time.Hour), true
	}
	return nil
}

func (r *Reconciler) dump(ctx context.Context, s *scope) error {
	if !s.dropping() || r.Dump == nil {
		return nil
	}
	name := tenant.Name(s.tenant.Name)
	return s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		row, err := p.Show(ctx, name)
		if provision.ReasonOf(err) == provision.NotFound || row.State == provision.StateDeleting {
			return nil // dumped before the drop began
		}
		if err != nil {
			return err
		}
		return r.Dump(ctx, name, s.tenant.Status.Cluster)
	})
}

func (r *Reconciler) drop(ctx context.Context, s *scope) error {
	if !s.dropping() {
		return nil
	}
	return s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		name := tenant.Name(s.tenant.Name)
		// The policy may have been set to Delete after the object was deleted.
		err := p.SetDeletionPolicy(ctx, name, provision.Delete)
		if err == nil {
			err = p.Delete(ctx, name)
		}
		if provision.ReasonOf(err) == provision.NotFound {
			return nil
		}
		return err
	})
}

// release lets the object go, last of all.
func (r *Reconciler) release(ctx context.Context, s *scope) error {
	r.unacknowledged.forget(s.tenant.Name)
	before := s.tenant.DeepCopy()
	if !controllerutil.RemoveFinalizer(s.tenant, v1alpha1.Finalizer) {
		return nil
	}
	outcome := "its schema is retained"
	if s.dropping() {
		outcome = "its schema was dropped"
	}
	r.tellf(s, "Normal", "Deleted", "the tenant was deleted; %s", outcome)
	return client.IgnoreNotFound(r.Client.Patch(ctx, s.tenant, client.MergeFrom(before)))
}

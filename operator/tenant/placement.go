package tenant

import (
	"context"
	"errors"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/cluster"
	"circle15.dev/operator/provision"
)

// place finds the cluster of the tenant, or chooses one: the cluster named, or of the class named (or of none) the one
// with most free capacity. The choice is written to the status before anything is made there, so that a crash in
// between never leaves a schema on a cluster that nobody knows of.
func (r *Reconciler) place(ctx context.Context, s *scope) error {
	st := &s.tenant.Status
	if st.Cluster == "" {
		if err := r.awaitClusters(ctx); err != nil {
			return err
		}
		name, placed, err := r.choose(ctx, s.tenant)
		if err != nil {
			return err
		}
		defer placed()
		st.Cluster = name
		st.Phase = v1alpha1.PhaseProvisioning
		if err := r.Objects.Patch(ctx, s.tenant, s.before, st); err != nil {
			return err
		}
		s.before = st.DeepCopy()
	}
	return r.find(ctx, s)
}

// find gets the tenant's database cluster. It waits until the cluster was tried once, so that a restart of the operator
// does not find Ready tenants on a cluster that it merely has not opened yet.
func (r *Reconciler) find(ctx context.Context, s *scope) error {
	name := s.tenant.Status.Cluster
	err := r.Client.Get(ctx, client.ObjectKey{Name: name}, &v1alpha1.DatabaseCluster{})
	switch {
	case apierrors.IsNotFound(err):
		return stall("ClusterNotPrepared", "the DatabaseCluster %q, which holds the tenant, is gone; create it again", name)
	case err != nil:
		return err
	}
	if err := r.Clusters.AwaitFirstAttempt(ctx, name); err != nil {
		return err
	}
	if s.handle, err = r.Clusters.Get(name); err != nil {
		return stall("ClusterNotPrepared", "the DatabaseCluster %q is not prepared; see its conditions", name)
	}
	return nil
}

// awaitClusters waits until every database cluster was tried once: one that is merely not open yet may hold the schema
// that the tenant is to adopt.
func (r *Reconciler) awaitClusters(ctx context.Context) error {
	var list v1alpha1.DatabaseClusterList
	if err := r.Client.List(ctx, &list); err != nil {
		return err
	}
	for i := range list.Items {
		if err := r.Clusters.AwaitFirstAttempt(ctx, list.Items[i].Name); err != nil {
			return err
		}
	}
	return nil
}

// choose fails where one of the candidates cannot be asked: it may hold the tenant's retained schema, and an empty one
// elsewhere would look like lost data. A cluster that is being deleted takes no tenants, and if it holds this one's
// schema, no other does. Until placed is called, the cluster chosen is not let go.
func (r *Reconciler) choose(ctx context.Context, t *v1alpha1.Tenant) (name string, placed func(), err error) {
	candidates, err := r.candidates(t.Spec.Database)
	if err != nil {
		return "", nil, err
	}
	// One at a time: what one takes, the next must see.
	r.places.choosing.Lock()
	defer r.places.choosing.Unlock()
	best, most := "", 0
	for _, name := range candidates {
		handle, err := r.Clusters.Get(name)
		if err != nil {
			continue
		}
		held, free, err := room(ctx, handle, tenant.Name(t.Name))
		if err != nil {
			return "", nil, err
		}
		if held { // a retained schema, or one whose object lost its status
			return r.placeOn(name)
		}
		if free -= r.places.taken(name, t.Name); free > most && !r.Clusters.Leaving(name) {
			best, most = name, free
		}
	}
	if best == "" {
		return "", nil, stall("NoCapacity",
			"no prepared database cluster that fits spec.database has room; raise spec.capacity of one, or add a DatabaseCluster")
	}
	if name, placed, err = r.placeOn(best); err == nil {
		r.places.take(best, t.Name)
	}
	return name, placed, err
}

func (r *Reconciler) placeOn(name string) (_ string, placed func(), err error) {
	placed, ok := r.Clusters.Place(name)
	if !ok {
		return "", nil, beingDeleted(name)
	}
	return name, placed, nil
}

func beingDeleted(clusterName string) error {
	return stall("ClusterBeingDeleted", "the DatabaseCluster %q is being deleted and takes no Tenants; create it again when it is gone, "+
		"or ask for another in spec.database", clusterName)
}

// places are the tenants that were given a cluster and are not yet counted there.
type places struct {
	choosing sync.Mutex

	mu sync.Mutex
	of map[string]string // cluster by tenant
}

func (p *places) take(clusterName, tenantName string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[string]string{}
	}
	p.of[tenantName] = clusterName
}

func (p *places) giveBack(tenantName string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, tenantName)
}

// taken is how many places of the cluster others have taken.
func (p *places) taken(clusterName, tenantName string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for other, on := range p.of {
		if on == clusterName && other != tenantName {
			n++
		}
	}
	return n
}

// candidates are the names of the clusters that the placement allows.
func (r *Reconciler) candidates(p *v1alpha1.Placement) ([]string, error) {
	if p != nil && p.Cluster != "" {
		if _, err := r.Clusters.Get(p.Cluster); err != nil {
			return nil, stall("ClusterNotPrepared", "spec.database.cluster %q is no prepared DatabaseCluster", p.Cluster)
		}
		if r.Clusters.Leaving(p.Cluster) {
			return nil, beingDeleted(p.Cluster)
		}
		return []string{p.Cluster}, nil
	}
	var names []string
	for _, name := range r.Clusters.Names() {
		handle, err := r.Clusters.Get(name)
		if err == nil && (p == nil || p.Class == "" || handle.Class == p.Class) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, stall("NoCluster", "no prepared DatabaseCluster fits spec.database; create one, or see the conditions of those there are")
	}
	return names, nil
}

// room says whether the cluster holds the tenant already, and how many more tenants it takes.
func room(ctx context.Context, h *cluster.Handle, name tenant.Name) (held bool, free int, err error) {
	err = h.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		if _, err := p.Show(ctx, name); err == nil {
			held = true
			return nil
		} else if r, ok := errors.AsType[*provision.Refusal](err); !ok || r.Reason != provision.NotFound {
			return err
		}
		n, err := p.Count(ctx)
		free = int(h.Capacity) - n
		return err
	})
	return held, free, err
}

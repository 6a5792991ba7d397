package run_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/run"
)

func (w *world) deleteCluster(name string) {
	w.t.Helper()
	var c v1alpha1.DatabaseCluster
	if err := w.client.Get(w.t.Context(), keyOf(name), &c); err != nil {
		w.t.Fatal(err)
	}
	if err := w.client.Delete(w.t.Context(), &c); err != nil {
		w.t.Fatal(err)
	}
}

// awaitCluster waits until the cluster satisfies the condition; of one that is gone it is asked with nil.
func (w *world) awaitCluster(name, what string, holds func(*v1alpha1.DatabaseCluster) bool) {
	w.t.Helper()
	var c v1alpha1.DatabaseCluster
	w.eventually(what, func() bool {
		c = v1alpha1.DatabaseCluster{}
		err := w.client.Get(w.t.Context(), keyOf(name), &c)
		if apierrors.IsNotFound(err) {
			return holds(nil)
		}
		return err == nil && holds(&c)
	}, func() string {
		return name + ": " + c.DeletionTimestamp.String() + " " + strings.Join(c.Finalizers, ",")
	})
}

func (w *world) awaitClusterGone(name string) {
	w.t.Helper()
	w.awaitCluster(name, name+" gone", func(c *v1alpha1.DatabaseCluster) bool { return c == nil })
}

// keptBy waits until the cluster says that these tenants, in order of their names, keep it.
func (w *world) keptBy(name, message string) {
	w.t.Helper()
	w.awaitCluster(name, "the condition that "+message, func(c *v1alpha1.DatabaseCluster) bool {
		if c == nil {
			w.t.Fatal("the cluster is gone")
		}
		in := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionInUse)
		return in != nil && in.Status == "True" && strings.HasPrefix(in.Message, message)
	})
}

func TestAClusterIsKeptWhileTenantsAreOnItAndGoesWithTheLast(t *testing.T) {
	w := setup(t)
	w.addCluster("second", secondDatabase(t), func(s *v1alpha1.DatabaseClusterSpec) { s.Class, s.Capacity = "large", 10 })
	w.operate()
	province := w.province()
	w.awaitReady(province)
	first, other := w.city(province, inClass("large")), w.city(province, inClass("large"))
	for _, c := range []*v1alpha1.Tenant{first, other} {
		if on := w.awaitReady(c).Status.Cluster; on != "second" {
			t.Fatalf("%s is on %s", c.Name, on)
		}
	}
	w.deleteCluster("second")
	names := []string{first.Name, other.Name}
	slices.Sort(names)
	w.keptBy("second", "2 Tenants are placed here: "+strings.Join(names, ", ")+"; delete them")
	w.eventually("an event", func() bool {
		var list eventsv1.EventList
		if err := w.client.List(t.Context(), &list); err != nil {
			return false
		}
		return slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool {
			return e.Regarding.Kind == "DatabaseCluster" && e.Regarding.Name == "second" && e.Reason == "InUse"
		})
	}, func() string { return "none" })

	// It serves those it has, and takes no others.
	if err := w.update(first, func(c *v1alpha1.Tenant) { c.Spec.DisplayName.En = "Served on" }); err != nil {
		t.Fatal(err)
	}
	w.awaitReady(first)
	late := w.city(province, inClass("large"))
	w.awaitReason(late, v1alpha1.PhaseStalled, "NoCapacity")
	named := w.city(province, func(c *v1alpha1.Tenant) { c.Spec.Database = &v1alpha1.Placement{Cluster: "second"} })
	w.awaitReason(named, v1alpha1.PhaseStalled, "ClusterBeingDeleted")

	w.delete(first)
	w.awaitGone(first)
	w.keptBy("second", "1 Tenant is placed here: "+other.Name)
	w.delete(other)
	w.awaitGone(other)
	w.awaitClusterGone("second")
}

func TestAClusterWithoutTenantsIsLetGoThoughItsDatabaseCannotBeReached(t *testing.T) {
	w := setup(t)
	w.addCluster("unreachable", "postgres://circle15_operator:x@127.0.0.1:1/circle15?connect_timeout=1")
	w.operate()
	w.awaitCluster("unreachable", "it is known to be away", func(c *v1alpha1.DatabaseCluster) bool {
		return slices.Contains(c.Finalizers, v1alpha1.ClusterFinalizer) && meta.IsStatusConditionFalse(c.Status.Conditions, v1alpha1.ConditionReachable)
	})
	w.deleteCluster("unreachable")
	w.awaitClusterGone("unreachable")
}

func TestAClusterThatWasDeletedWhileNoOperatorRanIsKeptForItsTenants(t *testing.T) {
	w := setup(t)
	w.addCluster("second", secondDatabase(t), func(s *v1alpha1.DatabaseClusterSpec) { s.Class, s.Capacity = "large", 10 })
	stop := w.operate()
	province := w.province()
	city := w.city(province, inClass("large"), deleteAtOnce)
	w.awaitReady(city)
	stop()
	w.deleteCluster("second")
	w.delete(city)
	w.operate() // the tenant's deletion needs the cluster, which is on its way out too
	w.awaitGone(city)
	w.awaitClusterGone("second")
}

// The operator dies between the choice of a cluster and what is made there, and the cluster is deleted just then.
func TestATenantThatIsBeingPlacedKeepsItsCluster(t *testing.T) {
	w := setup(t)
	w.addCluster("second", secondDatabase(t), func(s *v1alpha1.DatabaseClusterSpec) { s.Class, s.Capacity = "large", 10 })
	stop := w.operate()
	province := w.province()
	w.awaitReady(province)
	stop()
	var died atomic.Bool
	stop = w.operate(func(o *run.Options) {
		o.AfterPhase = func(label string) error {
			var list v1alpha1.TenantList
			if label != "place" {
				return nil
			}
			if err := w.client.List(t.Context(), &list); err != nil {
				return err
			}
			if slices.ContainsFunc(list.Items, func(x v1alpha1.Tenant) bool { return x.Status.Cluster == "second" }) {
				died.Store(true)
				return errors.New("killed after place")
			}
			return nil
		}
	})
	city := w.city(province, inClass("large"))
	w.eventually("death after place", died.Load, func() string { return "it did not come to that" })
	w.deleteCluster("second")
	stop()
	w.operate()
	w.awaitReady(city)
	w.keptBy("second", "1 Tenant is placed here: "+city.Name)
	w.delete(city)
	w.awaitGone(city)
	w.awaitClusterGone("second")
}

func TestATenantDoesNotWaitForAClusterThatWasDeletedMeanwhile(t *testing.T) {
	w := setup(t)
	w.addCluster("second", secondDatabase(t))
	w.deleteCluster("second")
	w.operate()
	w.awaitReady(w.province())
	w.awaitClusterGone("second")
}

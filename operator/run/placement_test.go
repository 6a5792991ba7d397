package run_test

import (
	"testing"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

// secondDatabase is another database of the test's PostgreSQL, prepared as a cluster of its own.
func secondDatabase(t *testing.T) string {
	t.Helper()
	endpoints, err := provision.Bootstrap(t.Context(), provision.BootstrapConfig{
		AdminURL: testenv.Postgres(t).SuperuserURL("postgres"), Database: "circle15_second",
		OperatorPassword: testenv.Password, AppPassword: testenv.Password,
	})
	if err != nil {
		t.Fatal(err)
	}
	return endpoints.OperatorURL
}

func inClass(class string) func(*v1alpha1.Tenant) {
	return func(c *v1alpha1.Tenant) { c.Spec.Database = &v1alpha1.Placement{Class: class} }
}

func TestAClassPlacesACityOnAnotherClusterThanItsProvince(t *testing.T) {
	w := setup(t)
	w.addCluster("second", secondDatabase(t), func(s *v1alpha1.DatabaseClusterSpec) { s.Class, s.Capacity = "large", 10 })
	w.operate()
	province := w.province()
	if on := w.awaitReady(province).Status.Cluster; on != w.cluster {
		t.Errorf("the province is on %s, want the cluster with most free capacity", on)
	}
	city := w.city(province, inClass("large"))
	if on := w.awaitReady(city).Status.Cluster; on != "second" {
		t.Errorf("the city is on %s", on)
	}
	if n := scalar[int](w, `SELECT count(*) FROM circle15.tenants WHERE name = $1`, city.Name); n != 0 {
		t.Error("the city is in the control schema of the other cluster, too")
	}

	twin := tenantOf("twin-elsewhere", v1alpha1.LevelCity, province.Name, city.Spec.DivisionCode)
	w.create(twin)
	w.cleanup(twin)
	w.awaitReason(twin, v1alpha1.PhaseStalled, "DivisionTaken")
	unknown := w.city(province, inClass("small"))
	w.awaitReason(unknown, v1alpha1.PhaseStalled, "NoCluster")

	w.delete(province)
	w.await(province, "deletion that waits for the children", func(now *v1alpha1.Tenant) bool { return readyReason(now) == "HasChildren" })
	for _, child := range []*v1alpha1.Tenant{twin, unknown, city} {
		w.delete(child)
		w.awaitGone(child)
	}
	w.awaitGone(province)
}

func TestATenantGoesWhereMostRoomIs(t *testing.T) {
	w := setup(t)
	w.addCluster("second", secondDatabase(t), func(s *v1alpha1.DatabaseClusterSpec) { s.Capacity = 5000 })
	w.operate()
	province := w.province()
	if on := w.awaitReady(province).Status.Cluster; on != "second" {
		t.Errorf("the province is on %s", on)
	}
	w.delete(province)
	w.awaitGone(province)
	w.setCapacity(9000)
	again := tenantOf(province.Name, v1alpha1.LevelProvince, "", province.Spec.DivisionCode)
	w.create(again)
	if on := w.awaitReady(again).Status.Cluster; on != "second" {
		t.Errorf("the retained schema on second was not adopted: the tenant is on %s", on)
	}
}

func TestAClusterIsNotFilledBeyondItsCapacityByTenantsMadeAtOnce(t *testing.T) {
	w := setup(t)
	w.operate()
	province := w.province()
	w.awaitReady(province)
	w.setCapacity(scalar[int32](w, `SELECT count(*) FROM circle15.tenants`) + 2)
	var cities []*v1alpha1.Tenant
	for range 6 {
		cities = append(cities, w.city(province, deleteAtOnce))
	}
	var ready, stalled []*v1alpha1.Tenant
	for _, city := range cities {
		now := w.await(city, "Ready or NoCapacity", func(now *v1alpha1.Tenant) bool {
			return now.Status.ReadyTime != nil || readyReason(now) == "NoCapacity"
		})
		if now.Status.ReadyTime != nil {
			ready = append(ready, city)
		} else {
			stalled = append(stalled, city)
		}
	}
	if len(ready) != 2 {
		t.Fatalf("%d tenants were placed on a cluster with room for two", len(ready))
	}
	w.delete(ready[0])
	w.awaitGone(ready[0])
	w.eventually("one of the stalled tenants takes the place", func() bool {
		for _, city := range stalled {
			var now v1alpha1.Tenant
			if w.client.Get(t.Context(), keyOf(city.Name), &now) == nil && now.Status.ReadyTime != nil {
				return true
			}
		}
		return false
	}, func() string { return "all are still stalled" })
}

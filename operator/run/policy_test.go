package run_test

import (
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/run"
)

func readyReason(t *v1alpha1.Tenant) string {
	if c := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return c.Reason
	}
	return ""
}

// cityWithStreets has streets that are street offices (街道) in the division table.
func (w *world) cityWithStreets() *v1alpha1.Tenant {
	w.t.Helper()
	province := tenantOf("hainan-streets", v1alpha1.LevelProvince, "", "460000")
	w.create(province)
	w.cleanup(province)
	city := tenantOf("haikou-streets", v1alpha1.LevelCity, province.Name, "460100")
	city.Spec.Stations.FromDivisions = v1alpha1.StationsFromStreets
	w.create(city)
	w.cleanup(city)
	return city
}

func grants(list ...v1alpha1.RoleGrant) func(*v1alpha1.Tenant) {
	return func(c *v1alpha1.Tenant) { c.Spec.Policy.Grants = list }
}

func TestARoleAtAStationIsGrantedOnceTheStationIsThere(t *testing.T) {
	w := setup(t)
	w.operate()
	city := w.cityWithStreets()
	w.awaitReady(city)
	held := func() int {
		return scalar[int](w, `SELECT count(*) FROM `+schemaOf(city)+`.role_grants g JOIN `+schemaOf(city)+`.stations s ON s.id = g.station_id
			WHERE g.subject = 'li.na' AND g.role = 'station_head' AND s.division_code = '460107003'`)
	}
	head := v1alpha1.RoleGrant{Subject: "li.na", Role: "station_head", Station: "460107003"}
	if err := w.update(city, grants(head)); err != nil {
		t.Fatal(err)
	}
	w.awaitReady(city)
	if held() != 1 {
		t.Error("the station's head was not granted the role")
	}
	for what, grant := range map[string]v1alpha1.RoleGrant{
		"a station that is not there":          {Subject: "li.na", Role: "station_head", Station: "110101001"},
		"a station's role without a station":   {Subject: "li.na", Role: "social_worker"},
		"a bureau's role at a station":         {Subject: "li.na", Role: "bureau_admin", Station: "460107003"},
		"a role that nobody knows, at station": {Subject: "li.na", Role: "nobody", Station: "460107003"},
	} {
		if err := w.update(city, grants(grant)); err != nil {
			t.Fatal(err)
		}
		stalled := w.awaitReason(city, v1alpha1.PhaseStalled, "InvalidSpec")
		if c := meta.FindStatusCondition(stalled.Status.Conditions, v1alpha1.ConditionReady); len(c.Message) < 20 {
			t.Errorf("%s: the message %q does not say what to change", what, c.Message)
		}
		if err := w.update(city, grants(head)); err != nil {
			t.Fatal(err)
		}
		w.awaitReady(city)
	}
	if err := w.update(city, grants()); err != nil {
		t.Fatal(err)
	}
	w.awaitReady(city)
	if held() != 0 {
		t.Error("the role was not taken away with the grant")
	}
}

func TestATenantMayHaveRolesOfItsOwn(t *testing.T) {
	w := setup(t)
	w.operate()
	city := w.city(w.province(), func(c *v1alpha1.Tenant) {
		c.Spec.Policy = v1alpha1.PolicyOverlay{
			Roles:  []v1alpha1.Role{{Name: "street_office", DisplayName: v1alpha1.DisplayName{Zh: "街道办", En: "Street office"}}},
			Rules:  []v1alpha1.Rule{{Role: "street_office", Resource: "stations", Action: "list", Level: "tenant"}},
			Grants: []v1alpha1.RoleGrant{{Subject: "wang.fang", Role: "street_office"}},
		}
	})
	w.awaitReady(city)
	if n := scalar[int](w, `SELECT count(*) FROM `+schemaOf(city)+`.role_grants WHERE role = 'street_office' AND subject = 'wang.fang'`); n != 1 {
		t.Errorf("%d grants of the tenant's own role, want 1", n)
	}
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.Policy.Rules[0].Action = "fly" }); err != nil {
		t.Fatal(err)
	}
	w.awaitReason(city, v1alpha1.PhaseStalled, "InvalidSpec")
}

func TestStationsAreMadeAlsoWhenTheOperatorDiedBeforeThem(t *testing.T) {
	w := setup(t)
	stop := w.operate()
	city := w.cityWithStreets()
	w.awaitReady(city)
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.Stations.FromDivisions = v1alpha1.StationsNone }); err != nil {
		t.Fatal(err)
	}
	w.awaitReady(city)
	stop()
	var died atomic.Bool
	stop = w.operate(dieAfter("provision", &died))
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.Stations.FromDivisions = v1alpha1.StationsFromTownships }); err != nil {
		t.Fatal(err)
	}
	w.await(city, "the change seen and failed", func(now *v1alpha1.Tenant) bool {
		return died.Load() && now.Status.ObservedGeneration == now.Generation && now.Status.Phase == v1alpha1.PhaseProvisioning
	})
	stop()
	w.operate()
	if n := w.awaitReady(city).Status.Counts.Stations; n != 46 {
		t.Errorf("%d stations, want the 46 that the division table has", n)
	}
}

func TestADurationThatIsNoneIsRefusedAtAdmission(t *testing.T) {
	w := setup(t)
	for _, grace := range []string{"soon", "-5h", "99999999999h", "1d", ""} {
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "circle15.dev/v1alpha1", "kind": "Tenant", "metadata": map[string]any{"name": "bad-grace"},
			"spec": map[string]any{
				"displayName": map[string]any{"zh": "坏"}, "level": "province", "divisionCode": "460000", "deletionGrace": grace,
			},
		}}
		if err := w.client.Create(t.Context(), u); err == nil {
			t.Errorf("the grace period %q was admitted", grace)
			_ = w.client.Delete(t.Context(), u)
		}
	}
}

func TestIsolationIsProvenOnAScheduleAndALeakIsTold(t *testing.T) {
	w := setup(t)
	w.operate(func(o *run.Options) { o.IsolationEvery, o.DriftEvery = 500*time.Millisecond, 200*time.Millisecond })
	city := w.city(w.province())
	first := w.awaitReady(city).Status.IsolationProvenTime
	w.await(city, "a second proof", func(now *v1alpha1.Tenant) bool { return now.Status.IsolationProvenTime.After(first.Time) })

	w.exec(`CREATE SCHEMA leak; GRANT USAGE ON SCHEMA leak TO ` + schemaOf(city))
	t.Cleanup(func() { w.exec(`DROP SCHEMA IF EXISTS leak CASCADE`) })
	leaking := w.awaitReason(city, v1alpha1.PhaseStalled, "NotIsolated")
	if !meta.IsStatusConditionFalse(leaking.Status.Conditions, v1alpha1.ConditionIsolationProven) {
		t.Error("IsolationProven is not false")
	}
	w.exec(`DROP SCHEMA leak CASCADE`)
	w.awaitReady(city)
}

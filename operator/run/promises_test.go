package run_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/meta"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/standards"
	"circle15.dev/operator/run"
)

func TestATenantWhoseOwnStationsExceedItsQuotaStalls(t *testing.T) {
	w := setup(t)
	w.operate()
	province := w.province()
	w.awaitReady(province)
	city := w.city(province, deleteAtOnce, func(c *v1alpha1.Tenant) {
		c.Spec.Stations.FromDivisions, c.Spec.Quotas.Stations = v1alpha1.StationsFromTownships, new(int32(3))
	})
	stalled := w.awaitReason(city, v1alpha1.PhaseStalled, "QuotaExceeded")
	if c := meta.FindStatusCondition(stalled.Status.Conditions, v1alpha1.ConditionReady); !strings.Contains(c.Message, "spec.quotas.stations is 3") {
		t.Errorf("the message %q does not tell the quota", c.Message)
	}
	if n := scalar[int](w, `SELECT count(*) FROM circle15.tenants WHERE name = $1`, city.Name); n != 0 {
		t.Error("something was made of a tenant that cannot be")
	}
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.Quotas.Stations = nil }); err != nil {
		t.Fatal(err)
	}
	stations := w.awaitReady(city).Status.Counts.Stations
	if stations <= 3 {
		t.Fatalf("%d stations; the test is about a city with more", stations)
	}

	// A quota that is lowered closes no station, and keeps from nothing that makes none.
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.Quotas.Stations = new(int32(2)) }); err != nil {
		t.Fatal(err)
	}
	if n := w.awaitReady(city).Status.Counts.Stations; n != stations {
		t.Errorf("%d of %d stations are left", n, stations)
	}
	w.exec(`DELETE FROM ` + schemaOf(city) + `.service_facts; DELETE FROM ` + schemaOf(city) + `.stations`)
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.DisplayName.En = "Again" }); err != nil {
		t.Fatal(err)
	}
	w.awaitReason(city, v1alpha1.PhaseStalled, "QuotaExceeded")
	if n := scalar[int](w, `SELECT count(*) FROM `+schemaOf(city)+`.stations`); n != 0 {
		t.Errorf("%d stations were made above the quota", n)
	}
}

func TestAnUnknownStandardsPackIsRefusedAtAdmission(t *testing.T) {
	w := setup(t)
	bad := tenantOf("bad-pack", v1alpha1.LevelProvince, "", "460000")
	bad.Spec.StandardsPack = "hainan-2024"
	if err := w.client.Create(t.Context(), bad); err == nil || !strings.Contains(err.Error(), standards.Known()[0]) {
		t.Errorf("got %v, want a refusal that names the packs", err)
		w.cleanup(bad)
	}
	w.operate()
	good := w.province()
	if err := w.update(good, func(p *v1alpha1.Tenant) { p.Spec.StandardsPack = standards.Known()[0] }); err != nil {
		t.Fatal(err)
	}
	w.awaitReady(good)
}

func TestTheDefinitionAdmitsThePacksOfThisRelease(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "charts", "circle15", "crds", "circle15.dev_tenants.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Enum       []string          `yaml:"enum"`
		Properties map[string]schema `yaml:"properties"`
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema map[string]schema `yaml:"schema"`
			} `yaml:"versions"`
		} `yaml:"spec"`
	}
	_ = yaml.Unmarshal(text, &crd) // other enumerations are not of texts
	if got := crd.Spec.Versions[0].Schema["openAPIV3Schema"].Properties["spec"].Properties["standardsPack"].Enum; !slices.Equal(got, standards.Known()) {
		t.Errorf("the definition admits %v; this release has %v", got, standards.Known())
	}
}

func TestAPolicyChangedByHandIsFoundAndPutBack(t *testing.T) {
	w := setup(t)
	w.operate(func(o *run.Options) { o.DriftEvery = 200 * time.Millisecond })
	city := w.cityWithStreets()
	w.awaitReady(city)
	if err := w.update(city, func(c *v1alpha1.Tenant) {
		c.Spec.Policy = v1alpha1.PolicyOverlay{
			Roles: []v1alpha1.Role{{Name: "street_office", DisplayName: v1alpha1.DisplayName{Zh: "街道办", En: "Street office"}}},
			Rules: []v1alpha1.Rule{{Role: "street_office", Resource: "stations", Action: "list", Level: "tenant"}},
			Grants: []v1alpha1.RoleGrant{
				{Subject: "zhang.wei", Role: "bureau_admin"}, {Subject: "li.na", Role: "station_head", Station: "460107003"},
			},
		}
	}); err != nil {
		t.Fatal(err)
	}
	w.awaitReady(city)
	schema := schemaOf(city)
	// The tenant's own, which is nobody's to take away.
	w.exec(`INSERT INTO ` + schema + `.roles (name, title_zh, title_en) VALUES ('own_role', '自定', 'Own') ON CONFLICT DO NOTHING;
		INSERT INTO ` + schema + `.role_rules VALUES ('own_role', 'stations', 'list', 'tenant') ON CONFLICT DO NOTHING;
		INSERT INTO ` + schema + `.role_grants (id, subject, role, created_by) VALUES (gen_random_uuid(), 'wang.fang', 'own_role', 'zhang.wei') ON CONFLICT DO NOTHING`)
	own := `(SELECT count(*) FROM ` + schema + `.role_grants WHERE subject = 'wang.fang') = 1`
	for what, damage := range map[string]struct{ do, repaired string }{
		"a standard rule that is gone":    {`DELETE FROM ` + schema + `.role_rules WHERE role = 'social_worker'`, `SELECT count(*) > 5 FROM ` + schema + `.role_rules WHERE role = 'social_worker'`},
		"a rule that reaches further":     {`UPDATE ` + schema + `.role_rules SET level = 'tenant' WHERE role = 'social_worker'`, `SELECT count(*) > 0 FROM ` + schema + `.role_rules WHERE role = 'social_worker' AND level <> 'tenant'`},
		"a rule added to a standard role": {`INSERT INTO ` + schema + `.role_rules VALUES ('volunteer_coordinator', 'roles', 'create', 'tenant')`, `SELECT count(*) = 0 FROM ` + schema + `.role_rules WHERE role = 'volunteer_coordinator' AND resource = 'roles'`},
		"a role of the overlay":           {`DELETE FROM ` + schema + `.roles WHERE name = 'street_office'`, `SELECT count(*) = 1 FROM ` + schema + `.role_rules WHERE role = 'street_office'`},
		"a first administrator's grant":   {`DELETE FROM ` + schema + `.role_grants WHERE subject = 'zhang.wei'`, `SELECT count(*) = 1 FROM ` + schema + `.role_grants WHERE subject = 'zhang.wei' AND role = 'bureau_admin'`},
		"a grant at a station":            {`DELETE FROM ` + schema + `.role_grants WHERE subject = 'li.na'`, `SELECT count(*) = 1 FROM ` + schema + `.role_grants g JOIN ` + schema + `.stations s ON s.id = g.station_id WHERE subject = 'li.na' AND s.division_code = '460107003'`},
	} {
		w.exec(damage.do)
		w.eventually(what+" put back", func() bool { return scalar[bool](w, damage.repaired) }, func() string { return damage.repaired })
		if !scalar[bool](w, `SELECT `+own) {
			t.Errorf("%s: what the tenant's own administrators granted is gone", what)
		}
	}
	w.await(city, "PoliciesReady", func(now *v1alpha1.Tenant) bool {
		return now.Status.Phase == v1alpha1.PhaseReady && meta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionPoliciesReady)
	})
}

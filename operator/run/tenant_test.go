package run_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/divisions"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/run"
)

func schemaOf(t *v1alpha1.Tenant) string { return tenant.Name(t.Name).Schema() }

func TestAProvinceAndACityBecomeReadyWithRoleSchemaAndProof(t *testing.T) {
	w := setup(t)
	w.operate()
	province := w.province()
	city := w.city(province, func(c *v1alpha1.Tenant) {
		c.Spec.Policy.Grants = []v1alpha1.RoleGrant{{Subject: "first-admin", Role: "bureau_admin"}}
	})
	ready := w.awaitReady(city)
	for _, kind := range []string{
		v1alpha1.ConditionRoleReady, v1alpha1.ConditionSchemaReady, v1alpha1.ConditionMigrated,
		v1alpha1.ConditionPoliciesReady, v1alpha1.ConditionIsolationProven,
	} {
		if !meta.IsStatusConditionTrue(ready.Status.Conditions, kind) {
			t.Errorf("%s is not true: %+v", kind, meta.FindStatusCondition(ready.Status.Conditions, kind))
		}
	}
	if ready.Status.Schema != schemaOf(city) || ready.Status.Cluster != w.cluster || ready.Status.SchemaVersion == 0 || ready.Status.Counts == nil {
		t.Errorf("status does not tell what was made: %+v", ready.Status)
	}
	if got := scalar[int](w, `SELECT count(*) FROM `+schemaOf(city)+`.role_grants WHERE subject = 'first-admin' AND role = 'bureau_admin'`); got != 1 {
		t.Errorf("the first administrator has %d grants, want 1", got)
	}
}

func TestStationsComeFromTheDivisionTable(t *testing.T) {
	w := setup(t)
	w.operate()
	if taken(w, "460000") || taken(w, "460100") {
		t.Fatal("Haikou is taken by another test")
	}
	hainan := tenantOf("hainan-test", v1alpha1.LevelProvince, "", "460000")
	w.create(hainan)
	w.cleanup(hainan)
	haikou := tenantOf("haikou-test", v1alpha1.LevelCity, hainan.Name, "460100")
	haikou.Spec.Stations.FromDivisions = v1alpha1.StationsFromStreets
	w.create(haikou)
	w.cleanup(haikou)
	ready := w.awaitReady(haikou)
	if ready.Status.Counts.Stations != 21 {
		t.Errorf("status counts %d stations, want Haikou's 21 streets", ready.Status.Counts.Stations)
	}
	schema := schemaOf(haikou)
	if n := scalar[int](w, `SELECT sum(amount) FROM `+schema+`.service_facts WHERE measure = 'stations'`); n != 21 {
		t.Errorf("%d stations are counted by facts, want 21", n)
	}
	if name := scalar[string](w, `SELECT display_name FROM `+schema+`.stations WHERE division_code = '460107003'`); !strings.HasPrefix(name, "滨江街道") {
		t.Errorf("station 460107003 is called %q", name)
	}
	for _, x := range []*v1alpha1.Tenant{haikou, hainan} { // Haikou's codes are for whoever comes next
		if err := w.update(x, deleteAtOnce); err != nil {
			t.Fatal(err)
		}
		w.delete(x)
		w.awaitGone(x)
	}
}

func TestAChangeOfTheSpecReachesTheDatabase(t *testing.T) {
	w := setup(t)
	w.operate()
	city := w.city(w.province())
	w.awaitReady(city)
	limit := int32(7)
	if err := w.update(city, func(c *v1alpha1.Tenant) {
		c.Spec.DisplayName.Zh, c.Spec.Quotas.RequestsPerSecond = "新名字", &limit
		c.Spec.Policy.Rules = []v1alpha1.Rule{{Role: "auditor", Resource: "stations", Action: "list", Level: "tenant"}}
	}); err != nil {
		t.Fatal(err)
	}
	w.awaitReady(city)
	if name := scalar[string](w, `SELECT display_name_zh FROM circle15.tenants WHERE name = $1`, city.Name); name != "新名字" {
		t.Errorf("the control schema says %q", name)
	}
	if got := scalar[int32](w, `SELECT requests_per_second FROM circle15.tenants WHERE name = $1`, city.Name); got != limit {
		t.Errorf("the quota is %d, want %d", got, limit)
	}
	if level := scalar[string](w, `SELECT level FROM `+schemaOf(city)+`.role_rules WHERE role = 'auditor' AND resource = 'stations' AND action = 'list'`); level != "tenant" {
		t.Errorf("the overlay's rule has level %q", level)
	}
}

func TestWhatCannotWorkIsRefusedAtAdmission(t *testing.T) {
	w := setup(t)
	for name, x := range map[string]*v1alpha1.Tenant{
		"a province with a parent":          tenantOf("bad-1", v1alpha1.LevelProvince, "hainan", "460000"),
		"a city without a parent":           tenantOf("bad-2", v1alpha1.LevelCity, "", "460100"),
		"a city with a province's code":     tenantOf("bad-3", v1alpha1.LevelCity, "hainan", "460000"),
		"a name with a dot":                 tenantOf("bad.4", v1alpha1.LevelProvince, "", "460000"),
		"a name that starts with a digit":   tenantOf("4bad", v1alpha1.LevelProvince, "", "460000"),
		"a name of 41 characters":           tenantOf(strings.Repeat("a", 41), v1alpha1.LevelProvince, "", "460000"),
		"a code of five digits":             tenantOf("bad-7", v1alpha1.LevelProvince, "", "46000"),
		"its own parent":                    tenantOf("bad-8", v1alpha1.LevelCity, "bad-8", "460100"),
		"a district with a city's code":     tenantOf("bad-10", v1alpha1.LevelDistrict, "haikou", "460100"),
		"an unknown level":                  tenantOf("bad-9", "street", "hainan", "460100"),
		"a negative quota":                  bad(func(s *v1alpha1.TenantSpec) { s.Quotas.Residents = new(int32(-1)) }),
		"a quota of no requests at all":     bad(func(s *v1alpha1.TenantSpec) { s.Quotas.RequestsPerSecond = new(int32(0)) }),
		"two placements":                    bad(func(s *v1alpha1.TenantSpec) { s.Database = &v1alpha1.Placement{Cluster: "a", Class: "b"} }),
		"stations from nowhere":             bad(func(s *v1alpha1.TenantSpec) { s.Stations.FromDivisions = "villages" }),
		"a policy of deletion that is none": bad(func(s *v1alpha1.TenantSpec) { s.DeletionPolicy = "Forget" }),
		"a rule that reaches nowhere": bad(func(s *v1alpha1.TenantSpec) {
			s.Policy.Rules = []v1alpha1.Rule{{Role: "auditor", Resource: "stations", Action: "list", Level: "world"}}
		}),
	} {
		if err := w.client.Create(t.Context(), x); err == nil {
			t.Errorf("%s was admitted", name)
			w.cleanup(x)
		}
	}
}

// bad is a province that would be admitted but for the change.
func bad(change func(*v1alpha1.TenantSpec)) *v1alpha1.Tenant {
	t := tenantOf("bad-province", v1alpha1.LevelProvince, "", "460000")
	change(&t.Spec)
	return t
}

func TestPlacementAndDivisionCodeAreFixedOnceReady(t *testing.T) {
	w := setup(t)
	w.operate()
	city := w.city(w.province())
	w.awaitReady(city)
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.DivisionCode = "460300" }); err == nil {
		t.Error("the division code could be changed")
	}
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.Database = &v1alpha1.Placement{Cluster: "other"} }); err == nil {
		t.Error("the placement could be changed")
	}
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.Parent = "other" }); err == nil {
		t.Error("the parent could be changed")
	}
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.Level = v1alpha1.LevelDistrict }); err == nil {
		t.Error("the level could be changed")
	}
}

func TestASpecThatCannotWorkStallsWithAReason(t *testing.T) {
	w := setup(t)
	w.operate()
	province := w.province()
	city := w.city(province)
	w.awaitReady(city)

	orphan := tenantOf("orphan-city", v1alpha1.LevelCity, "nobody", "460300")
	w.create(orphan)
	w.cleanup(orphan)
	w.awaitReason(orphan, v1alpha1.PhaseStalled, "UnknownParent")

	under := tenantOf("city-under-city", v1alpha1.LevelCity, city.Name, "460300")
	w.create(under)
	w.cleanup(under)
	w.awaitReason(under, v1alpha1.PhaseStalled, "WrongParent")

	district := tenantOf("district-of-city", v1alpha1.LevelDistrict, city.Name, divisions.Children(city.Spec.DivisionCode)[0].Code)
	w.create(district)
	w.cleanup(district)
	w.awaitReady(district)
	below := tenantOf("city-under-district", v1alpha1.LevelCity, district.Name, "460300")
	w.create(below)
	w.cleanup(below)
	w.awaitReason(below, v1alpha1.PhaseStalled, "WrongParent")

	twin := tenantOf("twin", v1alpha1.LevelCity, province.Name, city.Spec.DivisionCode)
	w.create(twin)
	w.cleanup(twin)
	w.awaitReason(twin, v1alpha1.PhaseStalled, "DivisionTaken")

	nowhere := tenantOf("nowhere", v1alpha1.LevelProvince, "", "990000")
	w.create(nowhere)
	w.cleanup(nowhere)
	w.awaitReason(nowhere, v1alpha1.PhaseStalled, "UnknownDivision")
}

func TestAForeignSchemaOfTheNameIsNotTouched(t *testing.T) {
	w := setup(t)
	w.exec(`CREATE SCHEMA t_foreign_city`)
	w.exec(`CREATE TABLE t_foreign_city.precious (id int)`)
	t.Cleanup(func() { w.exec(`DROP SCHEMA t_foreign_city CASCADE`) })
	w.operate()
	province := w.province()
	w.awaitReady(province)
	x := tenantOf("foreign-city", v1alpha1.LevelCity, province.Name, w.cityCode(province))
	w.create(x)
	w.cleanup(x)
	w.awaitReason(x, v1alpha1.PhaseStalled, "ForeignSchema")
	if n := scalar[int](w, `SELECT count(*) FROM pg_tables WHERE schemaname = 't_foreign_city'`); n != 1 {
		t.Errorf("the foreign schema has %d tables, want its one", n)
	}
}

func TestAForeignRoleOfTheNameIsNotTouchedAndTheTenantGoesOnWhenItIsGone(t *testing.T) {
	w := setup(t)
	w.exec(`CREATE ROLE t_foreign_role LOGIN`)
	w.operate(func(o *run.Options) { o.DriftEvery = 200 * time.Millisecond })
	province := w.province()
	w.awaitReady(province)
	x := tenantOf("foreign-role", v1alpha1.LevelCity, province.Name, w.cityCode(province))
	w.create(x)
	w.cleanup(x)
	w.awaitReason(x, v1alpha1.PhaseStalled, "ForeignRole")
	if !scalar[bool](w, `SELECT rolcanlogin FROM pg_roles WHERE rolname = 't_foreign_role'`) {
		t.Error("the foreign role was altered")
	}
	w.exec(`DROP ROLE t_foreign_role`)
	w.awaitReady(x)
}

func TestDriftIsFoundAndRepaired(t *testing.T) {
	w := setup(t)
	w.operate(func(o *run.Options) { o.DriftEvery = 200 * time.Millisecond })
	city := w.city(w.province())
	w.awaitReady(city)
	schema := schemaOf(city)
	for what, damage := range map[string]struct{ do, repaired string }{
		"a dropped grant":       {`REVOKE SELECT ON ` + schema + `.cases FROM ` + schema, `SELECT has_table_privilege('` + schema + `', '` + schema + `.cases', 'SELECT')`},
		"a grant to another":    {`GRANT USAGE ON SCHEMA ` + schema + ` TO PUBLIC`, `SELECT NOT EXISTS (SELECT FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = '` + schema + `' AND a.grantee = 0)`},
		"a missing index":       {`DROP INDEX ` + schema + `.cases_station`, `SELECT to_regclass('` + schema + `.cases_station') IS NOT NULL`},
		"a role that may login": {`ALTER ROLE ` + schema + ` LOGIN`, `SELECT NOT rolcanlogin FROM pg_roles WHERE rolname = '` + schema + `'`},
		"a lost membership":     {`REVOKE ` + schema + ` FROM circle15_app`, `SELECT pg_has_role('circle15_app', '` + schema + `', 'MEMBER')`},
	} {
		w.exec(damage.do)
		w.eventually(what+" repaired", func() bool { return scalar[bool](w, damage.repaired) }, func() string { return damage.repaired })
	}
	w.awaitReady(city)
}

func TestATenantWhoseDataAreGoneStallsInsteadOfStartingEmpty(t *testing.T) {
	w := setup(t)
	w.operate(func(o *run.Options) { o.DriftEvery = 200 * time.Millisecond })
	province := w.province()
	dropped, unknown := w.city(province), w.city(province)
	w.awaitReady(dropped)
	w.awaitReady(unknown)
	w.exec(`DROP SCHEMA ` + schemaOf(dropped) + ` CASCADE`)
	w.awaitReason(dropped, v1alpha1.PhaseStalled, "DataLost")
	// As in a database that was made anew, or is another than it was.
	w.exec(`DROP SCHEMA ` + schemaOf(unknown) + ` CASCADE; DELETE FROM circle15.tenants WHERE name = '` + unknown.Name + `'`)
	if err := w.update(unknown, func(c *v1alpha1.Tenant) { c.Spec.DisplayName.En = "Changed" }); err != nil {
		t.Fatal(err)
	}
	w.awaitReason(unknown, v1alpha1.PhaseStalled, "DataLost")
	for _, x := range []*v1alpha1.Tenant{dropped, unknown} {
		if n := scalar[int](w, `SELECT count(*) FROM pg_namespace WHERE nspname = $1`, schemaOf(x)); n != 0 {
			t.Errorf("an empty schema was made for %s", x.Name)
		}
		if err := w.update(x, deleteAtOnce); err != nil {
			t.Fatal(err)
		}
		w.delete(x)
		w.awaitGone(x)
	}
	again := tenantOf(dropped.Name, v1alpha1.LevelCity, province.Name, dropped.Spec.DivisionCode)
	w.create(again)
	w.awaitReady(again)
}

func TestASuspendedTenantIsTakenFromTheServicesAndGivenBack(t *testing.T) {
	w := setup(t)
	w.operate()
	city := w.city(w.province())
	w.awaitReady(city)
	suspend := func(on bool) {
		if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.Suspend = on }); err != nil {
			t.Fatal(err)
		}
	}
	suspend(true)
	suspended := w.awaitReason(city, v1alpha1.PhaseSuspended, "Suspended")
	if !meta.IsStatusConditionTrue(suspended.Status.Conditions, v1alpha1.ConditionSuspended) {
		t.Error("the condition Suspended is not true")
	}
	if state := scalar[string](w, `SELECT state FROM circle15.tenants WHERE name = $1`, city.Name); state != "suspended" {
		t.Errorf("the services are told %q", state)
	}
	if scalar[bool](w, `SELECT pg_has_role('circle15_app', $1, 'MEMBER')`, schemaOf(city)) {
		t.Error("the services may still become the tenant's role")
	}
	suspend(false)
	w.awaitReady(city)
	if !scalar[bool](w, `SELECT pg_has_role('circle15_app', $1, 'MEMBER')`, schemaOf(city)) {
		t.Error("the services did not get the role back")
	}
}

func TestACityWaitsForItsProvince(t *testing.T) {
	w := setup(t)
	w.operate()
	province := w.province()
	w.awaitReady(province)
	city := tenantOf("early-city", v1alpha1.LevelCity, "late-province", "620100")
	if taken(w, "620000") {
		t.Fatal("Gansu is taken by another test")
	}
	w.create(city)
	w.cleanup(city)
	w.awaitReason(city, v1alpha1.PhaseStalled, "UnknownParent")
	late := tenantOf("late-province", v1alpha1.LevelProvince, "", "620000")
	w.create(late)
	w.cleanup(late)
	w.awaitReady(city)
}

func TestAFullClusterStallsUntilItHasRoom(t *testing.T) {
	w := setup(t)
	w.operate()
	province := w.province()
	w.awaitReady(province)
	w.setCapacity(scalar[int32](w, `SELECT count(*) FROM circle15.tenants`))
	city := w.city(province)
	w.awaitReason(city, v1alpha1.PhaseStalled, "NoCapacity")
	w.setCapacity(1000)
	w.awaitReady(city)
}

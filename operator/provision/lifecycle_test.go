package provision_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

func TestASuspendedTenantIsRefusedByTheDatabaseItself(t *testing.T) {
	platform := testenv.Provisioned(t)
	p, name := platform.Provisioner, testenv.NewTenant(t)
	app := connect(t, platform.AppURL)
	if err := asTenant(t.Context(), app, name, "SELECT count(*) FROM {schema}.stations"); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Suspend(t.Context(), name); err != nil || r.Tenant.State != provision.StateSuspended {
		t.Fatalf("state %s, error %v", r.Tenant.State, err)
	}
	wantCode(t, asTenant(t.Context(), app, name, "SELECT 1"), insufficientPrivilege)
	if r, err := p.Upgrade(t.Context(), name); err != nil || r.Tenant.State != provision.StateSuspended || len(r.Did) != 0 {
		t.Errorf("an upgrade of a suspended tenant did %v, state %s, error %v", r.Did, r.Tenant.State, err)
	}
	if r, err := p.Resume(t.Context(), name); err != nil || r.Tenant.State != provision.StateActive {
		t.Fatalf("state %s, error %v", r.Tenant.State, err)
	}
	if err := asTenant(t.Context(), app, name, "SELECT count(*) FROM {schema}.stations"); err != nil {
		t.Error(err)
	}
}

func TestATenantIsDroppedOnlyByItsPolicyAndWithoutChildren(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	spec := testenv.NextSpec(t)
	spec.DeletionPolicy = provision.Retain
	create(t, p, spec)
	wantReason(t, p.Delete(t.Context(), spec.Name), provision.PolicyForbids)

	parent, err := p.Show(t.Context(), spec.Parent)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Retire(t.Context(), parent.Name)
	wantReason(t, err, provision.HasChildren)

	spec.DeletionPolicy = provision.Delete
	create(t, p, spec)
	exec(t, superuser(t), spec.Name, "COMMENT ON SCHEMA {schema} IS 'somebody took the mark away'")
	wantReason(t, p.Delete(t.Context(), spec.Name), provision.ForeignSchema)
	if n := value[int](t, superuser(t), `SELECT count(*) FROM pg_namespace WHERE nspname = $1`, spec.Name.Schema()); n != 1 {
		t.Error("the schema is gone")
	}
	exec(t, superuser(t), spec.Name, `DO $$ BEGIN EXECUTE format('COMMENT ON SCHEMA {schema} IS %L', shobj_description('{schema}'::regrole, 'pg_authid')); END $$`)
	if err := p.Delete(t.Context(), spec.Name); err != nil {
		t.Fatal(err)
	}
	wantReason(t, p.Delete(t.Context(), spec.Name), provision.NotFound)
}

func TestWhatATenantsRoleMadeOutsideItsSchemaGoesWithIt(t *testing.T) {
	platform := testenv.Provisioned(t)
	p := platform.Provisioner
	spec := testenv.NextSpec(t)
	create(t, p, spec)
	const makeObject = "SELECT lo_create(0)"
	objects := `SELECT count(*) FROM pg_largeobject_metadata WHERE lomowner = (SELECT oid FROM pg_roles WHERE rolname = '` + spec.Name.Role() + `')`
	elsewhere := testenv.Postgres(t).SuperuserURL("postgres")
	for _, url := range []string{platform.AppURL, testenv.Postgres(t).URL(provision.AppRole, testenv.Password, "postgres")} {
		if err := asTenant(t.Context(), connect(t, url), spec.Name, makeObject); err != nil {
			t.Fatal(err)
		}
	}
	wantReason(t, p.Delete(t.Context(), spec.Name), provision.RoleInUse)
	if got, err := p.Show(t.Context(), spec.Name); err != nil || got.State != provision.StateActive {
		t.Errorf("state %s, error %v", got.State, err)
	}
	if n := value[int](t, superuser(t), objects); n != 1 {
		t.Errorf("%d objects are left", n)
	}
	exec(t, connect(t, elsewhere), spec.Name, "DROP OWNED BY {schema}")
	if err := p.Delete(t.Context(), spec.Name); err != nil {
		t.Fatal(err)
	}
	if n := value[int](t, superuser(t), `SELECT count(*) FROM pg_largeobject_metadata`); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

func TestARetiredTenantKeepsItsRowsAndIsAdoptedAgain(t *testing.T) {
	platform := testenv.Provisioned(t)
	p := platform.Provisioner
	spec := testenv.NextSpec(t)
	spec.DeletionPolicy = provision.Retain
	made := create(t, p, spec)
	app := connect(t, platform.AppURL)
	insert := `INSERT INTO {schema}.idempotency_keys VALUES ('s', 'k', 'm', '', '')`
	if err := asTenant(t.Context(), app, spec.Name, insert); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Retire(t.Context(), spec.Name); err != nil || r.Tenant.State != provision.StateRetained {
		t.Fatalf("state %s, error %v", r.Tenant.State, err)
	}
	wantCode(t, asTenant(t.Context(), app, spec.Name, "SELECT 1"), insufficientPrivilege)
	_, err := p.Resume(t.Context(), spec.Name)
	wantReason(t, err, provision.NotReady)

	heir := testenv.NextSpec(t) // the division is free for another while the tenant is put away
	heir.Parent, heir.DivisionCode = spec.Parent, spec.DivisionCode
	create(t, p, heir)
	_, err = p.Create(t.Context(), spec)
	wantReason(t, err, provision.DivisionTaken)
	if err := p.Delete(t.Context(), heir.Name); err != nil {
		t.Fatal(err)
	}

	again := create(t, p, spec)
	if again.Tenant.ID != made.Tenant.ID || again.Tenant.State != provision.StateActive {
		t.Errorf("got %+v", again.Tenant)
	}
	if n := value[int](t, superuser(t), `SELECT count(*) FROM `+spec.Name.Schema()+`.idempotency_keys`); n != 1 {
		t.Errorf("%d rows are left of 1", n)
	}
	wantNoDrift(t, p, spec.Name)
}

func TestWhatDoesNotExistIsNotFound(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	const name = tenant.Name("atlantis")
	_, err := p.Show(t.Context(), name)
	wantReason(t, err, provision.NotFound)
	for verb, act := range map[string]func() error{
		"suspend": func() error { _, err := p.Suspend(t.Context(), name); return err },
		"resume":  func() error { _, err := p.Resume(t.Context(), name); return err },
		"upgrade": func() error { _, err := p.Upgrade(t.Context(), name); return err },
		"retire":  func() error { _, err := p.Retire(t.Context(), name); return err },
		"grants":  func() error { _, err := p.EnsureGrants(t.Context(), name, provision.Policy{}); return err },
		"delete":  func() error { return p.Delete(t.Context(), name) },
	} {
		t.Run(verb, func(t *testing.T) { wantReason(t, act(), provision.NotFound) })
	}
}

func TestAPolicyIsWrittenReplacedAndTakenBack(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	spec := richSpec(t)
	create(t, p, spec)
	conn, schema := superuser(t), spec.Name.Schema()
	standard := snapshot(t, spec.Name)
	grants := func() []string {
		return list(t, conn, `SELECT subject || ' ' || role FROM `+schema+`.role_grants ORDER BY 1`)
	}
	if diff := cmp.Diff([]string{"oidc|li bureau_admin"}, grants()); diff != "" {
		t.Error(diff)
	}
	// A grant that the tenant's own administrator made is the tenant's.
	exec(t, conn, spec.Name, `INSERT INTO {schema}.role_grants (id, subject, role, created_by) VALUES (gen_random_uuid(), 'oidc|chen', 'auditor', 'oidc|li')`)
	before := value[int64](t, conn, `SELECT version FROM `+schema+`.policy_version`)

	raised := provision.Policy{
		Rules:  []authz.Rule{{Role: "social_worker", Resource: "stations", Action: "get", Level: authz.LevelTenant}},
		Grants: []provision.Grant{{Subject: "oidc|wang", Role: "bureau_admin"}},
	}
	r, err := p.EnsureGrants(t.Context(), spec.Name, raised)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"policies"}, r.Did); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"oidc|chen auditor", "oidc|wang bureau_admin"}, grants()); diff != "" {
		t.Error(diff)
	}
	if n := value[int](t, conn, `SELECT count(*) FROM `+schema+`.roles WHERE name = 'night_shift'`); n != 0 {
		t.Error("the old policy's role is left")
	}
	if level := value[string](t, conn, `SELECT level FROM `+schema+`.role_rules WHERE role = 'social_worker' AND resource = 'stations' AND action = 'get'`); level != "tenant" {
		t.Errorf("the rule has level %s", level)
	}
	if after := value[int64](t, conn, `SELECT version FROM `+schema+`.policy_version`); after <= before {
		t.Errorf("the policy version went from %d to %d", before, after)
	}
	if r, err := p.EnsureGrants(t.Context(), spec.Name, raised); err != nil || len(r.Did) != 0 {
		t.Errorf("the same policy again did %v, error %v", r.Did, err)
	}

	exec(t, conn, spec.Name, `DELETE FROM {schema}.role_grants WHERE created_by = 'oidc|li'`)
	if _, err := p.EnsureGrants(t.Context(), spec.Name, spec.Policy); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(standard, snapshot(t, spec.Name)); diff != "" {
		t.Errorf("back at the first policy: %s", diff)
	}
}

func TestAnOlderSchemaIsUpgradedAndANewerOneRefused(t *testing.T) {
	platform := testenv.Provisioned(t)
	p := platform.Provisioner
	old, err := provision.OpenAt(t.Context(), provision.Config{OperatorURL: platform.OperatorURL}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(old.Close)
	fresh, aged := testenv.NextSpec(t), testenv.NextSpec(t)
	create(t, p, fresh)
	if r := create(t, old, aged); r.Tenant.SchemaVersion != 1 {
		t.Fatalf("the older release made version %d", r.Tenant.SchemaVersion)
	}
	wantDrift(t, p, aged.Name, "migrate", "grants")
	n, err := p.UpgradeAll(t.Context(), provision.UpgradeOptions{})
	if err != nil || n != 1 {
		t.Errorf("upgraded %d, error %v", n, err)
	}
	if diff := cmp.Diff(snapshot(t, fresh.Name), snapshot(t, aged.Name)); diff != "" {
		t.Errorf("an upgraded tenant differs from a new one: %s", diff)
	}
	if n, err := p.UpgradeAll(t.Context(), provision.UpgradeOptions{}); err != nil || n != 0 {
		t.Errorf("with nothing to do: upgraded %d, error %v", n, err)
	}
	_, err = old.Upgrade(t.Context(), aged.Name)
	wantReason(t, err, provision.SchemaTooNew)
	_, err = old.UpgradeAll(t.Context(), provision.UpgradeOptions{})
	wantReason(t, err, provision.SchemaTooNew)
}

func TestAMigrationThatWaitsForALockGivesUpAndChangesNothing(t *testing.T) {
	platform := testenv.Provisioned(t)
	old, err := provision.OpenAt(t.Context(), provision.Config{OperatorURL: platform.OperatorURL}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(old.Close)
	impatient, err := provision.Open(t.Context(), provision.Config{OperatorURL: platform.OperatorURL, LockTimeout: 1e7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(impatient.Close)
	spec := testenv.NextSpec(t)
	create(t, old, spec)
	before := snapshot(t, spec.Name)

	blocker := superuser(t)
	exec(t, blocker, spec.Name, "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('circle15:{schema}', 0))")
	_, err = impatient.Upgrade(t.Context(), spec.Name)
	if err == nil || !strings.Contains(err.Error(), "is busy") || provision.ReasonOf(err) != "" {
		t.Errorf("got %v, want an error that is worth a retry", err)
	}
	exec(t, blocker, spec.Name, "ROLLBACK")
	if diff := cmp.Diff(before, snapshot(t, spec.Name)); diff != "" {
		t.Error(diff)
	}
	if r, err := impatient.Upgrade(t.Context(), spec.Name); err != nil || len(r.Did) == 0 {
		t.Errorf("afterwards: did %v, error %v", r.Did, err)
	}
}

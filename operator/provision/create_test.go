package provision_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

const insufficientPrivilege = "42501"

func TestANewTenantIsUsableByTheServices(t *testing.T) {
	platform := testenv.Provisioned(t)
	name := testenv.NewTenant(t)
	app := connect(t, platform.AppURL)
	err := asTenant(t.Context(), app, name, `INSERT INTO {schema}.stations (id, division_code, display_name, opened_date, created_by)
		VALUES (gen_random_uuid(), '460107003', '滨江', '2021-05-01', 'test')`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := value[int](t, superuser(t), `SELECT count(*) FROM `+name.Schema()+`.roles WHERE standard`), len(authz.StandardRoles()); got != want {
		t.Errorf("the tenant has %d standard roles, want %d", got, want)
	}
	if got, want := value[int](t, superuser(t), `SELECT count(*) FROM `+name.Schema()+`.role_rules`), len(authz.StandardRules()); got != want {
		t.Errorf("the tenant has %d rules, want %d", got, want)
	}
	shown, err := platform.Provisioner.Show(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if shown.State != provision.StateActive || shown.SchemaVersion != platform.Provisioner.LatestSchemaVersion() {
		t.Errorf("got state %s and version %d", shown.State, shown.SchemaVersion)
	}
	if shown.SchemaVersion < tenantdb.RequiredSchema {
		t.Errorf("a schema of version %d is made, and the services need %d", shown.SchemaVersion, tenantdb.RequiredSchema)
	}
	ledger, err := platform.Provisioner.Ledger(t.Context(), name)
	if err != nil || len(ledger) != shown.SchemaVersion || ledger[0].Name != "initial" {
		t.Errorf("got ledger %v, error %v", ledger, err)
	}
}

func TestATenantsRoleReachesNothingButItsOwnRows(t *testing.T) {
	platform := testenv.Provisioned(t)
	name, other := testenv.NewTenant(t), testenv.NewTenant(t)
	app := connect(t, platform.AppURL)
	for _, sql := range []string{
		"SELECT count(*) FROM " + other.Schema() + ".stations",
		"INSERT INTO " + other.Schema() + ".policy_version (version) VALUES (2)",
		"LOCK TABLE " + other.Schema() + ".stations IN ACCESS SHARE MODE",
		"SELECT * FROM " + other.Schema() + ".work_summary('2021-01-01', '2021-12-31', true, false, true, NULL)",
		"SELECT count(*) FROM circle15.tenants",
		"SELECT count(*) FROM circle15.policy_versions",
		"SELECT circle15.acknowledge_policies('intruder', ARRAY['" + other.Schema() + "'], ARRAY[1]::bigint[])",
		"SELECT circle15.acknowledge_all_policies('intruder')",
		"SELECT circle15.forget_replica('intruder')",
		"CREATE TEMPORARY TABLE t (i int)",
		"CREATE TABLE {schema}.t (i int)",
		"CREATE TABLE public.t (i int)",
		"CREATE SCHEMA s",
		"CREATE ROLE r",
		"TRUNCATE {schema}.needs",
		"ALTER TABLE {schema}.needs ADD COLUMN c int",
		"UPDATE {schema}.audit_events SET outcome = ''",
		"DELETE FROM {schema}.audit_events",
		"INSERT INTO {schema}.audit_events (at, subject, method, resource_id, outcome) VALUES ('2021-05-01', 'li', 'm', '', 'OK')",
		"INSERT INTO {schema}.audit_events (id, subject, method, resource_id, outcome) OVERRIDING SYSTEM VALUE VALUES (7, 'li', 'm', '', 'OK')",
		"INSERT INTO {schema}.service_facts (measure, fact_date, station_id, amount, source_type, source_id, recorded_at) " +
			"VALUES ('case', '2021-05-01', gen_random_uuid(), 1, 'case', gen_random_uuid(), '2021-05-01')",
		"UPDATE {schema}.service_facts SET amount = 2",
		"DELETE FROM {schema}.service_facts",
		"UPDATE {schema}.policy_version SET version = 0",
		"SET LOCAL ROLE circle15_operator",
	} {
		t.Run(sql, func(t *testing.T) { wantCode(t, asTenant(t.Context(), app, name, sql), insufficientPrivilege) })
	}
}

func TestTheAppsOwnRoleSeesNoTenantsRows(t *testing.T) {
	platform := testenv.Provisioned(t)
	name := testenv.NewTenant(t)
	app := connect(t, platform.AppURL)
	_, err := app.Exec(t.Context(), "SELECT count(*) FROM "+name.Schema()+".stations")
	wantCode(t, err, insufficientPrivilege)
	if got := value[string](t, app, `SELECT state FROM circle15.tenants WHERE name = $1`, string(name)); got != "active" {
		t.Errorf("the app reads state %q", got)
	}
	_, err = app.Exec(t.Context(), `UPDATE circle15.tenants SET state = 'active'`)
	wantCode(t, err, insufficientPrivilege)
}

func TestTheAggregateRoleMayOnlySum(t *testing.T) {
	platform := testenv.Provisioned(t)
	name := testenv.NewTenant(t)
	app := connect(t, platform.AppURL)
	as := func(sql string) error {
		return pgx.BeginFunc(t.Context(), app, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "SET LOCAL ROLE circle15_aggregate; "+sql)
			return err
		})
	}
	if err := as("SELECT * FROM " + name.Schema() + ".work_summary('2021-01-01', '2021-12-31', true, false, true, NULL)"); err != nil {
		t.Error(err)
	}
	wantCode(t, as("SELECT count(*) FROM "+name.Schema()+".service_facts"), insufficientPrivilege)
	wantCode(t, as("SELECT "+name.Schema()+".bump_policy_version()"), insufficientPrivilege)
}

func TestCreatingTwiceChangesNothing(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	spec := testenv.NextSpec(t)
	first := create(t, p, spec)
	if len(first.Did) == 0 {
		t.Error("the first Create did nothing")
	}
	before := snapshot(t, spec.Name)
	second := create(t, p, spec)
	if len(second.Did) != 0 {
		t.Errorf("the second Create did %v", second.Did)
	}
	if diff := cmp.Diff(before, snapshot(t, spec.Name)); diff != "" {
		t.Error(diff)
	}
}

func TestCreateBringsAnExistingTenantIntoLineWithItsSpec(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	spec := testenv.NextSpec(t)
	create(t, p, spec)
	quota := int32(43)
	spec.DisplayNameZh, spec.Quotas.Stations, spec.StandardsPack = "新名", &quota, "china-2021.1"
	r := create(t, p, spec)
	if diff := cmp.Diff([]string{"register"}, r.Did); diff != "" {
		t.Error(diff)
	}
	if r.Tenant.DisplayNameZh != "新名" || *r.Tenant.Quotas.Stations != 43 || r.Tenant.StandardsPack != "china-2021.1" {
		t.Errorf("got %+v", r.Tenant)
	}
}

func TestWhatIsFixedAtCreationCannotChange(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	spec, other := testenv.NextSpec(t), testenv.NextSpec(t)
	create(t, p, spec)
	create(t, p, other)
	for field, change := range map[string]func(*provision.Spec){
		"level":        func(s *provision.Spec) { s.Level, s.Parent = provision.District, other.Name },
		"parent":       func(s *provision.Spec) { s.Parent = other.Name },
		"divisionCode": func(s *provision.Spec) { s.DivisionCode = testenv.NextSpec(t).DivisionCode },
	} {
		t.Run(field, func(t *testing.T) {
			changed := spec
			change(&changed)
			_, err := p.Create(t.Context(), changed)
			wantReason(t, err, provision.ImmutableField)
		})
	}
}

func TestASpecThatCannotWorkIsRefused(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	taken := testenv.NextSpec(t)
	create(t, p, taken)
	negative, zero := int32(-1), int32(0)
	for name, c := range map[string]struct {
		change func(*provision.Spec)
		want   provision.Reason
	}{
		"a name with capitals":           {func(s *provision.Spec) { s.Name = "Haikou" }, provision.InvalidSpec},
		"a name that is a statement":     {func(s *provision.Spec) { s.Name = `x"; DROP SCHEMA circle15; --` }, provision.InvalidSpec},
		"no Chinese name":                {func(s *provision.Spec) { s.DisplayNameZh = " " }, provision.InvalidSpec},
		"a null character":               {func(s *provision.Spec) { s.DisplayNameEn = "a\x00b" }, provision.InvalidSpec},
		"an endless name":                {func(s *provision.Spec) { s.DisplayNameEn = strings.Repeat("长", 101) }, provision.InvalidSpec},
		"an unknown level":               {func(s *provision.Spec) { s.Level = "town" }, provision.InvalidSpec},
		"a province with a parent":       {func(s *provision.Spec) { s.Level = provision.Province }, provision.WrongParent},
		"a city without a parent":        {func(s *provision.Spec) { s.Parent = "" }, provision.WrongParent},
		"an unknown parent":              {func(s *provision.Spec) { s.Parent = "atlantis" }, provision.UnknownParent},
		"its own parent":                 {func(s *provision.Spec) { s.Parent = s.Name }, provision.WrongParent},
		"a district under a province":    {func(s *provision.Spec) { s.Level = provision.District }, provision.WrongParent},
		"a city under a city":            {func(s *provision.Spec) { s.Parent = taken.Name }, provision.WrongParent},
		"a city of another province":     {func(s *provision.Spec) { s.DivisionCode = "460100" }, provision.WrongParent},
		"a city with a province's code":  {func(s *provision.Spec) { s.DivisionCode = s.DivisionCode[:2] + "0000" }, provision.InvalidSpec},
		"a retired or invented division": {func(s *provision.Spec) { s.DivisionCode = "999999" }, provision.UnknownDivision},
		"a street's code":                {func(s *provision.Spec) { s.DivisionCode = "460107003" }, provision.InvalidSpec},
		"a taken division":               {func(s *provision.Spec) { s.DivisionCode = taken.DivisionCode }, provision.DivisionTaken},
		"a negative quota":               {func(s *provision.Spec) { s.Quotas.Staff = &negative }, provision.InvalidSpec},
		"no requests at all":             {func(s *provision.Spec) { s.Quotas.RequestsPerSecond = &zero }, provision.InvalidSpec},
		"another cluster":                {func(s *provision.Spec) { s.Cluster = "west" }, provision.InvalidSpec},
		"an unknown deletion policy":     {func(s *provision.Spec) { s.DeletionPolicy = "Shred" }, provision.InvalidSpec},
		"a grant of an unknown role": {func(s *provision.Spec) {
			s.Policy.Grants = []provision.Grant{{Subject: "li", Role: "emperor"}}
		}, provision.InvalidSpec},
		"a rule of an unknown level": {func(s *provision.Spec) {
			s.Policy.Rules = []authz.Rule{{Role: "social_worker", Resource: "visits", Action: "get", Level: "world"}}
		}, provision.InvalidSpec},
		"a rule of everyone": {func(s *provision.Spec) {
			s.Policy.Rules = []authz.Rule{{Role: authz.Everyone, Resource: "visits", Action: "get", Level: authz.LevelTenant}}
		}, provision.InvalidSpec},
		"a role called everyone": {func(s *provision.Spec) {
			s.Policy.Roles = []authz.Role{{Name: authz.Everyone}}
			s.Policy.Rules = []authz.Rule{{Role: authz.Everyone, Resource: "visits", Action: "get", Level: authz.LevelTenant}}
		}, provision.InvalidSpec},
		"a rule on an unknown resource": {func(s *provision.Spec) {
			s.Policy.Rules = []authz.Rule{{Role: "social_worker", Resource: "dragons", Action: "get", Level: authz.LevelTenant}}
		}, provision.InvalidSpec},
		"a rule on another's action": {func(s *provision.Spec) {
			s.Policy.Rules = []authz.Rule{{Role: "social_worker", Resource: "stations", Action: "void", Level: authz.LevelTenant}}
		}, provision.InvalidSpec},
		"a rule of a level without meaning": {func(s *provision.Spec) {
			s.Policy.Rules = []authz.Rule{{Role: "social_worker", Resource: "visits", Action: "get", Level: authz.LevelAggregate}}
		}, provision.InvalidSpec},
		"a subject with a space at its end": {func(s *provision.Spec) {
			s.Policy.Grants = []provision.Grant{{Subject: "li ", Role: "auditor"}}
		}, provision.InvalidSpec},
		"an administrator of two kinds": {func(s *provision.Spec) {
			s.Policy.Grants = []provision.Grant{{Subject: "li", Role: "auditor"}, {Subject: "li", Role: "security_admin"}}
		}, provision.InvalidSpec},
		"a role that is a standard one": {func(s *provision.Spec) {
			s.Policy.Roles = []authz.Role{{Name: "social_worker"}}
		}, provision.InvalidSpec},
	} {
		t.Run(name, func(t *testing.T) {
			spec := testenv.NextSpec(t)
			c.change(&spec)
			_, err := p.Create(t.Context(), spec)
			wantReason(t, err, c.want)
			if _, err := p.Show(t.Context(), spec.Name); provision.ReasonOf(err) != provision.NotFound && spec.Name != taken.Name {
				t.Errorf("a row is left: %v", err)
			}
		})
	}
}

func TestADistrictLiesInItsCityAsTheTableHasIt(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	city := testenv.NextSpec(t)
	// The divisions come from the end of the table: Ürümqi (650100) and what lies beside it in Xinjiang.
	if city.DivisionCode[:2] != "65" {
		t.Fatalf("the division %s is in another province", city.DivisionCode)
	}
	city.DivisionCode = "650100"
	create(t, p, city)
	for code, want := range map[string]provision.Reason{
		"650102": "",                    // 天山区 of Ürümqi
		"659001": "",                    // 石河子市, which no city administers
		"650202": provision.WrongParent, // 独山子区 of Karamay
		"650200": provision.WrongParent, // Karamay itself
	} {
		district := testenv.NextSpec(t)
		district.Level, district.Parent, district.DivisionCode = provision.District, city.Name, code
		if want == "" {
			create(t, p, district)
			continue
		}
		_, err := p.Create(t.Context(), district)
		wantReason(t, err, want)
	}
}

func TestASchemaOrRoleOfOthersIsNeverTakenOver(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	super := superuser(t)
	for name, c := range map[string]struct {
		make, remove string
		want         provision.Reason
	}{
		"an unmarked schema": {"CREATE SCHEMA {schema} AUTHORIZATION circle15_operator", "DROP SCHEMA {schema}", provision.ForeignSchema},
		"a schema of another installation": {
			`CREATE SCHEMA {schema} AUTHORIZATION circle15_operator;
			COMMENT ON SCHEMA {schema} IS '{"circle15":{"installation":"01890000-0000-7000-8000-000000000000","tenant":"01890000-0000-7000-8000-000000000001"}}'`,
			"DROP SCHEMA {schema}", provision.ForeignSchema,
		},
		"a schema with a comment of a person": {
			"CREATE SCHEMA {schema} AUTHORIZATION circle15_operator; COMMENT ON SCHEMA {schema} IS 'do not touch'", "DROP SCHEMA {schema}", provision.ForeignSchema,
		},
		"a role of others": {"CREATE ROLE {schema} LOGIN", "DROP ROLE {schema}", provision.ForeignRole},
	} {
		t.Run(name, func(t *testing.T) {
			spec := testenv.NextSpec(t)
			exec(t, super, spec.Name, c.make)
			defer exec(t, super, spec.Name, c.remove)
			_, err := p.Create(t.Context(), spec)
			wantReason(t, err, c.want)
		})
	}
}

func TestASchemaWhoseControlRowWasLostIsAdoptedByItsMark(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	spec := testenv.NextSpec(t)
	before := create(t, p, spec)
	super := superuser(t)
	exec(t, super, spec.Name, `INSERT INTO {schema}.idempotency_keys VALUES ('s', 'k', 'm', '', '')`)
	exec(t, super, spec.Name, `DELETE FROM circle15.tenants WHERE schema_name = '{schema}'`)
	after := create(t, p, spec)
	if after.Tenant.ID != before.Tenant.ID || after.Tenant.SchemaVersion != before.Tenant.SchemaVersion {
		t.Errorf("got %+v, had %+v", after.Tenant, before.Tenant)
	}
	if n := value[int](t, super, `SELECT count(*) FROM `+spec.Name.Schema()+`.idempotency_keys`); n != 1 {
		t.Errorf("%d rows are left of 1", n)
	}
}

func TestEveryChangeOfATenantIsAnnounced(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	spec := testenv.NextSpec(t)
	listener := connect(t, testenv.Provisioned(t).AppURL)
	if _, err := listener.Exec(t.Context(), "LISTEN circle15_control"); err != nil {
		t.Fatal(err)
	}
	act := map[string]func() error{
		"create":  func() error { _, err := p.Create(t.Context(), spec); return err },
		"suspend": func() error { _, err := p.Suspend(t.Context(), spec.Name); return err },
		"delete":  func() error { return p.Delete(t.Context(), spec.Name) },
	}
	for _, label := range []string{"create", "suspend", "delete"} {
		if err := act[label](); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := listener.WaitForNotification(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", label, err)
			}
			if n.Payload == string(spec.Name) {
				break
			}
		}
	}
}

func TestManyTenantsAreCreatedAtOnceAndListedInOrder(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	names := make([]tenant.Name, 0, 8)
	done := make(chan error)
	for range 8 {
		spec := testenv.NextSpec(t)
		names = append(names, spec.Name)
		cleanUp(t, spec.Name)
		for range 2 { // two operators at once
			go func() { _, err := p.Create(t.Context(), spec); done <- err }()
		}
	}
	for range 16 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	listed, err := p.List(t.Context(), provision.Filter{Level: provision.City, State: provision.StateActive})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]tenant.Name, len(listed))
	for i, row := range listed {
		got[i] = row.Name
	}
	for _, name := range names {
		if !slices.Contains(got, name) {
			t.Errorf("%s is not listed", name)
		}
	}
	if !slices.IsSorted(got) {
		t.Errorf("not in order: %v", got)
	}
}

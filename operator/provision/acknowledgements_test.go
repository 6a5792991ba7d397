package provision_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/tenant"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

// replica is a process of the services as the database sees it.
type replica struct {
	t    *testing.T
	conn *pgx.Conn
	name string
}

func newReplica(t *testing.T, name string) *replica {
	t.Helper()
	r := &replica{t, connect(t, testenv.Provisioned(t).AppURL), name}
	t.Cleanup(r.stop)
	return r
}

// acknowledge returns whether the replica was known.
func (r *replica) acknowledge(schema string, version int64) bool {
	r.t.Helper()
	return value[bool](r.t, r.conn, `SELECT circle15.acknowledge_policies($1, ARRAY[$2], ARRAY[$3]::bigint[])`, r.name, schema, version)
}

func (r *replica) acknowledgeAll() {
	r.t.Helper()
	exec(r.t, r.conn, "x", fmt.Sprintf(`SELECT circle15.acknowledge_all_policies('%s')`, r.name))
}

func (r *replica) stop() {
	_, _ = r.conn.Exec(context.Background(), `SELECT circle15.forget_replica($1)`, r.name)
}

// change moves the tenant's policy as a grant over REST does, and returns its version.
func change(t *testing.T, name tenant.Name) int64 {
	t.Helper()
	err := asTenant(t.Context(), connect(t, testenv.Provisioned(t).AppURL), name,
		`INSERT INTO {schema}.role_grants (id, subject, role, created_by) VALUES (gen_random_uuid(), gen_random_uuid()::text, 'auditor', 'test')`)
	if err != nil {
		t.Fatal(err)
	}
	return value[int64](t, superuser(t), `SELECT version FROM `+name.Schema()+`.policy_version`)
}

func wantState(t *testing.T, name tenant.Name, version int64, replicas int, acknowledged ...string) {
	t.Helper()
	p := testenv.Provisioned(t).Provisioner
	want := provision.PolicyState{Version: version, Acknowledged: acknowledged, Replicas: replicas}
	got, err := p.PolicyState(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, observe(t, p, name).Policies, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the scan of all tenants saw: %s", diff)
	}
}

func TestAPolicysVersionAndTheReplicasThatDecideByItAreToldOfEveryTenantAtOnce(t *testing.T) {
	one, other := testenv.NewTenant(t), testenv.NewTenant(t)
	a, b := newReplica(t, "pod-a"), newReplica(t, "pod-b")
	b.acknowledgeAll()
	a.acknowledgeAll()
	before, elsewhere := change(t, one), change(t, other)
	wantState(t, one, before, 2)
	a.acknowledge(one.Schema(), before)
	wantState(t, one, before, 2, "pod-a")
	b.acknowledgeAll()
	wantState(t, one, before, 2, "pod-a", "pod-b")
	wantState(t, other, elsewhere, 2, "pod-b")

	after := change(t, one)
	wantState(t, one, after, 2)
	b.stop()
	a.acknowledge(one.Schema(), after)
	wantState(t, one, after, 1, "pod-a")
	a.acknowledge(one.Schema(), before) // late news lowers nothing
	wantState(t, one, after, 1, "pod-a")
}

func TestAReplicaThatIsSilentDoesNotCountAndIsForgottenInTime(t *testing.T) {
	name := testenv.NewTenant(t)
	a, silent := newReplica(t, "pod-a"), newReplica(t, "pod-silent")
	silent.acknowledgeAll()
	a.acknowledgeAll()
	version := change(t, name)
	a.acknowledge(name.Schema(), version)
	if !silent.acknowledge(name.Schema(), version) {
		t.Error("a replica that acknowledged all was not known")
	}
	age := func(interval string) {
		exec(t, superuser(t), name, `UPDATE circle15.replicas SET seen_at = now() - interval '`+interval+`' WHERE name = 'pod-silent'`)
	}
	age("31 seconds")
	wantState(t, name, version, 1, "pod-a")
	if !silent.acknowledge("none", 0) { // a heartbeat
		t.Error("a replica silent for half a minute was forgotten")
	}
	wantState(t, name, version, 2, "pod-a", "pod-silent")
	age("61 seconds")
	a.acknowledge("none", 0)
	if silent.acknowledge("none", 0) {
		t.Error("a replica silent for a minute was still known")
	}
	wantState(t, name, version, 2, "pod-a") // it lives, and must acknowledge anew
}

func TestWhatATenantNeverHadIsNotAcknowledged(t *testing.T) {
	name := testenv.NewTenant(t)
	a := newReplica(t, "pod-a")
	version := change(t, name)
	a.acknowledge(name.Schema(), version+1)
	a.acknowledge("t_no_such_tenant", 1)
	a.acknowledge("circle15", 1)
	wantState(t, name, version, 1)
	if n := value[int](t, superuser(t), `SELECT count(*) FROM circle15.policy_acknowledgements WHERE replica = 'pod-a'`); n != 0 {
		t.Errorf("%d acknowledgements of nothing", n)
	}
}

func TestTheAppsRoleAcknowledgesByTheFunctionsAlone(t *testing.T) {
	app := connect(t, testenv.Provisioned(t).AppURL)
	for _, sql := range []string{
		"SELECT count(*) FROM circle15.policy_versions",
		"SELECT count(*) FROM circle15.replicas",
		"SELECT count(*) FROM circle15.policy_acknowledgements",
		"INSERT INTO circle15.replicas VALUES ('x', now())",
		"UPDATE circle15.policy_versions SET version = 0",
		"DELETE FROM circle15.policy_acknowledgements",
		"TRUNCATE circle15.replicas CASCADE",
		"SELECT circle15.see_replica('x')",
	} {
		_, err := app.Exec(t.Context(), sql)
		wantCode(t, err, insufficientPrivilege)
	}
	grantees := list(t, superuser(t), `SELECT DISTINCT coalesce(r.rolname, 'PUBLIC')::text
		FROM pg_proc f, aclexplode(f.proacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee
		WHERE f.pronamespace = 'circle15'::regnamespace AND f.prosecdef ORDER BY 1`)
	if diff := cmp.Diff([]string{"circle15_app", "circle15_operator"}, grantees); diff != "" {
		t.Errorf("who may execute: %s", diff)
	}
	loose := list(t, superuser(t), `SELECT f.proname::text FROM pg_proc f WHERE f.pronamespace = 'circle15'::regnamespace
		AND f.prosecdef AND NOT 'search_path=circle15, pg_temp' = ANY (coalesce(f.proconfig, '{}'))`)
	if len(loose) != 0 {
		t.Errorf("functions without a search_path of their own: %v", loose)
	}
}

func TestADroppedTenantTakesItsAcknowledgementsAlong(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	spec := testenv.NextSpec(t)
	create(t, p, spec)
	a := newReplica(t, "pod-a")
	for range 5 {
		change(t, spec.Name)
	}
	a.acknowledgeAll()
	if err := p.Delete(t.Context(), spec.Name); err != nil {
		t.Fatal(err)
	}
	create(t, p, spec)
	state, err := p.PolicyState(t.Context(), spec.Name)
	if err != nil || state.Version == 0 || len(state.Acknowledged) != 0 || state.Replicas != 1 {
		t.Errorf("the tenant made anew: %+v, error %v", state, err)
	}
}

// A tenant of an older release is told of when it is upgraded; one that is put away, when it is adopted.
func TestAnOlderTenantIsToldOfWhenItIsUpgraded(t *testing.T) {
	platform := testenv.Provisioned(t)
	old, err := provision.OpenAt(t.Context(), provision.Config{OperatorURL: platform.OperatorURL}, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(old.Close)
	for what, bring := range map[string]func(spec provision.Spec) error{
		"upgraded": func(spec provision.Spec) error {
			_, err := platform.Provisioner.Upgrade(t.Context(), spec.Name)
			return err
		},
		"adopted": func(spec provision.Spec) error {
			_, err := old.Retire(t.Context(), spec.Name)
			if err == nil {
				_, err = platform.Provisioner.Create(t.Context(), spec)
			}
			return err
		},
		"adopted without its control row": func(spec provision.Spec) error {
			exec(t, superuser(t), spec.Name, `DELETE FROM circle15.tenants WHERE schema_name = '{schema}'`)
			_, err := platform.Provisioner.Create(t.Context(), spec)
			return err
		},
	} {
		spec := testenv.NextSpec(t)
		create(t, old, spec)
		a := newReplica(t, "pod-a")
		a.acknowledgeAll()
		wantState(t, spec.Name, 0, 0)
		if err := bring(spec); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		version := value[int64](t, superuser(t), `SELECT version FROM `+spec.Name.Schema()+`.policy_version`)
		wantState(t, spec.Name, version, 1)
		a.acknowledgeAll()
		wantState(t, spec.Name, version, 1, "pod-a")
		a.stop()
	}
}

func TestAVersionThatTheControlSchemaLostIsToldAgain(t *testing.T) {
	p, name := testenv.Provisioned(t).Provisioner, testenv.NewTenant(t)
	exec(t, superuser(t), name, `DELETE FROM circle15.policy_versions WHERE schema_name = '{schema}'`)
	wantDrift(t, p, name, "policies")
	if _, err := p.Upgrade(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	wantNoDrift(t, p, name)
	if !slices.Contains(snapshot(t, name), "told true") {
		t.Error("the control schema tells another version than the schema")
	}
}

func TestASchemaRestoredFromAnOlderDumpNeverRepeatsAVersion(t *testing.T) {
	name := testenv.NewTenant(t)
	a := newReplica(t, "pod-a")
	old := change(t, name)
	change(t, name)
	told := change(t, name)
	a.acknowledgeAll()
	exec(t, superuser(t), name, fmt.Sprintf(`UPDATE {schema}.policy_version SET version = %d`, old))
	if next := change(t, name); next != told+1 {
		t.Errorf("after version %d was restored over version %d the next is %d", old, told, next)
	}
	wantState(t, name, told+1, 1)
}

func TestReplicasThatShowThemselvesAtOnceDoNotGetInEachOthersWay(t *testing.T) {
	name := testenv.NewTenant(t)
	const many = 8
	done := make(chan error)
	for n := range many {
		conn := connect(t, testenv.Provisioned(t).AppURL)
		pod := fmt.Sprintf("pod-%d", n)
		t.Cleanup(func() { _, _ = conn.Exec(context.Background(), `SELECT circle15.forget_replica($1)`, pod) })
		go func() {
			var failed error
			for range 20 {
				_, err := conn.Exec(context.Background(), `SELECT circle15.acknowledge_all_policies($1)`, pod)
				if err != nil {
					failed = err
				}
			}
			done <- failed
		}()
	}
	var version int64
	super := superuser(t)
	for range 20 {
		exec(t, super, name, `UPDATE circle15.replicas SET seen_at = now() - interval '2 minutes'`)
		version = change(t, name)
	}
	for range many {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	var pods []string
	for n := range many {
		r := newReplica(t, fmt.Sprintf("pod-%d", n))
		r.acknowledgeAll()
		pods = append(pods, r.name)
	}
	wantState(t, name, version, many, strings.Fields(strings.Join(pods, " "))...)
}

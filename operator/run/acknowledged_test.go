package run_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/watch"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/run"
)

// replica stands for a Pod of the services: it does what they do, as their login.
type replica struct {
	w    *world
	conn *pgx.Conn
	name string
}

func (w *world) replica(name string) *replica {
	w.t.Helper()
	conn, err := pgx.Connect(context.WithoutCancel(w.t.Context()), testenv.Provisioned(w.t).AppURL)
	if err != nil {
		w.t.Fatal(err)
	}
	r := &replica{w, conn, name}
	w.t.Cleanup(func() {
		ctx := context.WithoutCancel(w.t.Context())
		_, _ = conn.Exec(ctx, `SELECT circle15.forget_replica($1)`, name)
		_ = conn.Close(ctx)
	})
	r.acknowledgeAll()
	return r
}

func (r *replica) run(sql string, args ...any) {
	r.w.t.Helper()
	if _, err := r.conn.Exec(r.w.t.Context(), sql, args...); err != nil {
		r.w.t.Fatalf("%s: %v", sql, err)
	}
}

func (r *replica) acknowledgeAll() {
	r.w.t.Helper()
	r.run(`SELECT circle15.acknowledge_all_policies($1)`, r.name)
}

func (r *replica) stop() {
	r.w.t.Helper()
	r.run(`SELECT circle15.forget_replica($1)`, r.name)
}

// grantOverREST changes the policy as the services do.
func (r *replica) grantOverREST(t *v1alpha1.Tenant, subject string) {
	r.w.t.Helper()
	r.run(`BEGIN`)
	r.run(`SELECT set_config('role', $1, true)`, schemaOf(t))
	r.run(`INSERT INTO `+schemaOf(t)+`.role_grants (id, subject, role, created_by) VALUES (gen_random_uuid(), $1, 'auditor', 'zhang')`, subject)
	r.run(`COMMIT`)
}

func (w *world) policyVersion(t *v1alpha1.Tenant) int64 {
	return scalar[int64](w, `SELECT version FROM `+schemaOf(t)+`.policy_version`)
}

// awaitAcknowledged waits until the status names exactly these replicas for the policy's version in the database.
func (w *world) awaitAcknowledged(t *v1alpha1.Tenant, names ...string) *v1alpha1.Tenant {
	w.t.Helper()
	version := w.policyVersion(t)
	return w.await(t, fmt.Sprintf("version %d acknowledged by %v", version, names), func(now *v1alpha1.Tenant) bool {
		return now.Status.PolicyVersion == version && slices.Equal(now.Status.Acknowledged, names)
	})
}

func policiesReady(t *v1alpha1.Tenant) string {
	if c := meta.FindStatusCondition(t.Status.Conditions, v1alpha1.ConditionPoliciesReady); c != nil {
		return string(c.Status) + ": " + c.Message
	}
	return ""
}

func auditors(subjects ...string) func(*v1alpha1.Tenant) {
	return func(t *v1alpha1.Tenant) {
		t.Spec.Policy.Grants = nil
		for _, s := range subjects {
			t.Spec.Policy.Grants = append(t.Spec.Policy.Grants, v1alpha1.RoleGrant{Subject: s, Role: "auditor"})
		}
	}
}

func TestTheStatusNamesTheReplicasThatAcknowledgedAChangeOfThePolicy(t *testing.T) {
	w := setup(t)
	w.operate()
	city := w.city(w.province())
	alone := w.awaitReady(city)
	if got := policiesReady(w.awaitAcknowledged(alone)); !strings.Contains(got, "no replica of the services runs") {
		t.Errorf("without services: %s", got)
	}
	a, b := w.replica("pod-a"), w.replica("pod-b")
	if err := w.update(city, auditors("li.na")); err != nil {
		t.Fatal(err)
	}
	half := w.await(city, "a version that nobody has acknowledged", func(now *v1alpha1.Tenant) bool {
		return now.Status.PolicyVersion > alone.Status.PolicyVersion && len(now.Status.Acknowledged) == 0
	})
	want := fmt.Sprintf("True: version %d is written; acknowledged by 0 of 2 replicas", half.Status.PolicyVersion)
	if got := policiesReady(half); got != want {
		t.Errorf("PoliciesReady says %q, want %q", got, want)
	}
	a.acknowledgeAll()
	w.awaitAcknowledged(city, "pod-a")
	b.acknowledgeAll()
	want = fmt.Sprintf("True: version %d is written; acknowledged by 2 of 2 replicas", half.Status.PolicyVersion)
	if got := policiesReady(w.awaitAcknowledged(city, "pod-a", "pod-b")); got != want {
		t.Errorf("PoliciesReady says %q, want %q", got, want)
	}
}

func TestAGrantMadeOverRESTShowsWithoutWaitingForADriftScan(t *testing.T) {
	w := setup(t)
	a := w.replica("pod-a")
	stop := w.operate()
	province := w.province()
	w.awaitReady(province)
	a.acknowledgeAll()
	stop()

	// It scans once, as it starts, and so has seen the province at the policy it has now, but not the city.
	w.operate(func(o *run.Options) { o.PoliciesEvery = 100 * time.Millisecond })
	w.awaitAcknowledged(province, "pod-a")
	city := w.city(province)
	w.awaitReady(city)
	a.acknowledgeAll()
	w.awaitAcknowledged(city, "pod-a")
	for _, x := range []*v1alpha1.Tenant{province, city} {
		a.grantOverREST(x, "wang.fang")
		w.awaitAcknowledged(x)
		a.acknowledgeAll()
		w.awaitAcknowledged(x, "pod-a")
	}
}

func TestTheDriftScanNoticesGrantsMadeOverRESTAndReplicasThatComeAndGo(t *testing.T) {
	w := setup(t)
	w.operate(func(o *run.Options) { o.DriftEvery = 200 * time.Millisecond })
	province := w.province()
	city, quiet := w.city(province), w.city(province)
	w.awaitReady(city)
	w.awaitReady(quiet)
	a := w.replica("pod-a")
	w.awaitAcknowledged(city, "pod-a")
	w.awaitAcknowledged(quiet, "pod-a")

	before := w.policyVersion(city)
	a.grantOverREST(city, "wang.fang")
	if w.policyVersion(city) != before+1 {
		t.Fatal("the grant did not move the version")
	}
	w.awaitAcknowledged(city)
	a.acknowledgeAll()
	w.awaitAcknowledged(city, "pod-a")

	b := w.replica("pod-b")
	a.stop()
	w.awaitAcknowledged(city, "pod-b")
	w.awaitAcknowledged(quiet, "pod-b")
	// One that is gone without a word counts for half a minute.
	w.exec(`UPDATE circle15.replicas SET seen_at = now() - interval '31 seconds' WHERE name = 'pod-b'`)
	w.awaitAcknowledged(quiet)
	b.acknowledgeAll()
	w.awaitAcknowledged(quiet, "pod-b")
}

func TestAcknowledgementsAreWrittenOnlyWhereTheyChanged(t *testing.T) {
	w := setup(t)
	a := w.replica("pod-a")
	stop := w.operate()
	province := w.province()
	city, other := w.city(province), w.city(province)
	for _, x := range []*v1alpha1.Tenant{province, city, other} {
		w.awaitReady(x)
	}
	a.acknowledgeAll()
	for _, x := range []*v1alpha1.Tenant{province, city, other} {
		w.awaitAcknowledged(x, "pod-a")
	}
	stop()

	changes := w.watchTenants()
	stop = w.operate(func(o *run.Options) { o.DriftEvery = 100 * time.Millisecond })
	a.grantOverREST(city, "wang.fang")
	a.acknowledgeAll()
	w.awaitAcknowledged(city, "pod-a")
	stop()
	changes.Stop()
	for e := range changes.ResultChan() {
		if x, ok := e.Object.(*v1alpha1.Tenant); ok && e.Type == watch.Modified && x.Name != city.Name {
			t.Errorf("the status of %s was written again: %+v", x.Name, x.Status)
		}
	}
}

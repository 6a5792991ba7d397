package authz_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

// world is a tenant, someone who may write its policy, and as many replicas as a test asks for.
type world struct {
	*testing.T
	tenant    tenant.Name
	directory *tenantdb.Directory
	sql       *pgxpool.Pool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, tenant: testenv.NewTenant(t)}
	platform := testenv.Provisioned(t)
	var err error
	if w.directory, err = tenantdb.OpenDirectory(t.Context(), map[string]string{"default": platform.AppURL}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.directory.Close)
	if w.sql, err = pgxpool.New(t.Context(), platform.SuperuserURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.sql.Close)
	return w
}

// replica is the policies as another process of the platform sees them.
func (w *world) replica() *authz.Policies {
	w.Helper()
	p, _ := w.replicaWithDB()
	return p
}

func (w *world) replicaWithDB() (*authz.Policies, *tenantdb.DB) {
	w.Helper()
	urls := map[string]string{provision.DefaultCluster: testenv.Provisioned(w).AppURL}
	db, err := tenantdb.Open(w.Context(), tenantdb.Config{Clusters: urls, MaxConns: 2}, w.directory)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(db.Close)
	p, err := authz.NewPolicies(w.Context(), db)
	if err != nil {
		w.Fatal(err)
	}
	return p, db
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.sql.Exec(context.Background(), strings.ReplaceAll(sql, "{tenant}", w.tenant.Schema()), args...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) grant(subject, role string) {
	w.Helper()
	w.exec(`INSERT INTO {tenant}.role_grants (id, subject, role, created_by) VALUES ($1, $2, $3, 'test')`, ids.New(), subject, role)
}

func (w *world) revoke(subject string) {
	w.Helper()
	w.exec(`DELETE FROM {tenant}.role_grants WHERE subject = $1`, subject)
}

func (w *world) may(p *authz.Policies, subject, resource, action string) (authz.Scope, error) {
	who := authn.Principal{Subject: subject, Tenants: []string{w.tenant.String()}}
	return p.Authorize(w.Context(), who, w.tenant, resource, action)
}

func (w *world) wantAllowed(p *authz.Policies, subject, resource, action string) authz.Scope {
	w.Helper()
	scope, err := w.may(p, subject, resource, action)
	if err != nil {
		w.Fatalf("%s %s:%s: %v", subject, resource, action, err)
	}
	return scope
}

// await waits until the replica answers with the kind of error (or allows, for "").
func (w *world) await(p *authz.Policies, kind apierr.Kind, subject, resource, action string) {
	w.Helper()
	testenv.Await(w, fmt.Sprintf("%s %s:%s is answered with %q", subject, resource, action, kind), func() bool {
		_, err := w.may(p, subject, resource, action)
		return (err == nil && kind == "") || (err != nil && apierr.KindOf(err) == kind)
	})
}

func TestGrantsOfTheTenantDecide(t *testing.T) {
	w := newWorld(t)
	station := ids.New()
	w.exec(`INSERT INTO {tenant}.stations (id, division_code, display_name, opened_date, created_by)
		VALUES ($1, '460107003', '滨江街道社工站', '2021-05-01', 'test')`, station)
	w.exec(`INSERT INTO {tenant}.role_grants (id, subject, role, station_id, created_by) VALUES ($1, 'lin', 'social_worker', $2, 'test')`,
		ids.New(), station)
	w.grant("zhou", "bureau_admin")
	p := w.replica()

	if scope := w.wantAllowed(p, "lin", "cases", "get"); !scope.Covers(station) || scope.Level != authz.LevelStation {
		t.Errorf("a social worker's scope is %+v", scope)
	}
	if scope := w.wantAllowed(p, "lin", "cases", "void"); scope.Owner() == nil || *scope.Owner() != "lin" {
		t.Errorf("a social worker voids in %+v", scope)
	}
	if scope := w.wantAllowed(p, "zhou", "cases", "get"); scope.StationIDs() != nil {
		t.Errorf("a bureau administrator's scope is %+v", scope)
	}
	for _, denied := range [][3]string{{"lin", "roleGrants", "create"}, {"zhou", "roleGrants", "create"}, {"stranger", "cases", "get"}} {
		if _, err := w.may(p, denied[0], denied[1], denied[2]); apierr.KindOf(err) != apierr.Denied {
			t.Errorf("%v: %v", denied, err)
		}
	}
}

func TestATokenOfAnotherTenantIsDenied(t *testing.T) {
	w := newWorld(t)
	w.grant("zhou", "bureau_admin")
	p := w.replica()
	_, err := p.Authorize(t.Context(), authn.Principal{Subject: "zhou", Tenants: []string{"elsewhere"}}, w.tenant, "cases", "get")
	if apierr.KindOf(err) != apierr.Denied {
		t.Errorf("got %v", err)
	}
}

func TestAChangeCountsOnEveryReplica(t *testing.T) {
	w := newWorld(t)
	replicas := []*authz.Policies{w.replica(), w.replica()}
	for _, p := range replicas {
		w.await(p, apierr.Denied, "zhou", "cases", "get")
	}
	w.grant("zhou", "bureau_admin")
	for _, p := range replicas {
		w.await(p, "", "zhou", "cases", "get")
	}
	w.revoke("zhou")
	for _, p := range replicas {
		w.await(p, apierr.Denied, "zhou", "cases", "get")
	}
	w.grant("zhou", "bureau_admin")
	w.exec(`DELETE FROM {tenant}.role_rules WHERE role = 'bureau_admin' AND resource = 'cases'`)
	for _, p := range replicas {
		w.await(p, "", "zhou", "visits", "get")
		w.await(p, apierr.Denied, "zhou", "cases", "get")
	}
}

func TestAFreshGrantCountsForTheVeryNextRequest(t *testing.T) {
	w := newWorld(t)
	p := w.replica()
	w.await(p, apierr.Denied, "zhou", "cases", "get")
	for range 50 {
		w.grant("zhou", "bureau_admin")
		w.wantAllowed(p, "zhou", "cases", "get")
		w.revoke("zhou")
		w.await(p, apierr.Denied, "zhou", "cases", "get")
	}
}

func TestARevocationCountsThoughNoNotificationCame(t *testing.T) {
	w := newWorld(t)
	w.grant("zhou", "bureau_admin")
	p := w.replica()
	w.wantAllowed(p, "zhou", "cases", "get")
	w.exec(`CREATE OR REPLACE FUNCTION {tenant}.bump_policy_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
		SET search_path = {tenant} AS $$ BEGIN UPDATE policy_version SET version = version + 1; RETURN NULL; END $$`)
	w.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'listen ' || $1`, authz.Channel)
	w.revoke("zhou")
	w.await(p, apierr.Denied, "zhou", "cases", "get")
}

func TestAnUnreachableDatabaseDecidesNothing(t *testing.T) {
	w := newWorld(t)
	w.grant("zhou", "bureau_admin")
	p, db := w.replicaWithDB()
	w.wantAllowed(p, "zhou", "cases", "get")
	db.Close()
	w.await(p, apierr.Unavailable, "zhou", "cases", "get")
}

func TestASuspendedTenantIsRefusedBeforeItsPolicyIsRead(t *testing.T) {
	w := newWorld(t)
	w.grant("zhou", "bureau_admin")
	if _, err := testenv.Provisioned(t).Provisioner.Suspend(t.Context(), w.tenant); err != nil {
		t.Fatal(err)
	}
	w.await(w.replica(), apierr.Suspended, "zhou", "cases", "get")
}

func TestATenantMadeAgainDoesNotInheritGrants(t *testing.T) {
	spec := testenv.NextSpec(t)
	provisioner := testenv.Provisioned(t).Provisioner
	if _, err := provisioner.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.tenant = spec.Name
	p := w.replica()
	w.grant("zhou", "bureau_admin")
	w.await(p, "", "zhou", "cases", "get")
	if err := provisioner.Delete(t.Context(), spec.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := provisioner.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provisioner.Delete(context.Background(), spec.Name) })
	w.await(p, apierr.Denied, "zhou", "cases", "get")
}

// Once a replica has refused by a newer policy, none of its requests is decided by an older one.
func TestManyRequestsNeverSeeAnOlderPolicyThanOthersHaveSeen(t *testing.T) {
	w := newWorld(t)
	p := w.replica()
	var phase atomic.Int64 // odd from the first refusal after a revocation to the next grant
	var readers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 4 {
		readers.Go(func() {
			pace := time.NewTicker(time.Millisecond)
			defer pace.Stop()
			for ctx.Err() == nil {
				before := phase.Load()
				_, err := w.may(p, "zhou", "cases", "get")
				if err == nil && before%2 == 1 && phase.Load() == before {
					t.Error("allowed after another request was refused for the revocation")
				}
				if err != nil && apierr.KindOf(err) != apierr.Denied {
					t.Error(err)
				}
				<-pace.C
			}
		})
	}
	for range 10 {
		w.grant("zhou", "bureau_admin")
		w.await(p, "", "zhou", "cases", "get")
		w.revoke("zhou")
		w.await(p, apierr.Denied, "zhou", "cases", "get")
		phase.Add(1)
		for range 100 { // time for the others to ask in
			if _, err := w.may(p, "zhou", "cases", "get"); apierr.KindOf(err) != apierr.Denied {
				t.Errorf("got %v, want a refusal", err)
			}
		}
		phase.Add(1)
	}
	stop()
	readers.Wait()
}

func TestACallerThatGivesUpDoesNotSpoilTheReadingForOthers(t *testing.T) {
	w := newWorld(t)
	w.grant("zhou", "bureau_admin")
	p := w.replica()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	var all sync.WaitGroup
	for i := range 20 {
		ctx := t.Context()
		if i%2 == 0 {
			ctx = cancelled
		}
		all.Go(func() {
			who := authn.Principal{Subject: "zhou", Tenants: []string{w.tenant.String()}}
			_, err := p.Authorize(ctx, who, w.tenant, "cases", "get")
			if err != nil && (ctx != cancelled || apierr.KindOf(err) != apierr.Canceled) {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestExpiryOfAGrantIsReadToTheMicrosecond(t *testing.T) {
	w := newWorld(t)
	end := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	w.exec(`INSERT INTO {tenant}.role_grants (id, subject, role, expires_at, created_by) VALUES ($1, 'zhou', 'bureau_admin', $2, 'test')`,
		ids.New(), end)
	s, err := w.replica().Snapshot(t.Context(), w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]bool{end.Add(-time.Microsecond): true, end: false} {
		if _, ok := s.DecideAt("zhou", "cases", "get", at); ok != want {
			t.Errorf("at %s: %v", at, ok)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	name := testenv.NewTenant(b)
	platform := testenv.Provisioned(b)
	sql, err := pgx.Connect(b.Context(), platform.SuperuserURL)
	if err != nil {
		b.Fatal(err)
	}
	insert := `INSERT INTO ` + name.Schema() + `.role_grants (id, subject, role, created_by) VALUES ($1, 'zhou', 'bureau_admin', '')`
	_, err = sql.Exec(b.Context(), insert, ids.New())
	if err != nil {
		b.Fatal(err)
	}
	directory := tenantdb.NewDirectory(tenantdb.Placement{Tenant: name, Cluster: "default", State: tenantdb.StateActive})
	db, err := tenantdb.Open(b.Context(), tenantdb.Config{Clusters: map[string]string{"default": platform.AppURL}}, directory)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	p, err := authz.NewPolicies(b.Context(), db)
	if err != nil {
		b.Fatal(err)
	}
	who := authn.Principal{Subject: "zhou", Tenants: []string{name.String()}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Authorize(b.Context(), who, name, "cases", "get"); err != nil {
			b.Fatal(err)
		}
	}
}

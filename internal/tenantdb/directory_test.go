package tenantdb_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
)

func setState(t testing.TB, n tenant.Name, state string) {
	t.Helper()
	mustAdminf(t, `update circle15.tenants set state = '%s' where name = '%s'`, state, n)
}

func TestASuspendedTenantIsRefused(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, nil)
	if _, err := title(in(t, n), db); err != nil {
		t.Fatal(err)
	}
	setState(t, n, "suspended")
	testenv.Await(t, "the tenant is suspended", func() bool {
		_, err := title(in(t, n), db)
		return apierr.KindOf(err) == apierr.Suspended
	})
	for door, through := range doors {
		if _, err := through(in(t, n), db, tenantdb.SQL(`SELECT '1'`)); apierr.KindOf(err) != apierr.Suspended {
			t.Errorf("through %s: %v", door, err)
		}
	}
	setState(t, n, "active")
	testenv.Await(t, "the tenant is active again", func() bool {
		_, err := title(in(t, n), db)
		return err == nil
	})
}

func TestATenantThatIsNotServedIsAsIfItDidNotExist(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, nil)
	_, unknown := title(in(t, "no-such-city"), db)
	wantKind(t, unknown, apierr.Denied)
	for _, state := range []string{"provisioning", "deleting", "retained"} {
		setState(t, n, state)
		testenv.Await(t, "the tenant is "+state, func() bool {
			_, err := title(in(t, n), db)
			return err != nil && err.Error() == unknown.Error()
		})
	}
	setState(t, n, "active")
	testenv.Await(t, "the tenant is active", func() bool { _, err := title(in(t, n), db); return err == nil })
	mustAdminf(t, `delete from circle15.tenants where name = '%s'`, n)
	testenv.Await(t, "the tenant is gone", func() bool {
		_, err := title(in(t, n), db)
		return err != nil && err.Error() == unknown.Error()
	})
}

func TestATenantWithAnOlderSchemaWaitsForItsUpgrade(t *testing.T) {
	n := newTenants(t, 1)[0]
	directory, err := tenantdb.OpenDirectory(t.Context(), map[string]string{"main": server.app})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(directory.Close)
	db := openWith(t, directory, nil)
	before := directory.Outdated()
	setVersion := func(version int) {
		mustAdminf(t, `update circle15.tenants set schema_version = %d where name = '%s'`, version, n)
	}
	setVersion(tenantdb.RequiredSchema - 1)
	testenv.Await(t, "the tenant waits", func() bool {
		_, err := title(in(t, n), db)
		return apierr.KindOf(err) == apierr.Unavailable && directory.Outdated() == before+1
	})
	for door, through := range doors {
		if _, err := through(in(t, n), db, tenantdb.SQL(`SELECT '1'`)); apierr.KindOf(err) != apierr.Unavailable {
			t.Errorf("through %s: %v", door, err)
		}
	}
	setVersion(tenantdb.RequiredSchema)
	testenv.Await(t, "the tenant is served", func() bool {
		_, err := title(in(t, n), db)
		return err == nil && directory.Outdated() == before
	})
}

func TestANewTenantIsServed(t *testing.T) {
	db := open(t, nil)
	n := newTenants(t, 1)[0]
	testenv.Await(t, "the new tenant is served", func() bool { _, err := title(in(t, n), db); return err == nil })
}

func TestTheDirectoryAnswersLookups(t *testing.T) {
	names := newTenants(t, 2)
	directory, err := tenantdb.OpenDirectory(t.Context(), map[string]string{"main": server.app})
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	want := tenantdb.Placement{
		Tenant: names[0], Cluster: "main", State: tenantdb.StateActive, SchemaVersion: 1000,
		DivisionCode: adminValue(t, fmt.Sprintf(`select division_code from circle15.tenants where name = '%s'`, names[0])),
	}
	if got, ok := directory.Lookup(names[0]); !ok || got != want {
		t.Errorf("%+v, %v; want %+v", got, ok, want)
	}
	if _, ok := directory.Lookup("no-such-city"); ok {
		t.Error("an unknown tenant was found")
	}
	found := 0
	for _, p := range directory.All() {
		if p.Tenant == names[0] || p.Tenant == names[1] {
			found++
		}
	}
	if found != 2 {
		t.Errorf("%d of 2 tenants are listed", found)
	}
	setState(t, names[1], "suspended")
	if err := directory.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := directory.Lookup(names[1]); got.State != tenantdb.StateSuspended {
		t.Errorf("after Refresh: %+v", got)
	}
}

// The listener's connection is lost again and again; what changes meanwhile is still known within a second.
func TestTheDirectoryOutlivesItsConnection(t *testing.T) {
	n := newTenants(t, 1)[0]
	directory, err := tenantdb.OpenDirectory(t.Context(), map[string]string{"main": server.app})
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	for round := range 4 {
		state := []string{"suspended", "active"}[round%2]
		mustAdminf(t, `select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'circle15_app';
			update circle15.tenants set state = '%s' where name = '%s'`, state, n)
		testenv.Await(t, "the directory knows the state "+state, func() bool {
			p, _ := directory.Lookup(n)
			return p.State == state
		})
	}
}

func TestManyChangesAtOnceAreFollowed(t *testing.T) {
	names := newTenants(t, 300)
	directory, err := tenantdb.OpenDirectory(t.Context(), map[string]string{"main": server.app})
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	mustAdminf(t, `update circle15.tenants set schema_version = 1002 where name like 'town-%%'`)
	testenv.Await(t, "all versions are known", func() bool {
		for _, n := range names {
			if p, _ := directory.Lookup(n); p.SchemaVersion != 1002 {
				return false
			}
		}
		return true
	})
}

func TestADirectoryWithoutADatabaseDoesNotOpen(t *testing.T) {
	if _, err := tenantdb.OpenDirectory(t.Context(), map[string]string{"main": "postgres://x:x@" + nobodyListens(t) + "/x"}); err == nil {
		t.Error("it opened")
	}
}

func TestNotificationsAndGapsReachTheSubscriber(t *testing.T) {
	db := open(t, nil)
	var mu sync.Mutex
	var payloads []string
	gaps := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := db.Listen(ctx, "circle15_policy", func(cluster, payload string) {
		mu.Lock()
		defer mu.Unlock()
		payloads = append(payloads, cluster+" "+payload)
	}, func(string) {
		mu.Lock()
		defer mu.Unlock()
		gaps++
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func() (int, []string) {
		mu.Lock()
		defer mu.Unlock()
		return gaps, payloads
	}
	testenv.Await(t, "listening begins with a gap", func() bool { g, _ := read(); return g == 1 })
	mustAdminf(t, `notify circle15_policy, 't_a:2'; notify circle15_policy, 't_b:7'`)
	testenv.Await(t, "both payloads", func() bool { _, p := read(); return len(p) == 2 })
	if _, p := read(); p[0] != "main t_a:2" || p[1] != "main t_b:7" {
		t.Errorf("payloads %q", p)
	}
	mustAdminf(t, `select pg_terminate_backend(pid, 5000) from pg_stat_activity where query = 'listen circle15_policy'`)
	testenv.Await(t, "the loss of the connection is a gap", func() bool { g, _ := read(); return g >= 2 })
	testenv.Await(t, "payloads come again", func() bool {
		mustAdminf(t, `notify circle15_policy, 't_c:1'`)
		_, p := read()
		return len(p) > 2
	})
	if err := db.Listen(ctx, "x; drop table y", nil, nil); err == nil {
		t.Error("a channel that is not a name was accepted")
	}
}

package tenantdb_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
)

// A tenant with a hundred requests in the queue and one with a single request: the single one takes its turn next.
func TestATenantCannotStarveAnother(t *testing.T) {
	names := newTenants(t, 4)
	crowd, others := names[0], names[1:]
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 2 })
	var served atomic.Int64
	var requests sync.WaitGroup
	for range 100 {
		requests.Go(func() {
			if _, err := tenantdb.One(in(t, crowd), db, pgx.RowTo[string], sleep, 0.01); err != nil {
				t.Error(err)
			}
			served.Add(1)
		})
	}
	testenv.Await(t, "the crowd waits", func() bool { return db.Stats()[0].Waiting > 90 })
	for _, n := range others {
		before := served.Load()
		if _, err := title(in(t, n), db); err != nil {
			t.Error(err)
		}
		// Its home may be in the middle of a request, and the crowd may be served once more on each connection.
		if ahead := served.Load() - before; ahead > 6 {
			t.Errorf("%d requests of the crowd were served before one of %s", ahead, n)
		}
	}
	requests.Wait()
}

func TestATenantStaysWithItsConnection(t *testing.T) {
	names := newTenants(t, 24)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 4 })
	backend := tenantdb.SQL(`SELECT pg_backend_pid()`)
	testenv.Await(t, "all connections are open", func() bool { // until then another one serves a tenant
		for _, n := range names {
			if _, err := title(in(t, n), db); err != nil {
				t.Fatal(err)
			}
		}
		return db.Stats()[0].Open == 4
	})
	home := make(map[tenant.Name]int32)
	load := make(map[int32]int)
	for round := range 5 {
		for _, n := range names {
			pid, err := tenantdb.One(in(t, n), db, pgx.RowTo[int32], backend)
			if err != nil {
				t.Fatal(err)
			}
			if round == 0 {
				home[n] = pid
				load[pid]++
			} else if pid != home[n] {
				t.Errorf("tenant %s was served by backend %d, then by %d", n, home[n], pid)
			}
		}
	}
	if len(load) != 4 {
		t.Errorf("%d connections are in use, want 4", len(load))
	}
	for pid, tenants := range load {
		if tenants > 8 {
			t.Errorf("backend %d is the home of %d of 24 tenants", pid, tenants)
		}
	}
}

func TestATenantGetsAnotherConnectionWhenItsOwnIsHeldByOthers(t *testing.T) {
	names := newTenants(t, 3)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 2 })
	for _, n := range names { // the third shares a home with the first or the second
		if _, err := title(in(t, n), db); err != nil {
			t.Fatal(err)
		}
	}
	for _, holder := range names[:2] {
		err := db.Read(in(t, holder), func(ctx context.Context, tx *tenantdb.Tx) error {
			if _, err := title(ctx, tx); err != nil {
				return err
			}
			_, err := title(in(t, names[2]), db)
			return err
		})
		if err != nil {
			t.Errorf("while %s holds its connection: %v", holder, err)
		}
	}
}

func TestATenantUsesSeveralConnectionsAtOnceAndNeverAll(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 5 })
	var together, most atomic.Int64
	var requests sync.WaitGroup
	for range 40 {
		requests.Go(func() {
			err := db.Read(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
				if _, err := tx.Exec(ctx, sleep, 0.0); err != nil {
					return err
				}
				now := together.Add(1)
				defer together.Add(-1)
				for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
				}
				_, err := tx.Exec(ctx, sleep, 0.02)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	requests.Wait()
	if most.Load() != 3 {
		t.Errorf("at most %d transactions together on five connections, want 3", most.Load())
	}
}

// Three tenants whose statements do not end hold connections; whoever comes next is served all the same.
func TestSlowStatementsOfSomeTenantsLeaveConnectionsToOthers(t *testing.T) {
	names := newTenants(t, 5)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 8; c.AcquireTimeout = time.Minute })
	var requests sync.WaitGroup
	defer requests.Wait()
	held := 0
	for i, more := range []int{4, 2, 1} {
		ctx, cancel := context.WithCancel(in(t, names[i]))
		defer cancel()
		for range 20 {
			requests.Go(func() {
				_, err := tenantdb.One(ctx, db, pgx.RowTo[string], sleep, 1000)
				wantKind(t, err, apierr.Canceled)
			})
		}
		held += more
		testenv.Await(t, "the tenant holds all that it may", func() bool {
			s := db.Stats()[0]
			return s.Busy == held && s.Waiting == 20*(i+1)-held
		})
	}
	for _, n := range names[3:] {
		for range 50 {
			if got, err := title(in(t, n), db); err != nil || got != string(n) {
				t.Fatalf("%s read %q, error %v", n, got, err)
			}
		}
	}
	if s := db.Stats()[0]; s.Busy != held {
		t.Errorf("%d connections are busy, want the %d of the slow", s.Busy, held)
	}
}

func TestAConnectionIsReplacedWhenItHasServedTooManyTenants(t *testing.T) {
	names := newTenants(t, 30)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 1; c.MaxTenantsPerConn = 10 })
	for range 2 {
		for _, n := range names {
			if got, err := title(in(t, n), db); err != nil || got != string(n) {
				t.Fatalf("%q, %v", got, err)
			}
		}
	}
	if s := db.Stats()[0]; s.Recycled != 5 || s.Discarded != 0 || s.Opened < 5 {
		t.Errorf("%+v, want 5 connections recycled after 11 tenants each", s)
	}
	testenv.Await(t, "the replaced backends are gone", func() bool {
		return adminValue(t, `select count(*) <= 2 from pg_stat_activity where usename = 'circle15_app'`) == "t"
	})
}

func TestAConnectionIsReplacedAtTheEndOfItsLife(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, func(c *tenantdb.Config) {
		c.MaxConnLifetime = 20 * time.Millisecond
		c.MaxConnIdle = 50 * time.Millisecond
	})
	testenv.Await(t, "a connection is recycled for its age", func() bool {
		if _, err := title(in(t, n), db); err != nil {
			t.Fatal(err)
		}
		return db.Stats()[0].Recycled > 0
	})
	testenv.Await(t, "an unused connection is closed", func() bool { return db.Stats()[0].Open == 0 })
}

func TestTooManyWaitingRequestsOfOneTenantAreRefused(t *testing.T) {
	names := newTenants(t, 2)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 1; c.MaxQueuedRequests = 3; c.AcquireTimeout = time.Minute })
	hold(t, db, names[0], func() {
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() { _, _ = title(in(t, names[0]), db) })
		}
		testenv.Await(t, "three requests wait", func() bool { return db.Stats()[0].Waiting == 3 })
		_, err := title(in(t, names[0]), db)
		wantKind(t, err, apierr.RateLimited)
		waiting.Go(func() { _, _ = title(in(t, names[1]), db) }) // another tenant may still wait
		testenv.Await(t, "the other tenant waits too", func() bool { return db.Stats()[0].Waiting == 4 })
		t.Cleanup(waiting.Wait)
	})
}

// hold keeps the only connection busy while meanwhile runs.
func hold(t *testing.T, db *tenantdb.DB, n tenant.Name, meanwhile func()) {
	t.Helper()
	err := db.Read(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		if _, err := title(ctx, tx); err != nil {
			return err
		}
		meanwhile()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheWaitForAConnectionIsBounded(t *testing.T) {
	n := newTenants(t, 1)[0]
	served := func(db *tenantdb.DB) func() bool {
		return func() bool { got, err := title(in(t, n), db); return err == nil && got == string(n) }
	}
	short := open(t, func(c *tenantdb.Config) { c.MaxConns = 1; c.AcquireTimeout = 100 * time.Millisecond })
	testenv.Await(t, "the connection is open", served(short))
	hold(t, short, n, func() {
		_, err := title(in(t, n), short)
		wantKind(t, err, apierr.Unavailable)
	})
	long := open(t, func(c *tenantdb.Config) { c.MaxConns = 1; c.AcquireTimeout = time.Hour })
	hold(t, long, n, func() {
		ctx, cancel := context.WithTimeout(in(t, n), 5*time.Millisecond)
		defer cancel()
		_, err := title(ctx, long)
		wantKind(t, err, apierr.Timeout)
		ctx, cancel = context.WithCancel(in(t, n))
		gone := make(chan error, 1)
		go func() {
			_, err := title(ctx, long)
			gone <- err
		}()
		testenv.Await(t, "a request waits", func() bool { return long.Stats()[0].Waiting == 1 })
		cancel()
		wantKind(t, <-gone, apierr.Canceled)
	})
	testenv.Await(t, "afterwards the tenant is served", served(short))
	testenv.Await(t, "afterwards the tenant is served by the patient", served(long))
}

// Its requests do not wait for a connection, which they might for an hour here.
func TestADatabaseThatIsAwayIsUnavailableAtOnce(t *testing.T) {
	n := tenant.Name("nowhere")
	db := openWith(t, tenantdb.NewDirectory(
		tenantdb.Placement{Tenant: n, Cluster: "main", State: tenantdb.StateActive},
		tenantdb.Placement{Tenant: "elsewhere", Cluster: "unknown", State: tenantdb.StateActive},
	), func(c *tenantdb.Config) {
		c.Clusters = map[string]string{"main": "postgres://circle15_app:app@" + nobodyListens(t) + "/postgres"}
		c.AcquireTimeout = time.Hour
	})
	for range 3 {
		ctx, cancel := context.WithTimeout(in(t, n), testenv.Patience)
		_, err := title(ctx, db)
		wantKind(t, err, apierr.Unavailable)
		cancel()
	}
	_, err := title(in(t, "elsewhere"), db)
	wantKind(t, err, apierr.Unavailable)
	wantKind(t, db.Ping(t.Context()), apierr.Unavailable)
}

// nobodyListens is a local address that refuses connections.
func nobodyListens(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// terminate has the server end all sessions of the app's pools, as a restart or a failover does.
func terminate(t *testing.T) {
	t.Helper()
	mustAdminf(t, `select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'circle15_app' and query not like 'listen%%'`)
}

func TestARestartOfTheDatabaseIsSurvived(t *testing.T) {
	names := newTenants(t, 8)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 4 })
	for round := range 3 {
		for _, n := range names {
			if _, err := title(in(t, n), db); err != nil {
				t.Fatal(err)
			}
			err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
				_, err := tx.Exec(ctx, addCase, uuid.New(), "x")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range names {
			if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int64], countAll); err != nil || got != int64(2+round) {
				t.Errorf("%d rows, %v; want %d", got, err, 2+round)
			}
		}
		if err := db.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		terminate(t)
	}
}

func TestCloseWaitsForTheTransactionsUnderWay(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, nil)
	begun := make(chan struct{})
	var ended atomic.Bool
	go func() {
		err := db.Read(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
			if _, err := title(ctx, tx); err != nil {
				return err
			}
			close(begun)
			_, err := tx.Exec(ctx, sleep, 0.1)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		ended.Store(true)
	}()
	<-begun
	db.Close()
	if db.Stats()[0].Open != 0 {
		t.Error("a connection is open")
	}
	testenv.Await(t, "the transaction has ended", ended.Load)
	_, err := title(in(t, n), db)
	wantKind(t, err, apierr.Unavailable)
}

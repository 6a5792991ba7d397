package tenantdb_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
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

// wantNothingLeft looks at the idle connections from below and at the server from above.
func wantNothingLeft(t *testing.T, db *tenantdb.DB) {
	t.Helper()
	testenv.Await(t, "all connections are given back", func() bool { return db.Stats()[0].Busy == 0 })
	states, err := db.IdleSessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if s.TxStatus != 'I' || s.Role != "none" {
			t.Errorf("a connection is left with transaction status %c and role %s", s.TxStatus, s.Role)
		}
	}
	testenv.Await(t, "the server has ended all transactions of the app", func() bool {
		return adminValue(t, `select count(*) from pg_stat_activity where usename = 'circle15_app' and xact_start is not null`) == "0"
	})
}

func TestACancelledStatementLeavesNothing(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 1; c.CancelGrace = time.Millisecond })
	for door, run := range map[string]func(ctx context.Context) error{
		"One": func(ctx context.Context) error {
			_, err := tenantdb.One(ctx, db, pgx.RowTo[string], sleep, 30.0)
			return err
		},
		"Read": func(ctx context.Context) error {
			return db.Read(ctx, func(ctx context.Context, tx *tenantdb.Tx) error {
				_, err := tx.Exec(ctx, sleep, 30.0)
				return err
			})
		},
		"Write": func(ctx context.Context) error {
			return db.Write(ctx, func(ctx context.Context, tx *tenantdb.Tx) error {
				tx.Queue(addCase, uuid.New(), "never committed")
				_, err := tx.Exec(ctx, sleep, 30.0)
				return err
			})
		},
	} {
		ctx, cancel := context.WithCancel(in(t, n))
		go func() {
			testenv.Await(t, "the statement is under way", func() bool {
				return adminValue(t, `select count(*) from pg_stat_activity where wait_event = 'PgSleep'`) != "0"
			})
			cancel()
		}()
		err := run(ctx)
		if apierr.KindOf(err) != apierr.Canceled {
			t.Errorf("%s: %v, want CANCELED", door, err)
		}
		wantNothingLeft(t, db)
		if got, err := title(in(t, n), db); err != nil || got != string(n) {
			t.Errorf("after %s the next request reads %q, %v", door, got, err)
		}
	}
	if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int64], countAll); err != nil || got != 1 {
		t.Errorf("%d rows, %v; want 1", got, err)
	}
}

func TestATimedOutRequestLeavesNothing(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 1; c.CancelGrace = time.Millisecond })
	// A slow machine may need more than the first limits to get to the server.
	begun := false
	for limit := 50 * time.Millisecond; !begun; limit *= 2 {
		ctx, cancel := context.WithTimeout(in(t, n), limit)
		err := db.Write(ctx, func(ctx context.Context, tx *tenantdb.Tx) error {
			if _, err := tx.Exec(ctx, addCase, uuid.New(), "never committed"); err != nil {
				return err
			}
			begun = true
			_, err := tx.Exec(ctx, sleep, 30.0)
			return err
		})
		cancel()
		wantKind(t, err, apierr.Timeout)
		wantNothingLeft(t, db)
	}
	if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int64], countAll); err != nil || got != 1 {
		t.Errorf("%d rows, %v; want 1", got, err)
	}
}

func TestTheServerLimitsStatementsAndLocks(t *testing.T) {
	n := newTenants(t, 1)[0]
	brief := open(t, func(c *tenantdb.Config) { c.StatementTimeout = 100 * time.Millisecond })
	_, err := tenantdb.One(in(t, n), brief, pgx.RowTo[string], sleep, 30.0)
	wantKind(t, err, apierr.Timeout)
	// Another, whose statements may take as long as a slow machine needs for those that are not blocked.
	db := open(t, func(c *tenantdb.Config) { c.LockTimeout = 30 * time.Millisecond })
	err = db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		if _, err := tx.Exec(ctx, addToN, firstCase, 1); err != nil {
			return err
		}
		blocked := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
			_, err := tx.Exec(ctx, addToN, firstCase, 1)
			return err
		})
		wantKind(t, blocked, apierr.Timeout)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, db := range []*tenantdb.DB{brief, db} {
		wantNothingLeft(t, db)
		if s := db.Stats()[0]; s.Discarded != 0 {
			t.Errorf("%+v: errors of the server need no new connection", s)
		}
	}
}

func TestAPanickingFunctionLeavesNothing(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 1 })
	for where, run := range map[string]func(){
		"in a transaction": func() {
			_ = db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
				if _, err := tx.Exec(ctx, addCase, uuid.New(), "never committed"); err != nil {
					t.Error(err)
				}
				panic("in a transaction")
			})
		},
		"while a row is read": func() {
			_, _ = tenantdb.All(in(t, n), db, func(pgx.CollectableRow) (string, error) { panic("while a row is read") }, allTitles)
		},
		"while a row is read in a transaction": func() {
			_ = db.Read(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
				_, err := tenantdb.All(ctx, tx, func(pgx.CollectableRow) (string, error) { panic("while a row is read") }, allTitles)
				return err
			})
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the panic was swallowed", where)
				}
			}()
			run()
		}()
		wantNothingLeft(t, db)
		if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int64], countAll); err != nil || got != 1 {
			t.Errorf("after a panic %s: %d rows, %v; want 1", where, got, err)
		}
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		_ = db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
			_, _ = tx.Exec(ctx, addCase, uuid.New(), "never committed")
			runtime.Goexit() // what t.FailNow does
			return nil
		})
	})
	ended.Wait()
	wantNothingLeft(t, db)
}

// A hundred tenants, and requests that are cancelled, panic and time out at random moments. Every row that is read is
// the tenant's own; of every transaction both rows are there or none; nothing is left on the connections.
func TestAHundredTenantsWithRandomEndsStayApart(t *testing.T) {
	names := newTenants(t, 100)
	db := open(t, func(c *tenantdb.Config) {
		c.MaxConns, c.StatementCache, c.MaxTenantsPerConn, c.CancelGrace = 6, 16, 40, 2*time.Millisecond
	})
	run := 2 * time.Second
	if testing.Short() {
		run = 300 * time.Millisecond
	}
	var cancelled, panicked, failed, done atomic.Int64
	everyEnd := func() bool {
		return done.Load() > 0 && cancelled.Load() > 0 && panicked.Load() > 0 && failed.Load() > 0
	}
	var workers sync.WaitGroup
	end := time.Now().Add(run)
	giveUp := end.Add(testenv.Patience)
	for seed := range 16 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(seed), 15))
			for now := time.Now(); now.Before(end) || !everyEnd() && now.Before(giveUp); now = time.Now() {
				n := names[random.IntN(len(names))]
				switch err := randomRequest(in(t, n), db, n, random); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, errPanicked):
					panicked.Add(1)
				case apierr.KindOf(err) == apierr.Canceled || apierr.KindOf(err) == apierr.Timeout:
					cancelled.Add(1)
				case errors.Is(err, errMine):
					failed.Add(1)
				default:
					t.Errorf("tenant %s: %v", n, err)
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d done, %d cancelled, %d panicked, %d failed; %+v", done.Load(), cancelled.Load(), panicked.Load(), failed.Load(), db.Stats()[0])
	if !everyEnd() {
		t.Error("not every end was tried")
	}
	wantNothingLeft(t, db)
	for _, n := range names {
		titles, err := tenantdb.All(in(t, n), db, pgx.RowTo[string], allTitles)
		if err != nil {
			t.Fatal(err)
		}
		if len(titles)%2 != 1 { // the first case, and pairs
			t.Errorf("tenant %s has %d rows: half a transaction", n, len(titles))
		}
		for _, got := range titles {
			if got != string(n) {
				t.Errorf("tenant %s has a row of %s", n, got)
			}
		}
	}
	if most := db.PreparedStatements(); most > 16 {
		t.Errorf("a connection keeps %d statements, want at most 16", most)
	}
}

var (
	errPanicked = errors.New("panicked")
	errMine     = errors.New("mine")
)

// randomRequest runs one request that ends in one of many ways.
func randomRequest(ctx context.Context, db *tenantdb.DB, n tenant.Name, random *rand.Rand) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if random.IntN(3) == 0 {
		stop := time.AfterFunc(time.Duration(random.IntN(3000))*time.Microsecond, cancel)
		defer stop.Stop()
	}
	end := random.IntN(12)
	if random.IntN(2) == 0 {
		got, err := tenantdb.All(ctx, db, func(row pgx.CollectableRow) (string, error) {
			if end == 0 {
				panic(errPanicked)
			}
			return pgx.RowTo[string](row)
		}, allTitles)
		for _, title := range got {
			if title != string(n) {
				return errors.New("read a row of " + title)
			}
		}
		return err
	}
	return db.Write(ctx, func(ctx context.Context, tx *tenantdb.Tx) error {
		tx.Queue(addCase, uuid.New(), string(n))
		if random.IntN(2) == 0 {
			if _, err := tenantdb.One(ctx, tx, pgx.RowTo[int32], getN, firstCase); err != nil {
				return err
			}
		}
		switch end {
		case 0:
			panic(errPanicked)
		case 1:
			return errMine
		case 2:
			cancel()
		case 3:
			if _, err := tx.Exec(ctx, sleep, 0.002); err != nil {
				return err
			}
		}
		tx.Queue(addCase, uuid.New(), string(n))
		return nil
	})
}

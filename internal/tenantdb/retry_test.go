package tenantdb_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
)

// A migration changes the type of a column while its statements are prepared: "cached plan must not change result
// type". Nobody notices.
func TestAChangedResultTypeIsPreparedAnew(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 2 })
	read := tenantdb.SQL(`SELECT n FROM {tenant}.cases WHERE id = $1`)
	for _, kind := range []string{"integer", "bigint", "numeric", "integer"} {
		mustAdminf(t, `alter table %s.cases alter column n type %s`, n.Schema(), kind)
		if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int64], read, firstCase); err != nil || got != 0 {
			t.Errorf("One, column of type %s: %d, %v", kind, got, err)
		}
	}
	for _, kind := range []string{"bigint", "numeric", "integer"} {
		mustAdminf(t, `alter table %s.cases alter column n type %s`, n.Schema(), kind)
		err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
			tx.Queue(addCase, uuid.New(), kind)
			got, err := tenantdb.One(ctx, tx, pgx.RowTo[int64], read, firstCase)
			if err == nil && got != 0 {
				t.Errorf("read %d", got)
			}
			return err
		})
		if err != nil {
			t.Errorf("Write, column of type %s: %v", kind, err)
		}
	}
	if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int64], countAll); err != nil || got != 4 {
		t.Errorf("%d rows, %v; want 4, one of each Write", got, err)
	}
}

// What one tenant's connection has learned of a statement is used for the next tenant; if that one's schema differs,
// because it is not yet migrated, nobody notices either.
func TestTenantsWithDifferentColumnTypesAreReadAlike(t *testing.T) {
	names := newTenants(t, 6)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 2 })
	read := tenantdb.SQL(`SELECT n, title FROM {tenant}.cases WHERE id = $1 AND n >= $2`)
	type row struct {
		N     int64
		Title string
	}
	for i, n := range names {
		mustAdminf(t, `alter table %s.cases alter column n type %s`, n.Schema(), []string{"integer", "bigint", "numeric"}[i%3])
	}
	for range 2 {
		for _, n := range names {
			got, err := tenantdb.One(in(t, n), db, pgx.RowToStructByPos[row], read, firstCase, 0)
			if err != nil || got.Title != string(n) {
				t.Errorf("One: %+v, %v", got, err)
			}
			err = db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
				got, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[row], read, firstCase, 0)
				if err == nil && got.Title != string(n) {
					t.Errorf("Write: %+v", got)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
}

func TestVanishedPreparedStatementsArePreparedAnew(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 1 })
	forget := func() {
		err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
			_, err := tx.Exec(ctx, tenantdb.Unvetted(`DEALLOCATE ALL`))
			return err
		})
		wantKind(t, err, apierr.Internal) // its own commit is among the vanished
	}
	if _, err := title(in(t, n), db); err != nil {
		t.Fatal(err)
	}
	forget()
	if got, err := title(in(t, n), db); err != nil || got != string(n) {
		t.Errorf("One: %q, %v", got, err)
	}
	forget()
	err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		_, err := tx.Exec(ctx, addToN, firstCase, 1)
		return err
	})
	if err != nil {
		t.Errorf("Write: %v", err)
	}
}

func TestTheStatementCacheIsBounded(t *testing.T) {
	names := newTenants(t, 12)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 1; c.StatementCache = 5 })
	for range 3 {
		for _, n := range names {
			if got, err := title(in(t, n), db); err != nil || got != string(n) {
				t.Fatalf("%q, %v", got, err)
			}
		}
	}
	if kept := db.PreparedStatements(); kept != 5 {
		t.Errorf("%d statements are kept, want 5", kept)
	}
	err := db.Read(in(t, names[0]), func(ctx context.Context, tx *tenantdb.Tx) error {
		known, err := tenantdb.One(ctx, tx, pgx.RowTo[int64],
			tenantdb.Unvetted(`SELECT count(*) FROM pg_catalog.pg_prepared_statements WHERE statement LIKE '%cases%'`))
		if known > 6 {
			t.Errorf("the server knows %d statements, want at most 5 and those of the last trip", known)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestADeadlockIsTriedAgain(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, nil)
	ids := []uuid.UUID{uuid.New(), uuid.New()}
	err := db.Write(in(t, n), func(_ context.Context, tx *tenantdb.Tx) error {
		tx.Queue(addCase, ids[0], "a")
		tx.Queue(addCase, ids[1], "b")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var attempts atomic.Int64
	var bothHold, writers sync.WaitGroup
	bothHold.Add(2)
	for i := range 2 {
		var once sync.Once
		writers.Go(func() {
			err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
				attempts.Add(1)
				if _, err := tx.Exec(ctx, addToN, ids[i], 1); err != nil {
					return err
				}
				once.Do(bothHold.Done)
				bothHold.Wait()
				_, err := tx.Exec(ctx, addToN, ids[1-i], 1)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if attempts.Load() < 3 {
		t.Errorf("%d attempts: there was no deadlock", attempts.Load())
	}
	for _, id := range ids {
		if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int32], getN, id); err != nil || got != 2 {
			t.Errorf("n = %d, %v; want 2", got, err)
		}
	}
}

func TestASerializationFailureIsTriedAgainABoundedNumberOfTimes(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, nil)
	mustAdminf(t, `create function %[1]s.fail() returns trigger language plpgsql as $$
		begin raise exception 'no' using errcode = '40001'; end $$;
		create constraint trigger fail after insert on %[1]s.cases deferrable initially deferred
		for each row when (new.title = 'fail') execute function %[1]s.fail();`, n.Schema())
	attempts := 0
	err := db.Write(in(t, n), func(_ context.Context, tx *tenantdb.Tx) error {
		attempts++
		tx.Queue(addCase, uuid.New(), "fail") // fails in the commit
		return nil
	})
	wantKind(t, err, apierr.Conflict)
	if attempts != 5 {
		t.Errorf("%d attempts, want 5", attempts)
	}
}

// The connection is lost while the commit is under way: whether it happened is unknown, so it is not tried again.
func TestACommitOfUnknownOutcomeIsUnavailableAndNotTriedAgain(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, nil)
	mustAdminf(t, `create function %[1]s.linger() returns trigger language plpgsql as $$
		begin perform pg_sleep(30); return null; end $$;
		create constraint trigger linger after insert on %[1]s.cases deferrable initially deferred
		for each row when (new.title = 'linger') execute function %[1]s.linger();`, n.Schema())
	go func() {
		testenv.Await(t, "the commit is under way", func() bool {
			return adminValue(t, `select count(pg_terminate_backend(pid)) from pg_stat_activity
				where wait_event = 'PgSleep' and usename = 'circle15_app'`) != "0"
		})
	}()
	attempts := 0
	err := db.Write(in(t, n), func(_ context.Context, tx *tenantdb.Tx) error {
		attempts++
		tx.Queue(addCase, uuid.New(), "linger")
		return nil
	})
	wantKind(t, err, apierr.Unavailable)
	if attempts != 1 {
		t.Errorf("%d attempts, want 1", attempts)
	}
}

func TestAConnectionLostBeforeTheCommitIsTriedAgain(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, nil)
	attempts := 0
	err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		attempts++
		if _, err := tx.Exec(ctx, addCase, uuid.New(), fmt.Sprint("attempt ", attempts)); err != nil {
			return err
		}
		if attempts == 1 {
			terminate(t)
		}
		_, err := tx.Exec(ctx, addToN, firstCase, 1)
		return err
	})
	if err != nil || attempts != 2 {
		t.Fatalf("%v after %d attempts, want success after 2", err, attempts)
	}
	titles, err := tenantdb.All(in(t, n), db, pgx.RowTo[string], allTitles)
	if err != nil || len(titles) != 2 {
		t.Errorf("%q, %v; want the first case and one more", titles, err)
	}
}

package tenantdb_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
)

type caseRow struct {
	ID    uuid.UUID
	Title string
	N     int32
	Code  *string
}

var getCase = tenantdb.SQL(`SELECT id, title, n, code FROM {tenant}.cases WHERE id = $1`)

func TestARowIsReadAsItsTenant(t *testing.T) {
	names, db := newTenants(t, 2), open(t, nil)
	for _, n := range names {
		for range 2 { // parsed, then cached
			got, err := tenantdb.One(in(t, n), db, pgx.RowToStructByPos[caseRow], getCase, firstCase)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(caseRow{ID: firstCase, Title: string(n)}, got); diff != "" {
				t.Error(diff)
			}
		}
	}
}

func TestAMissingRowIsErrNoRows(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, nil)
	if _, err := tenantdb.One(in(t, n), db, pgx.RowTo[string], titleOf, uuid.New()); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("One: %v, want ErrNoRows", err)
	}
	none, err := tenantdb.All(in(t, n), db, pgx.RowTo[string], tenantdb.SQL(`SELECT title FROM {tenant}.cases WHERE n = 5`))
	if err != nil || none == nil || len(none) != 0 {
		t.Errorf("All: %#v, %v; want an empty slice", none, err)
	}
	err = db.Read(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		if _, err := tenantdb.One(ctx, tx, pgx.RowTo[string], titleOf, uuid.New()); !errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("One in a transaction: %v, want ErrNoRows", err)
		}
		_, err := title(ctx, tx) // the transaction goes on
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAWriteCommitsWhatWasExecutedAndQueued(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, nil)
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		tx.Queue(addCase, a, "queued first")
		affected, err := tx.Exec(ctx, addToN, a, 7) // sees what is queued before it
		if err != nil || affected != 1 {
			t.Errorf("affected %d, %v; want 1", affected, err)
		}
		tx.Queue(addCase, b, "queued for the commit")
		tx.Queue(addCase, c, "queued for the commit too")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int64], countAll); err != nil || got != 4 {
		t.Errorf("%d rows, %v; want 4", got, err)
	}
	if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int32], getN, a); err != nil || got != 7 {
		t.Errorf("n = %d, %v; want 7", got, err)
	}
}

func TestAnErrorOfTheFunctionRollsBack(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, nil)
	mine := errors.New("mine")
	err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		if _, err := tx.Exec(ctx, addCase, uuid.New(), "x"); err != nil {
			return err
		}
		tx.Queue(addCase, uuid.New(), "never sent")
		return mine
	})
	if !errors.Is(err, mine) {
		t.Fatalf("%v, want the function's error", err)
	}
	if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int64], countAll); err != nil || got != 1 {
		t.Errorf("%d rows, %v; want 1", got, err)
	}
}

func TestAFailedStatementIsNotCommittedEvenIfTheFunctionIgnoresIt(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, nil)
	err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		_, _ = tx.Exec(ctx, addCase, uuid.New(), "kept?")
		_, _ = tx.Exec(ctx, addCase, firstCase, "a duplicate")
		return nil
	})
	wantKind(t, err, apierr.AlreadyExists)
	if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int64], countAll); err != nil || got != 1 {
		t.Errorf("%d rows, %v; want 1", got, err)
	}
}

func TestAQueuedStatementFailsTheCommit(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, nil)
	err := db.Write(in(t, n), func(_ context.Context, tx *tenantdb.Tx) error {
		tx.Queue(addCase, uuid.New(), "x")
		tx.Queue(addCase, firstCase, "a duplicate")
		return nil
	})
	wantKind(t, err, apierr.AlreadyExists)
	if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int64], countAll); err != nil || got != 1 {
		t.Errorf("%d rows, %v; want 1", got, err)
	}
}

func TestReadsCannotWrite(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, nil)
	insert := tenantdb.SQL(`INSERT INTO {tenant}.cases (id, title) VALUES ($1, 'x') RETURNING title`)
	_, err := tenantdb.One(in(t, n), db, pgx.RowTo[string], insert, uuid.New())
	wantKind(t, err, apierr.Internal)
	err = db.Read(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		_, err := tx.Exec(ctx, insert, uuid.New())
		return err
	})
	wantKind(t, err, apierr.Internal)
}

func TestAReadTransactionSeesOneSnapshot(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, nil)
	err := db.Read(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		before, err := tenantdb.One(ctx, tx, pgx.RowTo[int64], countAll)
		if err != nil {
			return err
		}
		err = db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
			_, err := tx.Exec(ctx, addCase, uuid.New(), "in between")
			return err
		})
		if err != nil {
			return err
		}
		after, err := tenantdb.One(ctx, tx, pgx.RowTo[int64], countAll)
		if before != after {
			t.Errorf("%d rows, then %d in the same transaction", before, after)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestATransactionInsideATransactionIsRefused(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, nil)
	err := db.Read(in(t, n), func(ctx context.Context, _ *tenantdb.Tx) error {
		_, err := title(ctx, db)
		return err
	})
	wantKind(t, err, apierr.Internal)
}

func TestATransactionIsOverWhenItsFunctionReturns(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, nil)
	var leaked *tenantdb.Tx
	if err := db.Read(in(t, n), func(_ context.Context, tx *tenantdb.Tx) error { leaked = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	_, err := title(in(t, n), leaked)
	wantKind(t, err, apierr.Internal)
}

func TestRowsMayBeQueuedWhileAResultIsRead(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, nil)
	var over *tenantdb.Tx
	err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		over = tx
		_, err := tenantdb.All(ctx, tx, func(row pgx.CollectableRow) (string, error) {
			tx.Queue(addCase, uuid.New(), "a copy")
			return pgx.RowTo[string](row)
		}, allTitles)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[int64], countAll); err != nil || got != 2 {
		t.Errorf("%d rows, %v; want 2", got, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a statement queued after the transaction was lost in silence")
		}
	}()
	over.Queue(addCase, uuid.New(), "late")
}

func TestATransactionIsNotUsedWhileAResultIsRead(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, nil)
	err := db.Read(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		_, err := tenantdb.All(ctx, tx, func(row pgx.CollectableRow) (string, error) {
			return title(ctx, tx)
		}, allTitles)
		return err
	})
	wantKind(t, err, apierr.Internal)
}

func TestArgumentsThatDoNotFitLeaveTheConnectionInOrder(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, func(c *tenantdb.Config) { c.MaxConns = 1 })
	for range 3 {
		_, err := tenantdb.One(in(t, n), db, pgx.RowTo[string], titleOf, "a", "b")
		wantKind(t, err, apierr.Internal)
		_, err = tenantdb.One(in(t, n), db, pgx.RowTo[string], titleOf, "not a UUID")
		wantKind(t, err, apierr.Invalid)
		if _, err := title(in(t, n), db); err != nil {
			t.Fatal(err)
		}
	}
	if s := db.Stats()[0]; s.Opened != 1 || s.Discarded != 0 {
		t.Errorf("%+v, want one connection throughout", s)
	}
}

func TestAggregatesAreReadAsTheAggregateRole(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, nil)
	err := db.Aggregate(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		got, err := tenantdb.One(ctx, tx, pgx.RowTo[int64], tenantdb.SQL(`SELECT cases FROM {tenant}.work_summary()`))
		if got != 1 {
			t.Errorf("%d cases, want 1", got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Aggregate(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		_, err := title(ctx, tx)
		return err
	})
	wantKind(t, err, apierr.Internal)
}

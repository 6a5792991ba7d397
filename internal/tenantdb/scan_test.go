package tenantdb_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/tenantdb"
)

type numbered struct {
	N    int32
	Word *string
}

type wide struct {
	N    int64
	Word string
}

var numbers = tenantdb.SQL(`SELECT n, 'word ' || n FROM generate_series(1, $1::int4) AS n`)

func TestOneStatementIsReadIntoDifferentTypesInTurn(t *testing.T) {
	names, db := newTenants(t, 2), open(t, nil)
	one, two := "word 1", "word 2"
	read := func(ctx context.Context, q tenantdb.Querier) {
		t.Helper()
		first, err := tenantdb.All(ctx, q, pgx.RowToStructByPos[numbered], numbers, 2)
		if diff := cmp.Diff([]numbered{{1, &one}, {2, &two}}, first); err != nil || diff != "" {
			t.Error(err, diff)
		}
		second, err := tenantdb.All(ctx, q, pgx.RowToAddrOfStructByPos[wide], numbers, 1)
		if diff := cmp.Diff([]*wide{{1, one}}, second); err != nil || diff != "" {
			t.Error(err, diff)
		}
		third, err := tenantdb.One(ctx, q, pgx.RowToMap, numbers, 1)
		if diff := cmp.Diff(map[string]any{"n": int32(1), "?column?": one}, third); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
	for range 2 {
		for _, n := range names {
			read(in(t, n), db)
			err := db.Read(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
				read(ctx, tx)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAColumnThatDoesNotFitIsAnErrorAndTheConnectionIsUsedAgain(t *testing.T) {
	n, db := newTenants(t, 1)[0], open(t, func(c *tenantdb.Config) { c.MaxConns = 1 })
	for range 2 {
		if got, err := tenantdb.All(in(t, n), db, pgx.RowTo[bool], titleOf, firstCase); err == nil {
			t.Errorf("a title was read as %v", got)
		}
		if _, err := tenantdb.One(in(t, n), db, pgx.RowToStructByPos[numbered], titleOf, firstCase); err == nil {
			t.Error("one column was read into two fields")
		}
		if got, err := title(in(t, n), db); err != nil || got != string(n) {
			t.Errorf("read %q, %v", got, err)
		}
	}
}

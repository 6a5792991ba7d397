package tenantdb_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/tenantdb"
)

func TestIDsTravelInEveryForm(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, nil)
	type row struct {
		ID     uuid.UUID
		Parent *uuid.UUID
		None   *uuid.UUID
		List   []uuid.UUID
		Empty  []uuid.UUID
		Text   string
	}
	id, parent := uuid.New(), uuid.New()
	got, err := tenantdb.One(in(t, n), db, pgx.RowToStructByPos[row],
		tenantdb.SQL(`SELECT $1::uuid, $2::uuid, $3::uuid, $4::uuid[], $5::uuid[], $1::uuid::text`),
		id, &parent, (*uuid.UUID)(nil), []uuid.UUID{id, parent}, []uuid.UUID{})
	if err != nil {
		t.Fatal(err)
	}
	want := row{ID: id, Parent: &parent, List: []uuid.UUID{id, parent}, Empty: []uuid.UUID{}, Text: id.String()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	null := tenantdb.SQL(`SELECT NULL::uuid`)
	if got, err := tenantdb.One(in(t, n), db, pgx.RowTo[uuid.UUID], null); err == nil {
		t.Errorf("NULL was read as %v", got)
	}
	anyOf := tenantdb.SQL(`SELECT title FROM {tenant}.cases WHERE ($1::uuid[] IS NULL OR id = ANY ($1))`)
	for _, c := range []struct {
		ids  []uuid.UUID
		want int
	}{{nil, 1}, {[]uuid.UUID{}, 0}, {[]uuid.UUID{firstCase, id}, 1}, {[]uuid.UUID{id}, 0}} {
		err := db.Read(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
			rows, err := tenantdb.All(ctx, tx, pgx.RowTo[string], anyOf, c.ids)
			if len(rows) != c.want {
				t.Errorf("%v: %d rows, want %d", c.ids, len(rows), c.want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/tenant"
	"circle15.dev/internal/testenv"
)

// contents are digests of all rows of the tenants' tables, by table. The audit trail is left out: that someone tried
// belongs there.
type contents map[string]string

// contentReader reads contents.
type contentReader struct {
	db    *pgx.Conn
	query string
}

func readerOf(t *testing.T, tenants ...tenant.Name) *contentReader {
	t.Helper()
	db, err := pgx.Connect(t.Context(), testenv.Provisioned(t).SuperuserURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(t.Context()) })
	var parts []string
	for _, name := range tenants {
		rows, err := db.Query(t.Context(), `SELECT tablename::text FROM pg_tables WHERE schemaname = $1 AND tablename <> 'audit_events'`, name.Schema())
		if err != nil {
			t.Fatal(err)
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(tables) < 20 {
			t.Fatalf("%d tables of %s: %v", len(tables), name, err)
		}
		slices.Sort(tables)
		for _, table := range tables {
			id := pgx.Identifier{name.Schema(), table}.Sanitize()
			parts = append(parts, fmt.Sprintf(
				`SELECT '%s of %s' AS name, count(*) || ' rows, ' || md5(coalesce(string_agg(r::text, chr(10) ORDER BY r::text), '')) AS digest FROM %s r`,
				table, name, id))
		}
	}
	return &contentReader{db, strings.Join(parts, " UNION ALL ")}
}

func (r *contentReader) read(t *testing.T) contents {
	t.Helper()
	rows, err := r.db.Query(t.Context(), r.query)
	if err != nil {
		t.Fatal(err)
	}
	found := contents{}
	var name, digest string
	if _, err := pgx.ForEachRow(rows, []any{&name, &digest}, func() error {
		found[name] = digest
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// changed are the tables that are not as they were.
func (r *contentReader) changed(t *testing.T, before contents) []string {
	t.Helper()
	var tables []string
	for name, digest := range r.read(t) {
		if before[name] != digest {
			tables = append(tables, fmt.Sprintf("%s (%s, before %s)", name, digest, before[name]))
		}
	}
	slices.Sort(tables)
	return tables
}

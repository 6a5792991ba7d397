package tenantdb_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
)

// tenantSQL makes a small tenant, with the grants of a real one, in little time. Tests of real ones use testenv.
const tenantSQL = `
create role %[1]s nologin;
grant %[1]s to circle15_app;
create schema %[1]s;
create table %[1]s.cases (
	id uuid primary key, title text not null, n int not null default 0 check (n >= 0),
	code text constraint cases_code_key unique, parent_id uuid references %[1]s.cases);
create index cases_n on %[1]s.cases (n);
insert into %[1]s.cases (id, title) values ('00000000-0000-7000-8000-000000000001', '%[2]s');
create function %[1]s.work_summary() returns table (cases bigint) language sql stable security definer as
$$ select count(*) from %[1]s.cases $$;
revoke all on function %[1]s.work_summary() from public;
grant usage on schema %[1]s to %[1]s, circle15_aggregate;
grant select, insert, update, delete on all tables in schema %[1]s to %[1]s;
grant execute on function %[1]s.work_summary() to %[1]s, circle15_aggregate;
insert into circle15.tenants (name, id, display_name_zh, level, parent, division_code, cluster, schema_name, role_name, state, schema_version)
values ('%[2]s', gen_random_uuid(), '测试', 'city', 'none', lpad(nextval('division_codes')::text, 6, '0'), 'main', '%[1]s', '%[1]s', 'active', 1000);
`

// firstCase is the case that every tenant has; its title is the tenant's name.
var firstCase = uuid.MustParse("00000000-0000-7000-8000-000000000001")

// settleServer gives the provisioned test server what these tests need besides.
var settleServer = sync.OnceValue(func() error {
	return admin(context.Background(), `create sequence division_codes; alter role circle15_app set deadlock_timeout = '20ms'`)
})

var server struct {
	admin *pgconn.Config
	app   string // the app login's URL
}

// setUp connects the test to the server of this process.
func setUp(t testing.TB) {
	t.Helper()
	platform := testenv.Provisioned(t)
	if server.admin == nil {
		config, err := pgconn.ParseConfig(platform.SuperuserURL)
		if err != nil {
			t.Fatal(err)
		}
		server.admin, server.app = config, platform.AppURL
	}
	if err := settleServer(); err != nil {
		t.Fatal(err)
	}
}

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // lost connections are what many tests are about
	os.Exit(m.Run())
}

// admin runs SQL as the superuser.
func admin(ctx context.Context, sql string) error {
	c, err := pgconn.ConnectConfig(ctx, server.admin)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	return c.Exec(ctx, sql).Close()
}

func mustAdminf(t testing.TB, format string, args ...any) {
	t.Helper()
	if err := admin(context.Background(), fmt.Sprintf(format, args...)); err != nil {
		t.Fatal(err)
	}
}

// adminValue is the first value of a query of the superuser.
func adminValue(t testing.TB, sql string) string {
	t.Helper()
	ctx := context.Background()
	c, err := pgconn.ConnectConfig(ctx, server.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	results, err := c.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 || len(results[0].Rows) == 0 {
		t.Fatalf("%s: %v", sql, err)
	}
	return string(results[0].Rows[0][0])
}

var tenantNumber atomic.Int64

// newTenants makes tenants with names that no other test has.
func newTenants(t testing.TB, count int) []tenant.Name {
	t.Helper()
	setUp(t)
	names := make([]tenant.Name, count)
	var sql strings.Builder
	for i := range names {
		names[i] = tenant.Name(fmt.Sprintf("town-%d", tenantNumber.Add(1)))
		fmt.Fprintf(&sql, tenantSQL, names[i].Schema(), names[i])
		if i%50 == 49 || i == count-1 {
			mustAdminf(t, "%s", sql.String())
			sql.Reset()
		}
	}
	return names
}

// open is a DB over the test's server, with a directory that follows the control table.
func open(t testing.TB, change func(*tenantdb.Config)) *tenantdb.DB {
	t.Helper()
	setUp(t)
	directory, err := tenantdb.OpenDirectory(t.Context(), map[string]string{"main": server.app})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(directory.Close)
	return openWith(t, directory, change)
}

func openWith(t testing.TB, directory *tenantdb.Directory, change func(*tenantdb.Config)) *tenantdb.DB {
	t.Helper()
	setUp(t)
	config := tenantdb.Config{Clusters: map[string]string{"main": server.app}}
	if change != nil {
		change(&config)
	}
	db, err := tenantdb.Open(t.Context(), config, directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// in is a context of the tenant.
func in(t testing.TB, n tenant.Name) context.Context {
	return tenant.With(t.Context(), n)
}

func wantKind(t testing.TB, err error, kind apierr.Kind) {
	t.Helper()
	if err == nil || apierr.KindOf(err) != kind {
		t.Fatalf("error %v, want kind %s", err, kind)
	}
}

var (
	titleOf   = tenantdb.SQL(`SELECT title FROM {tenant}.cases WHERE id = $1`)
	allTitles = tenantdb.SQL(`SELECT title FROM {tenant}.cases ORDER BY id`)
	addCase   = tenantdb.SQL(`INSERT INTO {tenant}.cases (id, title) VALUES ($1, $2)`)
	countAll  = tenantdb.SQL(`SELECT count(*) FROM {tenant}.cases`)
	addToN    = tenantdb.SQL(`UPDATE {tenant}.cases SET n = n + $2 WHERE id = $1`)
	getN      = tenantdb.SQL(`SELECT n FROM {tenant}.cases WHERE id = $1`)
	sleep     = tenantdb.SQL(`SELECT pg_sleep($1)::text`)
)

func title(ctx context.Context, q tenantdb.Querier) (string, error) {
	return tenantdb.One(ctx, q, pgx.RowTo[string], titleOf, firstCase)
}

package tenantdb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
)

// doors are all the ways to run a statement. The isolation tests put every intrusion through every door. (A Replica runs
// three statements of its own, and takes none.)
var doors = map[string]func(ctx context.Context, db *tenantdb.DB, s *tenantdb.Stmt) ([]string, error){
	"One": func(ctx context.Context, db *tenantdb.DB, s *tenantdb.Stmt) ([]string, error) {
		row, err := tenantdb.One(ctx, db, pgx.RowTo[string], s)
		return []string{row}, err
	},
	"All": func(ctx context.Context, db *tenantdb.DB, s *tenantdb.Stmt) ([]string, error) {
		return tenantdb.All(ctx, db, pgx.RowTo[string], s)
	},
	"Read": func(ctx context.Context, db *tenantdb.DB, s *tenantdb.Stmt) (rows []string, err error) {
		err = db.Read(ctx, allIn(s, &rows))
		return rows, err
	},
	"Write": func(ctx context.Context, db *tenantdb.DB, s *tenantdb.Stmt) (rows []string, err error) {
		err = db.Write(ctx, allIn(s, &rows))
		return rows, err
	},
	"Aggregate": func(ctx context.Context, db *tenantdb.DB, s *tenantdb.Stmt) (rows []string, err error) {
		err = db.Aggregate(ctx, allIn(s, &rows))
		return rows, err
	},
	"Exec": func(ctx context.Context, db *tenantdb.DB, s *tenantdb.Stmt) ([]string, error) {
		return nil, db.Write(ctx, func(ctx context.Context, tx *tenantdb.Tx) error {
			_, err := tx.Exec(ctx, s)
			return err
		})
	},
	"Queue": func(ctx context.Context, db *tenantdb.DB, s *tenantdb.Stmt) ([]string, error) {
		return nil, db.Write(ctx, func(_ context.Context, tx *tenantdb.Tx) error {
			tx.Queue(s)
			return nil
		})
	},
}

func allIn(s *tenantdb.Stmt, rows *[]string) func(ctx context.Context, tx *tenantdb.Tx) error {
	return func(ctx context.Context, tx *tenantdb.Tx) (err error) {
		*rows, err = tenantdb.All(ctx, tx, pgx.RowTo[string], s)
		return err
	}
}

// twoCities are tenants with fixed names, so that constant statements can name the schema of the second.
func twoCities(t *testing.T) (a, b tenant.Name) {
	t.Helper()
	setUp(t)
	mustAdminf(t, `
		do $$ begin
			if to_regnamespace('t_intruder') is not null then
				drop schema t_intruder, t_victim cascade;
				revoke t_intruder, t_victim from circle15_app;
				drop role t_intruder; drop role t_victim;
				delete from circle15.tenants where name in ('intruder', 'victim');
			end if;
		end $$`)
	a, b = "intruder", "victim"
	mustAdminf(t, tenantSQL, a.Schema(), a)
	mustAdminf(t, tenantSQL, b.Schema(), b)
	return a, b
}

func TestNoDoorLeadsToAnotherTenant(t *testing.T) {
	a, _ := twoCities(t)
	db := open(t, nil)
	for what, s := range map[string]*tenantdb.Stmt{
		"read":             tenantdb.SQL(`SELECT title FROM t_victim.cases`),
		"read quoted":      tenantdb.SQL(`SELECT title FROM "t_victim"."cases"`),
		"read joined":      tenantdb.SQL(`SELECT v.title FROM {tenant}.cases c JOIN t_victim.cases v USING (id)`),
		"read for update":  tenantdb.SQL(`SELECT title FROM t_victim.cases FOR UPDATE`),
		"read for share":   tenantdb.SQL(`SELECT title FROM t_victim.cases FOR KEY SHARE`),
		"sum":              tenantdb.SQL(`SELECT count(*)::text FROM t_victim.cases`),
		"insert":           tenantdb.Unvetted(`INSERT INTO t_victim.cases (id, title) VALUES (gen_random_uuid(), 'x') RETURNING title`),
		"copy over":        tenantdb.SQL(`INSERT INTO {tenant}.cases (id, title) SELECT gen_random_uuid(), title FROM t_victim.cases RETURNING title`),
		"update":           tenantdb.SQL(`UPDATE t_victim.cases SET title = 'x' RETURNING title`),
		"delete":           tenantdb.SQL(`DELETE FROM t_victim.cases RETURNING title`),
		"merge":            tenantdb.SQL(`MERGE INTO t_victim.cases v USING {tenant}.cases c ON c.id = v.id WHEN MATCHED THEN DELETE`),
		"lock table":       tenantdb.SQL(`LOCK TABLE t_victim.cases IN ACCESS SHARE MODE`),
		"lock table hard":  tenantdb.SQL(`LOCK TABLE t_victim.cases IN ACCESS EXCLUSIVE MODE NOWAIT`),
		"list columns":     tenantdb.SQL(`SELECT 't_victim.cases'::regclass::text`),
		"summarize":        tenantdb.Unvetted(`SELECT cases::text FROM t_victim.work_summary()`),
		"temporary shadow": tenantdb.Unvetted(`CREATE TABLE t_victim.shadow (id int)`),
		"truncate":         tenantdb.Unvetted(`TRUNCATE t_victim.cases`),
		"drop":             tenantdb.Unvetted(`DROP TABLE t_victim.cases`),
		"alter":            tenantdb.Unvetted(`ALTER TABLE t_victim.cases ADD COLUMN x int`),
		"grant":            tenantdb.Unvetted(`GRANT SELECT ON t_victim.cases TO t_intruder`),
		"copy":             tenantdb.Unvetted(`COPY t_victim.cases TO STDOUT`),
		"comment":          tenantdb.Unvetted(`COMMENT ON TABLE t_victim.cases IS 'x'`),
		"control":          tenantdb.SQL(`SELECT name FROM circle15.tenants`),
		"policy versions":  tenantdb.SQL(`SELECT schema_name FROM circle15.policy_versions`),
		"replicas":         tenantdb.SQL(`DELETE FROM circle15.replicas`),
		"acknowledge":      tenantdb.Unvetted(`SELECT circle15.acknowledge_policies('x', ARRAY['t_victim'], ARRAY[1]::bigint[])::text`),
		"forget a replica": tenantdb.Unvetted(`SELECT circle15.forget_replica('x')`),
	} {
		for door, through := range doors {
			if door == "Aggregate" && (what == "summarize" || what == "list columns") {
				continue // the aggregate role is of all tenants: it may know their schemas and sum each of them up
			}
			rows, err := through(in(t, a), db, s)
			if _, refused := errors.AsType[*pgconn.PgError](err); !refused {
				t.Errorf("%s through %s: rows %q, error %v", what, door, rows, err)
			}
			if apierr.KindOf(err) != apierr.Internal {
				t.Errorf("%s through %s: %v tells the caller something", what, door, err)
			}
		}
	}
	if got := adminValue(t, `select string_agg(title, ',') from t_victim.cases`); got != "victim" {
		t.Errorf("the victim's rows are now %q", got)
	}
}

// The same for tenants as they are provisioned, and every table of theirs.
func TestNoDoorLeadsToATableOfAnotherProvisionedTenant(t *testing.T) {
	a, b := testenv.NewTenant(t), testenv.NewTenant(t)
	db := open(t, func(c *tenantdb.Config) { c.Clusters["default"] = testenv.Provisioned(t).AppURL })
	tables := strings.Split(adminValue(t, fmt.Sprintf(
		`select string_agg(quote_ident(relname), ' ') from pg_class where relnamespace = '%s'::regnamespace and relkind = 'r'`, b.Schema())), " ")
	if len(tables) < 10 {
		t.Fatalf("tables %q", tables)
	}
	// Permission denied; or refused before that, because the door is for reading or knows no locks.
	refusals := []string{"42501", "25006", "25P01"}
	for _, table := range tables {
		for _, text := range []string{
			`SELECT 'x' FROM %s`, `SELECT 'x' FROM %s FOR UPDATE`, `INSERT INTO %s DEFAULT VALUES`, `DELETE FROM %s`,
			`LOCK TABLE %s IN ACCESS SHARE MODE`, `TRUNCATE %s`, `COPY %s TO STDOUT`,
		} {
			s := tenantdb.Unvetted(fmt.Sprintf(text, b.Schema()+"."+table))
			for door, through := range doors {
				rows, err := through(in(t, a), db, s)
				var refusal *pgconn.PgError
				if !errors.As(err, &refusal) || !slices.Contains(refusals, refusal.Code) || door == "Write" && refusal.Code != "42501" {
					t.Errorf("%s through %s: rows %q, error %v", s, door, rows, err)
				}
			}
		}
	}
}

func TestCatalogsListNothingOfAnotherTenant(t *testing.T) {
	a, _ := twoCities(t)
	db := open(t, nil)
	// The catalogs' names are readable to every role of a PostgreSQL; statements may not use them (see vet), and what
	// the standard views give a role is its own.
	for what, s := range map[string]*tenantdb.Stmt{
		"tables":     tenantdb.Unvetted(`SELECT table_name::text FROM information_schema.tables WHERE table_schema = 't_victim'`),
		"columns":    tenantdb.Unvetted(`SELECT column_name::text FROM information_schema.columns WHERE table_schema = 't_victim'`),
		"schemata":   tenantdb.Unvetted(`SELECT schema_name::text FROM information_schema.schemata WHERE schema_name = 't_victim'`),
		"statistics": tenantdb.Unvetted(`SELECT most_common_vals::text FROM pg_catalog.pg_stats WHERE schemaname = 't_victim'`),
		"privileges": tenantdb.Unvetted(`SELECT 'x' WHERE has_schema_privilege('t_victim', 'usage')`),
	} {
		for _, door := range []string{"All", "Read", "Write"} {
			rows, err := doors[door](in(t, a), db, s)
			if err != nil || len(rows) != 0 {
				t.Errorf("%s through %s: %q, %v; want nothing", what, door, rows, err)
			}
		}
	}
}

func TestWithoutATenantNothingRuns(t *testing.T) {
	db := open(t, nil)
	for door, through := range doors {
		_, err := through(t.Context(), db, tenantdb.SQL(`SELECT '1'`))
		if apierr.KindOf(err) != apierr.Denied || !errors.Is(err, tenant.ErrAbsent) {
			t.Errorf("through %s: %v", door, err)
		}
	}
	if s := db.Stats()[0]; s.Acquired != 0 {
		t.Errorf("%+v: a connection was used", s)
	}
}

// A statement that resets its role, which vet refuses, gains the app login's rights: none. The next transaction sets
// its own role in any case.
func TestAStatementThatResetsItsRoleGainsNothing(t *testing.T) {
	a, b := twoCities(t)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 1 })
	for _, reset := range []*tenantdb.Stmt{
		tenantdb.Unvetted(`RESET ROLE`),
		tenantdb.Unvetted(`SET ROLE none`),
		tenantdb.Unvetted(`SELECT set_config('role', 'none', true)`),
		tenantdb.Unvetted(`SELECT set_config('role', 'none', false)`),
		tenantdb.Unvetted(`SET SESSION AUTHORIZATION DEFAULT`),
	} {
		for _, s := range []*tenantdb.Stmt{
			tenantdb.SQL(`SELECT title FROM t_victim.cases`), tenantdb.SQL(`SELECT title FROM t_intruder.cases`),
			tenantdb.SQL(`DELETE FROM t_victim.cases`),
		} {
			err := db.Write(in(t, a), func(ctx context.Context, tx *tenantdb.Tx) error {
				if _, err := tx.Exec(ctx, reset); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, s)
				if err == nil {
					t.Errorf("%s after %s: done", s, reset)
				}
				return err
			})
			if err == nil {
				t.Errorf("%s after %s: committed", s, reset)
			}
		}
		for _, n := range []tenant.Name{a, b} {
			if got, err := title(in(t, n), db); err != nil || got != string(n) {
				t.Errorf("after %s, the next request reads %q, %v", reset, got, err)
			}
		}
	}
}

// A role that a statement sets for the session outlives its transaction, but not the next request's notice: that runs
// as its own tenant, and the connection is closed.
func TestARoleLeftOnAConnectionIsNoticed(t *testing.T) {
	a, b := twoCities(t)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 1 })
	leave := tenantdb.Unvetted(`SELECT set_config('role', 't_victim', false)`)
	err := db.Write(in(t, a), func(ctx context.Context, tx *tenantdb.Tx) error {
		_, err := tx.Exec(ctx, leave)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	discarded := db.Stats()[0].Discarded
	if got, err := title(in(t, a), db); err != nil || got != string(a) {
		t.Errorf("the next request reads %q, %v", got, err)
	}
	if got := db.Stats()[0].Discarded; got != discarded+1 {
		t.Errorf("%d connections discarded, want %d", got, discarded+1)
	}
	if got, err := title(in(t, b), db); err != nil || got != string(b) {
		t.Errorf("a new connection reads %q, %v", got, err)
	}
}

func TestAStatementThatEndsItsTransactionFailsIt(t *testing.T) {
	a, _ := twoCities(t)
	db := open(t, func(c *tenantdb.Config) { c.MaxConns = 1 })
	for _, s := range []*tenantdb.Stmt{tenantdb.Unvetted(`COMMIT`), tenantdb.Unvetted(`ROLLBACK`)} {
		err := db.Write(in(t, a), func(ctx context.Context, tx *tenantdb.Tx) error {
			_, err := tx.Exec(ctx, s)
			if err == nil {
				t.Errorf("%s: accepted", s)
			}
			return err
		})
		wantKind(t, err, apierr.Internal)
	}
	chained := tenantdb.Unvetted(`COMMIT AND CHAIN`) // stays in a transaction, but without a role
	err := db.Write(in(t, a), func(ctx context.Context, tx *tenantdb.Tx) error {
		if _, err := tx.Exec(ctx, chained); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, addCase, uuid.New(), "x")
		return err
	})
	wantKind(t, err, apierr.Internal)
}

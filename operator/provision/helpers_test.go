package provision_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/tenant"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url) // cleanups connect too
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func superuser(t testing.TB) *pgx.Conn { return connect(t, testenv.Provisioned(t).SuperuserURL) }

// exec runs SQL with the tenant's schema for {schema}.
func exec(t testing.TB, conn *pgx.Conn, name tenant.Name, sql string) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), strings.ReplaceAll(sql, "{schema}", name.Schema())); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func value[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func list(t testing.TB, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	v, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// create makes the tenant of the spec and drops it, or what is left of it, at the end of the test.
func create(t testing.TB, p *provision.Provisioner, spec provision.Spec) provision.Result {
	t.Helper()
	r, err := p.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	cleanUp(t, spec.Name)
	return r
}

func cleanUp(t testing.TB, name tenant.Name) {
	t.Cleanup(func() {
		p := testenv.Provisioned(t).Provisioner
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, testenv.Provisioned(t).SuperuserURL)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, `UPDATE circle15.tenants SET deletion_policy = 'Delete' WHERE name = $1`, string(name))
		if err := errors.Join(err, p.Delete(ctx, name)); err != nil && provision.ReasonOf(err) != provision.NotFound {
			t.Error(err)
		}
	})
}

func wantReason(t testing.TB, err error, want provision.Reason) {
	t.Helper()
	if got := provision.ReasonOf(err); got != want {
		t.Errorf("got reason %q of error %v, want %q", got, err, want)
	}
}

func wantCode(t testing.TB, err error, want string) {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != want {
		t.Errorf("got error %v, want SQLSTATE %s", err, want)
	}
}

// asTenant runs SQL as the services do: as the app's login role that has become the tenant's role.
func asTenant(ctx context.Context, conn *pgx.Conn, name tenant.Name, sql string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('role', $1, true)`, name.Role()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, strings.ReplaceAll(sql, "{schema}", name.Schema()))
		return err
	})
}

package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

func TestBootstrapPrintsWhatOnlyASuperuserMayDo(t *testing.T) {
	server := testenv.Postgres(t)
	testenv.Provisioned(t) // the login roles are the cluster's
	super, err := pgx.Connect(t.Context(), server.SuperuserURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	exec := func(sql string) {
		t.Helper()
		if _, err := super.Exec(context.Background(), sql); err != nil { // cleanups run it too
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = super.Close(context.Background()) })
	exec("CREATE ROLE managing_admin LOGIN CREATEROLE CREATEDB PASSWORD 'for-tests-only'")
	exec("GRANT circle15_operator TO managing_admin WITH ADMIN OPTION")
	t.Cleanup(func() {
		exec("DROP DATABASE IF EXISTS managed_by_command")
		exec("DROP OWNED BY managing_admin")
		exec("DROP ROLE managing_admin")
		exec("ALTER ROLE circle15_app SET log_error_verbosity = 'terse'")
	})
	exec("ALTER ROLE circle15_app RESET log_error_verbosity")
	t.Setenv("CIRCLE15_ADMIN_DATABASE_URL", server.URL("managing_admin", "for-tests-only", "postgres"))
	t.Setenv("CIRCLE15_OPERATOR_PASSWORD", testenv.Password)
	t.Setenv("CIRCLE15_APP_PASSWORD", testenv.Password)

	var out, warnings bytes.Buffer
	cmd := newDatabaseCommand()
	cmd.SetArgs([]string{"bootstrap", "--database", "managed_by_command"})
	cmd.SetOut(&out)
	cmd.SetErr(&warnings)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantOutput(t, out.String(), "managed_by_command is ready for the roles "+provision.OperatorRole)
	wantOutput(t, warnings.String(), "until a superuser runs:\nALTER ROLE \"circle15_app\" SET log_error_verbosity = 'terse';\n")
}

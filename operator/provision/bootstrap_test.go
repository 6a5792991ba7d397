package provision_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

func bootstrapConfig(t *testing.T, database string) provision.BootstrapConfig {
	t.Helper()
	testenv.Provisioned(t) // the roles are the cluster's: both databases share them
	return provision.BootstrapConfig{
		AdminURL: testenv.Postgres(t).SuperuserURL("postgres"), Database: database,
		OperatorPassword: testenv.Password, AppPassword: testenv.Password,
	}
}

func TestBootstrapMayBeRepeatedAndSetsThePasswords(t *testing.T) {
	cfg := bootstrapConfig(t, "twice")
	if _, err := provision.Bootstrap(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	cfg.AppPassword = `a'b\c"d$e%f@g:h/i`
	endpoints, err := provision.Bootstrap(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	connect(t, endpoints.AppURL)
	cfg.AppPassword = testenv.Password
	if _, err := provision.Bootstrap(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

func TestAnAdminWithoutSuperuserRightsMayBootstrap(t *testing.T) {
	cfg := bootstrapConfig(t, "managed")
	super := superuser(t)
	exec(t, super, "x", "CREATE ROLE managed_admin LOGIN CREATEROLE CREATEDB PASSWORD 'for-tests-only'")
	// In a managed cluster the admin itself made the operator's role.
	if value[int](t, super, `SELECT current_setting('server_version_num')::int`) >= 160000 {
		exec(t, super, "x", "GRANT circle15_operator TO managed_admin WITH ADMIN OPTION")
	}
	t.Cleanup(func() {
		exec(t, superuser(t), "x", "DROP DATABASE IF EXISTS managed")
		exec(t, superuser(t), "x", "DROP OWNED BY managed_admin; DROP ROLE managed_admin")
	})
	cfg.AdminURL = testenv.Postgres(t).URL("managed_admin", "for-tests-only", "postgres")
	if _, err := provision.Bootstrap(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

func TestBootstrapTakesEverythingFromPublic(t *testing.T) {
	super := superuser(t)
	exec(t, super, "x", "CREATE ROLE passer_by LOGIN PASSWORD 'for-tests-only'")
	t.Cleanup(func() { exec(t, superuser(t), "x", "DROP ROLE passer_by") })
	conn, err := pgx.Connect(t.Context(), testenv.Postgres(t).URL("passer_by", "for-tests-only", testenv.Database))
	if err == nil {
		_ = conn.Close(t.Context())
		t.Error("anybody may connect")
	}
}

func TestBadBootstrapInputIsRefused(t *testing.T) {
	good := bootstrapConfig(t, "bad_input")
	for name, change := range map[string]func(*provision.BootstrapConfig){
		"no admin URL":         func(c *provision.BootstrapConfig) { c.AdminURL = "" },
		"another scheme":       func(c *provision.BootstrapConfig) { c.AdminURL = "mysql://root@127.0.0.1/" },
		"an empty password":    func(c *provision.BootstrapConfig) { c.AppPassword = "" },
		"a password in Hanzi":  func(c *provision.BootstrapConfig) { c.OperatorPassword = "密码密码密码密码" },
		"a password of spaces": func(c *provision.BootstrapConfig) { c.OperatorPassword = "        " },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			change(&cfg)
			_, err := provision.Bootstrap(t.Context(), cfg)
			wantReason(t, err, provision.InvalidSpec)
		})
	}
}

func TestADatabaseOfANewerReleaseIsRefused(t *testing.T) {
	cfg := bootstrapConfig(t, "newer")
	endpoints, err := provision.Bootstrap(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, endpoints.OperatorURL)
	exec(t, conn, "x", `INSERT INTO circle15.migrations (line, version, name, checksum)
		SELECT 'control', max(version) + 1, 'future', '' FROM circle15.migrations WHERE line = 'control'`)
	_, err = provision.Open(t.Context(), provision.Config{OperatorURL: endpoints.OperatorURL})
	wantReason(t, err, provision.SchemaTooNew)
	if err != nil && !strings.Contains(err.Error(), "newer release") {
		t.Errorf("got %q", err)
	}
}

func TestAnEditedMigrationIsRefused(t *testing.T) {
	_, err := provision.OpenEdited(t.Context(), provision.Config{OperatorURL: testenv.Provisioned(t).OperatorURL})
	wantReason(t, err, provision.MigrationChanged)
}

func TestOpeningAsAnotherRoleIsRefused(t *testing.T) {
	_, err := provision.Open(t.Context(), provision.Config{OperatorURL: testenv.Provisioned(t).AppURL})
	wantReason(t, err, provision.Unsupported)
	_, err = provision.Open(t.Context(), provision.Config{OperatorURL: "postgres://u:secret@localhost:1/d?connect_timeout=1"})
	if err == nil || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want one line without the password", err)
	}
	_, err = provision.Open(t.Context(), provision.Config{OperatorURL: "postgres://u:secret@[bad"})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

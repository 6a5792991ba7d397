package provision_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	exec(t, super, "x", "ALTER ROLE circle15_app RESET log_error_verbosity")
	asSuperuser := cfg
	cfg.AdminURL = testenv.Postgres(t).URL("managed_admin", "for-tests-only", "postgres")
	for _, c := range []struct {
		cfg  provision.BootstrapConfig
		left []string
	}{
		{cfg, []string{`ALTER ROLE "circle15_app" SET log_error_verbosity = 'terse'`}},
		{asSuperuser, nil},
		{cfg, nil}, // nothing is left to do
	} {
		endpoints, err := provision.Bootstrap(t.Context(), c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.left, endpoints.ForSuperuser); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWhatRowsHoldStaysOutOfTheServersLog(t *testing.T) {
	const number, malformed = "460107194909017714", "46010719490901771Y"
	name := testenv.NewTenant(t)
	app := connect(t, testenv.Provisioned(t).AppURL)
	err := asTenant(t.Context(), app, name, `WITH
		station AS (INSERT INTO {schema}.stations (id, division_code, display_name, opened_date, created_by)
			VALUES (gen_random_uuid(), '460107003', '滨江', '2021-05-01', 'test') RETURNING id),
		community AS (INSERT INTO {schema}.communities (id, station_id, division_code, display_name, created_by)
			SELECT gen_random_uuid(), id, '460107003001', '滨江', 'test' FROM station RETURNING id, station_id)
		INSERT INTO {schema}.households (id, station_id, community_id, head_name, address, created_by)
			SELECT gen_random_uuid(), station_id, id, '李', '滨江路', 'test' FROM community`)
	if err != nil {
		t.Fatal(err)
	}
	add := func(number string) error { // bound, as the services do: a statement's text is logged with its error
		return pgx.BeginFunc(t.Context(), app, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `SELECT set_config('role', $1, true)`, name.Role()); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), `INSERT INTO `+name.Schema()+`.residents (id, station_id, household_id, name, sex, birth_date,
				identity_number, registered, legal_basis, legal_basis_date, created_by)
				SELECT gen_random_uuid(), station_id, id, '李', 'MALE', '1949-09-01', $1, false, 'CONSENT', '2021-05-01', 'test'
				FROM `+name.Schema()+`.households`, number)
			return err
		})
	}
	if err := add(number); err != nil {
		t.Fatal(err)
	}
	wantCode(t, add(number), "23505")
	wantCode(t, add(malformed), "23514")
	content, err := os.ReadFile(testenv.Postgres(t).LogFile())
	if err != nil {
		t.Fatal(err)
	}
	log := string(content)
	for _, constraint := range []string{"residents_identity_number_key", "residents_identity_number_format"} {
		if !strings.Contains(log, constraint) {
			t.Errorf("the log does not tell of %s", constraint)
		}
	}
	for _, secret := range []string{number, malformed} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the identity number %s", secret)
		}
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

package provision

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DefaultDatabase is the name of the database where BootstrapConfig names none.
const DefaultDatabase = "circle15"

// BootstrapConfig says how to prepare a database cluster.
type BootstrapConfig struct {
	// AdminURL is of a role with CREATEROLE and CREATEDB, or a superuser, in any existing database.
	AdminURL string
	// Database is made, owned by circle15_operator; empty: DefaultDatabase.
	Database string
	// The passwords of the two login roles: printable ASCII, at least eight characters. The server stores a digest that
	// is made here; the passwords are not sent.
	OperatorPassword, AppPassword string
}

// Endpoints are the connection URLs of the two login roles, with the parameters of the admin's URL.
type Endpoints struct {
	OperatorURL string
	AppURL      string
	// ForSuperuser are the statements that the admin was not allowed to run: the database works without them, and its log
	// may hold identity numbers until a superuser has run them. Empty where nothing is left to do.
	ForSuperuser []string
}

// Bootstrap makes the roles, the database and the control schema of an installation, and keeps what rows hold out of the
// server's log. It may be repeated: it then sets the passwords and completes what is missing.
func Bootstrap(ctx context.Context, cfg BootstrapConfig) (Endpoints, error) {
	if cfg.Database == "" {
		cfg.Database = DefaultDatabase
	}
	if err := cfg.check(); err != nil {
		return Endpoints{}, err
	}
	endpoints := Endpoints{}
	var err error
	if endpoints.OperatorURL, err = rewriteURL(cfg.AdminURL, OperatorRole, cfg.OperatorPassword, cfg.Database); err != nil {
		return Endpoints{}, err
	}
	if endpoints.AppURL, err = rewriteURL(cfg.AdminURL, AppRole, cfg.AppPassword, cfg.Database); err != nil {
		return Endpoints{}, err
	}
	if err := asAdmin(ctx, cfg); err != nil {
		return Endpoints{}, fmt.Errorf("bootstrap: %w", err)
	}
	if err := asOperator(ctx, endpoints.OperatorURL, cfg); err != nil {
		return Endpoints{}, fmt.Errorf("bootstrap: %w", err)
	}
	if endpoints.ForSuperuser, err = quietLog(ctx, cfg.AdminURL); err != nil {
		return Endpoints{}, fmt.Errorf("bootstrap: %w", err)
	}
	p, err := Open(ctx, Config{OperatorURL: endpoints.OperatorURL, MaxConns: 1})
	if err != nil {
		return Endpoints{}, err
	}
	p.Close()
	return endpoints, nil
}

var passwordPattern = regexp.MustCompile(`^[!-~]{8,256}$`)

func (cfg BootstrapConfig) check() error {
	for field, password := range map[string]string{"operator": cfg.OperatorPassword, "app": cfg.AppPassword} {
		if !passwordPattern.MatchString(password) {
			return refuse(InvalidSpec, "the password of the %s role must have 8 to 256 printable ASCII characters and no space", field)
		}
	}
	return nil
}

// rewriteURL replaces user, password and database of a connection URL.
func rewriteURL(admin, user, password, database string) (string, error) {
	u, err := url.Parse(admin)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return "", refuse(InvalidSpec, "the admin's database URL must have the form postgres://user:password@host:port/database")
	}
	u.User, u.Path, u.RawPath = url.UserPassword(user, password), "/"+database, ""
	return u.String(), nil
}

func connect(ctx context.Context, databaseURL string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("the database URL is not valid: %w", withoutURL(err))
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, &unreachableError{err}
	}
	return conn, nil
}

// asAdmin makes what needs the admin's rights: the operator's role and the database.
func asAdmin(ctx context.Context, cfg BootstrapConfig) error {
	conn, err := connect(ctx, cfg.AdminURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	var version int
	var superuser, roleExists bool
	var databaseOwner *string
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int,
			(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
			EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1),
			(SELECT pg_catalog.pg_get_userbyid(datdba)::text FROM pg_catalog.pg_database WHERE datname = $2)`,
		OperatorRole, cfg.Database).Scan(&version, &superuser, &roleExists, &databaseOwner)
	if err != nil {
		return err
	}
	if version < 150000 {
		return refuse(Unsupported, "PostgreSQL %d is too old; versions 15 to 18 are supported", version/10000)
	}
	verifier, err := scramVerifier(cfg.OperatorPassword)
	if err != nil {
		return err
	}
	verb := "CREATE"
	if roleExists {
		verb = "ALTER"
	}
	statements := []string{
		verb + " ROLE " + ident(OperatorRole) + " LOGIN CREATEROLE NOCREATEDB INHERIT PASSWORD " + literal(verifier),
	}
	if !superuser { // to give a database away, one must be a member of its new owner
		statements = append(statements, "GRANT "+ident(OperatorRole)+" TO CURRENT_USER")
	}
	switch {
	case databaseOwner == nil:
		statements = append(statements,
			"CREATE DATABASE "+ident(cfg.Database)+" OWNER "+ident(OperatorRole)+" TEMPLATE template0 ENCODING 'UTF8'")
	case *databaseOwner != OperatorRole:
		statements = append(statements, "ALTER DATABASE "+ident(cfg.Database)+" OWNER TO "+ident(OperatorRole))
	}
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// asOperator makes the other roles, so that the operator's role administers them, and takes everything from PUBLIC.
func asOperator(ctx context.Context, operatorURL string, cfg BootstrapConfig) error {
	conn, err := connect(ctx, operatorURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := execAll(ctx, tx, []statement{lockSchema(ControlSchema)}); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = ANY ($1)`,
			[]string{AppRole, TenantsRole, AggregateRole})
		if err != nil {
			return err
		}
		have, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		ddl, err := operatorDDL(cfg, have)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, ddl)
		return err
	})
}

// quietLog keeps rows out of the server's log: the DETAIL of a constraint's violation holds the row's values, among them
// identity numbers. The setting counts from the next login on. It returns the statements that need more rights than the
// admin has.
func quietLog(ctx context.Context, adminURL string) (refused []string, err error) {
	conn, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT rolname::text FROM pg_catalog.pg_roles
		WHERE rolname = ANY ($1) AND NOT coalesce('log_error_verbosity=terse' = ANY (rolconfig), false) ORDER BY rolname`,
		[]string{AppRole, OperatorRole})
	if err != nil {
		return nil, err
	}
	talkative, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	for _, role := range talkative {
		ddl := "ALTER ROLE " + ident(role) + " SET log_error_verbosity = 'terse'"
		_, err := conn.Exec(ctx, ddl)
		switch pg, ok := errors.AsType[*pgconn.PgError](err); {
		case ok && pg.Code == insufficientPrivilege:
			refused = append(refused, ddl)
		case err != nil:
			return nil, err
		}
	}
	return refused, nil
}

func operatorDDL(cfg BootstrapConfig, have []string) (string, error) {
	verifier, err := scramVerifier(cfg.AppPassword)
	if err != nil {
		return "", err
	}
	exists := map[string]bool{}
	for _, name := range have {
		exists[name] = true
	}
	var ddl strings.Builder
	// From PostgreSQL 16 on the operator may not even name an attribute that it lacks itself; new roles lack them anyway.
	for role, attributes := range map[string]string{
		AppRole:       "LOGIN NOINHERIT PASSWORD " + literal(verifier),
		TenantsRole:   "NOLOGIN",
		AggregateRole: "NOLOGIN",
	} {
		verb := "CREATE"
		if exists[role] {
			verb = "ALTER"
		}
		ddl.WriteString(verb + " ROLE " + ident(role) + " " + attributes + ";\n")
	}
	database := ident(cfg.Database)
	return ddl.String() +
		"GRANT " + ident(AggregateRole) + " TO " + ident(AppRole) + ";\n" +
		"REVOKE ALL ON DATABASE " + database + " FROM PUBLIC;\n" +
		"GRANT CONNECT ON DATABASE " + database + " TO " + ident(AppRole) + ";\n" +
		"REVOKE ALL ON SCHEMA public FROM PUBLIC;\n" +
		"ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;\n", nil
}

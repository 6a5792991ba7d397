// Package provision makes tenants on a PostgreSQL cluster: a schema, a role, migrations, grants and policies each, and
// the control schema that lists them. It knows nothing of Kubernetes; the operator, the command line and the tests use
// it alike.
//
// Every operation looks at what exists and does what is missing, so each may be repeated, and killed at any moment.
package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"circle15.dev/internal/pgexplain"
)

// Config says how to reach a cluster that Bootstrap has prepared.
type Config struct {
	OperatorURL string // of the role circle15_operator; required
	Cluster     string // the cluster's name in Spec.Cluster; empty: DefaultCluster
	// LockTimeout bounds the wait for another operation on the same tenant and for the locks of DDL; 0: five seconds.
	LockTimeout time.Duration
	// MaxConns bounds the operator's connections to the cluster; 0: four.
	MaxConns int32
	Logger   *slog.Logger // nil: slog.Default()
	// ParentsElsewhere says that a parent may live on another cluster: the caller has checked it, and Create refuses only
	// what it can see here.
	ParentsElsewhere bool
	// AfterStep, if set, makes every step of Steps a transaction of its own and is called after each with its label; its
	// error ends the operation there, as a crash would. Without it an operation on a tenant is one transaction.
	AfterStep func(ctx context.Context, label string) error
}

// Provisioner works on one cluster. It is safe for concurrent use.
type Provisioner struct {
	cfg           Config
	pool          *pgxpool.Pool
	tenants       line
	serverVersion int // server_version_num
	installation  uuid.UUID
	reference     referenceCache
}

// Open connects as the operator's role and brings the control schema up to date. It refuses (Unsupported, SchemaTooNew,
// MigrationChanged) a cluster that this release cannot work on.
func Open(ctx context.Context, cfg Config) (*Provisioner, error) {
	tenants, err := loadLine(embedded, "tenant")
	if err != nil {
		return nil, err
	}
	return open(ctx, cfg, tenants)
}

func open(ctx context.Context, cfg Config, tenants line) (*Provisioner, error) {
	if cfg.Cluster == "" {
		cfg.Cluster = DefaultCluster
	}
	if cfg.LockTimeout == 0 {
		cfg.LockTimeout = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	poolConfig, err := pgxpool.ParseConfig(cfg.OperatorURL)
	if err != nil {
		return nil, fmt.Errorf("the operator's database URL is not valid: %w", withoutURL(err))
	}
	if poolConfig.ConnConfig.ConnectTimeout == 0 {
		poolConfig.ConnConfig.ConnectTimeout = connectTimeout
	}
	poolConfig.MaxConns = 4
	if cfg.MaxConns > 0 {
		poolConfig.MaxConns = cfg.MaxConns
	}
	setDefault(poolConfig.ConnConfig.RuntimeParams, "application_name", "circle15-provision")
	// Statements are qualified; this keeps objects that others might create out of every name lookup.
	setDefault(poolConfig.ConnConfig.RuntimeParams, "search_path", "pg_catalog, pg_temp")
	poolConfig.AfterRelease = func(conn *pgx.Conn) bool { return ddlUses(conn) < maxDDLUses }
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, err
	}
	p := &Provisioner{cfg: cfg, pool: pool, tenants: tenants}
	if err := p.prepare(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return p, nil
}

// connectTimeout bounds a connection attempt where the URL has no connect_timeout: a host that is gone answers nothing.
const connectTimeout = 5 * time.Second

// maxDDLUses is after how many tenants a connection is replaced. A server process keeps the plans of every foreign key
// check and trigger function that it has run, and goes through all of them for every table that is made or altered: the
// 500th tenant made on one connection takes four times as long as the first.
const maxDDLUses = 32

const ddlUsesKey = "circle15.ddlUses"

func ddlUses(conn *pgx.Conn) int {
	n, _ := conn.PgConn().CustomData()[ddlUsesKey].(int)
	return n
}

func countDDLUse(conn *pgx.Conn) { conn.PgConn().CustomData()[ddlUsesKey] = ddlUses(conn) + 1 }

func setDefault(parameters map[string]string, name, value string) {
	if _, set := parameters[name]; !set {
		parameters[name] = value
	}
}

// withoutURL keeps the reason of a parse error and drops the text around it, which holds the password.
func withoutURL(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return errors.New("it cannot be parsed")
}

// unreachableError says so in one sentence.
type unreachableError struct{ cause error }

func (e *unreachableError) Error() string { return pgexplain.Sentence(e.cause) }

func (e *unreachableError) Unwrap() error { return e.cause }

// prepare checks the server and the control schema.
func (p *Provisioner) prepare(ctx context.Context) error {
	var user string
	err := p.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_user::text`).Scan(&p.serverVersion, &user)
	if err != nil {
		return &unreachableError{err}
	}
	if p.serverVersion < 150000 {
		return refuse(Unsupported, "PostgreSQL %d is too old; versions 15 to 18 are supported", p.serverVersion/10000)
	}
	if user != OperatorRole {
		return refuse(Unsupported, "the operator's database URL is of the role %s; it must be %s", user, OperatorRole)
	}
	if err := p.migrateControl(ctx); err != nil {
		return err
	}
	return p.checkTenantLine(ctx)
}

// Close gives the connections up.
func (p *Provisioner) Close() { p.pool.Close() }

// LatestSchemaVersion is the version of a tenant's schema that this release makes.
func (p *Provisioner) LatestSchemaVersion() int { return p.tenants.latest() }

// Installation is the id in the ownership marks of this cluster.
func (p *Provisioner) Installation() uuid.UUID { return p.installation }

package tenantdb

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// maxConnsLimit is the largest pool of one cluster: the pool keeps sets of connections in the bits of a word.
const maxConnsLimit = 64

// Config says where the tenants' databases are and how hard they may be worked. A zero number or duration means the
// default given beside it.
type Config struct {
	// Clusters maps the name of a database cluster to the connection URL of the app login.
	// Settings in a URL (for example ?statement_timeout=5000&timezone=Asia/Shanghai) win over those below.
	Clusters map[string]string

	MaxConns          int // connections per cluster, 1 to 64; 8
	MaxTenantsPerConn int // tenants served by a connection before it is replaced, which bounds the backend's memory; 400
	StatementCache    int // prepared statements per connection; 512
	MaxQueuedRequests int // requests of one tenant that may wait for a connection of a cluster; 1,024

	AcquireTimeout           time.Duration // longest wait for a connection; 5 s
	SpillDelay               time.Duration // wait for a connection that knows the tenant before another one will do; 2 ms
	MaxConnLifetime          time.Duration // a connection is replaced after this time; 1 h
	MaxConnIdle              time.Duration // an unused connection is closed after this time; 15 min
	ConnectTimeout           time.Duration // of one connection attempt; 5 s
	StatementTimeout         time.Duration // of one statement, by the server; 15 s
	LockTimeout              time.Duration // of one wait for a lock, by the server; 3 s
	IdleInTransactionTimeout time.Duration // of a transaction whose process hangs, by the server; 15 s
	CancelGrace              time.Duration // how long a statement under way may still finish when its request is cancelled; 50 ms
}

func (c Config) withDefaults() (Config, error) {
	if len(c.Clusters) == 0 {
		return c, errors.New("tenantdb: no database clusters are configured")
	}
	if c.MaxConns < 0 || c.MaxConns > maxConnsLimit {
		return c, fmt.Errorf("tenantdb: %d connections per cluster: want 1 to %d", c.MaxConns, maxConnsLimit)
	}
	for _, d := range []struct {
		n        *int
		standard int
	}{
		{&c.MaxConns, 8}, {&c.MaxTenantsPerConn, 400}, {&c.StatementCache, 512}, {&c.MaxQueuedRequests, 1024},
	} {
		if *d.n <= 0 {
			*d.n = d.standard
		}
	}
	for _, d := range []struct {
		n        *time.Duration
		standard time.Duration
	}{
		{&c.AcquireTimeout, 5 * time.Second},
		{&c.SpillDelay, 2 * time.Millisecond},
		{&c.MaxConnLifetime, time.Hour},
		{&c.MaxConnIdle, 15 * time.Minute},
		{&c.ConnectTimeout, 5 * time.Second},
		{&c.StatementTimeout, 15 * time.Second},
		{&c.LockTimeout, 3 * time.Second},
		{&c.IdleInTransactionTimeout, 15 * time.Second},
		{&c.CancelGrace, 50 * time.Millisecond},
	} {
		if *d.n <= 0 {
			*d.n = d.standard
		}
	}
	return c, nil
}

// connConfig is the driver's configuration for one cluster. Outside an explicit write transaction a session is read
// only, finds no name without its schema, and gives up on its own when the client hangs.
func (c Config) connConfig(url string) (*pgconn.Config, error) {
	pc, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"application_name":                    "circle15",
		"default_transaction_read_only":       "on",
		"search_path":                         "",
		"timezone":                            "UTC",
		"jit":                                 "off",
		"statement_timeout":                   milliseconds(c.StatementTimeout),
		"lock_timeout":                        milliseconds(c.LockTimeout),
		"idle_in_transaction_session_timeout": milliseconds(c.IdleInTransactionTimeout),
	} {
		if _, set := pc.RuntimeParams[name]; !set {
			pc.RuntimeParams[name] = value
		}
	}
	pc.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: pg.Conn(), DeadlineDelay: c.CancelGrace}
	}
	return pc, nil
}

func milliseconds(d time.Duration) string {
	return fmt.Sprint(max(d.Milliseconds(), 1))
}

// Package tenantdb runs SQL as a tenant. It is the only way to the tenants' rows, and it offers no connection: every
// statement is a constant text that runs in a transaction of the tenant in the context, as that tenant's database
// role, which has rights to the tenant's own schema and to nothing else.
//
// How it is fast, and what was measured, is in the README beside this file.
package tenantdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
)

const (
	// maxAttempts bounds how often a transaction that conflicts with others is tried.
	maxAttempts  = 5
	firstBackoff = 5 * time.Millisecond
	maxBackoff   = 100 * time.Millisecond
)

// DB is the databases of all tenants. It is safe for concurrent use.
type DB struct {
	limits    Config
	directory *Directory
	pools     map[string]*pool
	metrics   metric.Registration

	stop      func()        // ends the listeners
	stopped   chan struct{} // closed by stop
	listeners sync.WaitGroup
}

// Open prepares the pools of the clusters; connections are opened when they are needed. The directory says where each
// tenant is.
func Open(ctx context.Context, config Config, directory *Directory) (*DB, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	limits, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	if directory == nil {
		return nil, errors.New("tenantdb: no directory of tenants")
	}
	db := &DB{limits: limits, directory: directory, pools: make(map[string]*pool), stopped: make(chan struct{})}
	for cluster := range limits.Clusters {
		if db.pools[cluster], err = newPool(context.WithoutCancel(ctx), cluster, limits); err != nil {
			return nil, fmt.Errorf("tenantdb: cluster %q: %w", cluster, err)
		}
	}
	db.stop = sync.OnceFunc(func() { close(db.stopped) })
	if db.metrics, err = observe(db); err != nil {
		return nil, fmt.Errorf("tenantdb: metrics: %w", err)
	}
	return db, nil
}

// Close lets the transactions under way finish, for at most 10 s, and closes all connections.
func (db *DB) Close() {
	db.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var closing sync.WaitGroup
	for _, p := range db.pools {
		closing.Go(func() { p.close(ctx) })
	}
	closing.Wait()
	db.listeners.Wait()
	_ = db.metrics.Unregister() // it cannot fail
}

// Ping says whether some cluster answers; for readiness: while one is away, the tenants of the others are served. The
// error is Unavailable.
func (db *DB) Ping(ctx context.Context) error {
	var failed error
	for _, p := range db.pools {
		err := p.ping(ctx)
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	return unavailable(failed)
}

// Read runs fn in a READ ONLY transaction as the role of the tenant in ctx; all its statements see one snapshot. Like
// every transaction it begins with the first statement, and fn may run again when a statement turns out to be
// prepared for an older schema or the connection is lost. Errors of statements are *apierr.Error, or pgx.ErrNoRows.
func (db *DB) Read(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return db.transact(ctx, kindRead, fn)
}

// Write runs fn in a READ WRITE transaction (READ COMMITTED) as the role of the tenant in ctx and commits it if fn
// returns nil and no statement has failed. On a serialization failure or a deadlock all of it is tried again, so fn
// must be repeatable. When the connection is lost while the commit is under way its outcome is unknown: the error is
// Unavailable, and nothing is tried again.
func (db *DB) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return db.transact(ctx, kindWrite, fn)
}

// Aggregate is Read as the role circle15_aggregate, which may execute a tenant's summary function and read no row.
func (db *DB) Aggregate(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return db.transact(ctx, kindAggregate, fn)
}

// Placement is where the tenant in ctx is and how it is, as the directory has it now, if it may be served.
func (db *DB) Placement(ctx context.Context) (Placement, error) {
	n, err := tenant.From(ctx)
	if err != nil {
		return Placement{}, apierr.New(apierr.Denied, "the request names no tenant").Cause(err)
	}
	e, err := db.directory.serving(n)
	if err != nil {
		return Placement{}, err
	}
	return e.Placement, nil
}

type kind uint8

const (
	kindRead kind = iota
	kindWrite
	kindAggregate
)

// place is the actor and the pool of the tenant in ctx, if it may be served now.
func (db *DB) place(ctx context.Context, k kind) (actor, *pool, error) {
	n, err := tenant.From(ctx)
	if err != nil {
		return actor{}, nil, apierr.New(apierr.Denied, "the request names no tenant").Cause(err)
	}
	if tx, ok := ctx.Value(txKey{}).(*Tx); ok && !tx.over.Load() {
		return actor{}, nil, internal(errNested)
	}
	e, err := db.directory.serving(n)
	if err != nil {
		return actor{}, nil, err
	}
	p := db.pools[e.Cluster]
	if p == nil {
		return actor{}, nil, unavailable(fmt.Errorf("tenantdb: no URL is configured for cluster %q", e.Cluster))
	}
	if k == kindAggregate {
		return actor{tenant: n, role: aggregateRole, aggregate: true}, p, nil
	}
	return actor{tenant: n, role: e.role}, p, nil
}

// query runs one statement in a read-only transaction of its own.
func (db *DB) query(ctx context.Context, s *Stmt, args []any, read readFunc) error {
	as, p, err := db.place(ctx, kindRead)
	if err != nil {
		return err
	}
	ctx, span := startSpan(ctx, s, p.cluster)
	for attempt := 1; ; attempt++ {
		err = db.once(ctx, p, as, s, args, read)
		if err == nil || attempt > 1 || !errors.Is(err, errStale) && !lostConnection(err) {
			break
		}
	}
	endSpan(span, err)
	return translate(err)
}

func (db *DB) once(ctx context.Context, p *pool, as actor, s *Stmt, args []any, read readFunc) error {
	c, err := p.acquire(ctx, as.tenant)
	if err != nil {
		return err
	}
	returned := false
	defer func() {
		c.broken = c.broken || !returned // a panic while the result was read
		p.release(c, as.tenant)
	}()
	err = c.once(ctx, as, s, args, read)
	returned = true
	if lostConnection(err) {
		p.suspect()
	}
	return err
}

// transact tries a transaction until it succeeds, fails for good, or has been tried often enough.
func (db *DB) transact(ctx context.Context, k kind, fn func(ctx context.Context, tx *Tx) error) error {
	var again bool // a lost connection or a stale statement has had its second chance
	for attempt := 1; ; attempt++ {
		as, p, err := db.place(ctx, k)
		if err != nil {
			return err
		}
		tx := &Tx{pool: p, as: as, readWrite: k == kindWrite}
		err = tx.run(ctx, fn)
		switch {
		case err == nil:
			return nil
		case conflicting(tx.err) && attempt < maxAttempts:
			if pause(ctx, attempt) != nil {
				return err
			}
		case tx.repeatable() && !again:
			again = true
		default:
			return err
		}
	}
}

// pause waits before another attempt, longer and more at random each time.
func pause(ctx context.Context, attempt int) error {
	timer := time.NewTimer(jitter(min(firstBackoff<<attempt, maxBackoff)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// jitter is a random time between half of d and d, so that those who failed together do not try again together.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2) //nolint:gosec // nobody gains by guessing it
}

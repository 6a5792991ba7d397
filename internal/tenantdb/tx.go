package tenantdb

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type txKey struct{}

// Tx is a transaction of a tenant. It takes a connection and begins with its first statement, in the same round trip.
// It serves one statement at a time and ends with the function it was given to.
type Tx struct {
	pool      *pool
	as        actor
	readWrite bool

	queueMu sync.Mutex // apart from mu: rows may be queued while the result of a query is read
	queued  []queued

	mu      sync.Mutex
	conn    *conn
	begun   bool
	err     error       // why the transaction cannot go on; as the driver said it
	decided bool        // the commit has been sent: only the server knows
	over    atomic.Bool // the function has returned
}

type queued struct {
	stmt *Stmt
	args []any
}

// Exec runs a statement and returns how many rows it has inserted, updated or deleted.
func (tx *Tx) Exec(ctx context.Context, s *Stmt, args ...any) (int64, error) {
	var tag pgconn.CommandTag
	err := tx.query(ctx, s, args, func(rows pgx.Rows) error {
		rows.Close()
		tag = rows.CommandTag()
		return rows.Err()
	})
	return tag.RowsAffected(), err
}

// Queue has a statement sent with the next Exec, One or All, before it, or else with the commit: for inserts whose
// result is not needed. Its error, if any, is that of the call it is sent with. The arguments must not change until
// then. It panics when the transaction is over: the statement would be lost.
func (tx *Tx) Queue(s *Stmt, args ...any) {
	if tx.over.Load() {
		panic(errTxOver)
	}
	tx.queueMu.Lock()
	defer tx.queueMu.Unlock()
	tx.queued = append(tx.queued, queued{s, args})
}

// takeQueue empties the queue.
func (tx *Tx) takeQueue() []queued {
	tx.queueMu.Lock()
	defer tx.queueMu.Unlock()
	work := tx.queued
	tx.queued = nil
	return work
}

func (tx *Tx) queues() bool {
	tx.queueMu.Lock()
	defer tx.queueMu.Unlock()
	return len(tx.queued) > 0
}

func (tx *Tx) query(ctx context.Context, s *Stmt, args []any, read readFunc) error {
	if !tx.mu.TryLock() {
		return internal(errTxBusy)
	}
	defer tx.mu.Unlock()
	switch {
	case tx.over.Load():
		return internal(errTxOver)
	case tx.err != nil:
		return translate(tx.err)
	}
	ctx, span := startSpan(ctx, s, tx.pool.cluster)
	err := tx.send(ctx, &queued{s, args}, read)
	endSpan(span, err)
	return translate(err)
}

// send runs the queued statements and then last, or the commit if last is nil, in one round trip.
func (tx *Tx) send(ctx context.Context, last *queued, read readFunc) error {
	if tx.conn == nil {
		c, err := tx.pool.acquire(ctx, tx.as.tenant)
		if err != nil {
			tx.err = err
			return err
		}
		tx.conn = c
	}
	work := tx.takeQueue()
	if last != nil {
		work = append(work, *last)
	}
	t := tx.conn.start(ctx)
	readErr, err := tx.exchange(t, work, last != nil, read)
	err = t.end(err)
	if err == nil {
		err = tx.misplaced(last != nil)
	}
	if err != nil {
		tx.err = err
		if lostConnection(err) {
			tx.pool.suspect()
		}
		return err
	}
	return readErr
}

// exchange sends the statements and reads the replies. An error of read is apart from the others: it leaves the
// transaction as it was.
func (tx *Tx) exchange(t *trip, work []queued, results bool, read readFunc) (readErr, err error) {
	if !tx.begun {
		t.sendBegin(tx.readWrite)
		t.sendRole(tx.as.role)
		tx.begun = true
	}
	statements := make([]*prepared, len(work))
	described := true
	for i, q := range work {
		statements[i] = t.prepare(tx.as, q.stmt)
		described = described && statements[i].shape != nil
	}
	if !described {
		if err := t.describe(); err != nil {
			return nil, errors.Join(err, t.sync())
		}
	}
	for i, q := range work {
		if err := t.sendQuery(statements[i], q.args); err != nil {
			return nil, errors.Join(err, t.sync())
		}
	}
	if !results {
		t.sendCommit()
		tx.decided = true
	}
	if err := t.sync(); err != nil {
		tx.decided = tx.decided && !pgconn.SafeToRetry(err)
		return nil, err
	}
	for i := range work {
		r, err := t.settle()
		if err != nil {
			return nil, err
		}
		if results && i == len(work)-1 {
			readErr = read(t.result(r))
		}
		if _, err = r.Close(); err != nil {
			return nil, err
		}
	}
	_, err = t.settle()
	return readErr, err
}

// misplaced says if the server is not where a successful round trip leaves it: in the transaction, or after it.
func (tx *Tx) misplaced(inside bool) error {
	if inside == (tx.conn.pg.TxStatus() == 'T') {
		return nil
	}
	tx.conn.broken = true
	return errTxEnded
}

// run gives the transaction to fn, commits or rolls back, and returns the connection, whatever happens in fn.
func (tx *Tx) run(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) (err error) {
	returned := false
	defer func() {
		tx.over.Store(true)
		tx.mu.Lock() // waits for a straggler's statement
		defer tx.mu.Unlock()
		if tx.conn == nil {
			return
		}
		if returned {
			tx.conn.rollBack(ctx)
		} else {
			tx.conn.broken = true // fn has panicked, perhaps while a result was read
		}
		tx.pool.release(tx.conn, tx.as.tenant)
	}()
	err = fn(context.WithValue(ctx, txKey{}, tx), tx)
	returned = true
	if err == nil {
		err = tx.commit(ctx)
	}
	return err
}

// commit sends what is queued and the commit in one round trip. Once decided, the commit is not cancelled with the
// request, which would leave its outcome open.
func (tx *Tx) commit(ctx context.Context) error {
	tx.over.Store(true)
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.err == nil {
		tx.err = ctx.Err()
	}
	if tx.err != nil {
		return translate(tx.err)
	}
	if !tx.begun && !tx.queues() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tx.pool.limits.StatementTimeout+closeTimeout)
	defer cancel()
	ctx, span := startSpan(ctx, commitSpan, tx.pool.cluster)
	err := tx.send(ctx, nil, nil)
	endSpan(span, err)
	if err != nil && tx.ambiguous(err) {
		return unavailable(errors.Join(errors.New("tenantdb: the outcome of the commit is unknown"), err))
	}
	return translate(err)
}

// ambiguous says whether a failed commit may have happened: it was sent, and the server has not said no.
func (tx *Tx) ambiguous(err error) bool {
	var pgErr *pgconn.PgError
	return tx.decided && (!errors.As(err, &pgErr) || fatal(pgErr)) && !errors.Is(err, errNotCommitted) && !errors.Is(err, errStale)
}

// repeatable says whether the transaction failed for a reason that another attempt does not meet again, and surely
// without effect.
func (tx *Tx) repeatable() bool {
	if errors.Is(tx.err, errStale) {
		return true
	}
	return lostConnection(tx.err) && !tx.decided
}

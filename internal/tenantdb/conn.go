package tenantdb

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// closeTimeout bounds what is done to a connection on its way out: rolling back, saying goodbye.
const closeTimeout = 2 * time.Second

// txStatusIdle is the transaction status byte of a session without a transaction (PostgreSQL, message ReadyForQuery).
const txStatusIdle = 'I'

// conn is one session at a server, used by one request at a time.
type conn struct {
	pg    *pgconn.PgConn
	types *pgtype.Map
	args  pgx.ExtendedQueryBuilder
	stmts stmtCache
	scans map[*Stmt]*scanPlans
	trip  trip
	names uint64 // prepared statements named so far

	// Statements that every session knows, prepared as the app login when it connects.
	setRole, beginRead, beginWrite, commit *pgconn.StatementDescription

	slot      int
	born      time.Time
	takenAt   time.Time // when the present request got it
	idleSince time.Time
	suspect   bool // look whether it is alive before the next use
	broken    bool // something is unclear: close it rather than use it again
}

// sessionStatements are what a transaction is framed with. set_config with is_local = true lasts until the transaction
// ends, however it ends; the role that was there before it shows whether an earlier request has left one.
var sessionStatements = []struct {
	name, sql string
	params    []uint32
	at        func(*conn) **pgconn.StatementDescription
}{
	{
		"role", "select current_setting('role'), set_config('role', $1, true)",
		[]uint32{pgtype.TextOID},
		func(c *conn) **pgconn.StatementDescription { return &c.setRole },
	},
	{
		"begin_read", "begin isolation level repeatable read, read only", nil,
		func(c *conn) **pgconn.StatementDescription { return &c.beginRead },
	},
	{
		"begin_write", "begin isolation level read committed, read write", nil,
		func(c *conn) **pgconn.StatementDescription { return &c.beginWrite },
	},
	{
		"commit", "commit", nil,
		func(c *conn) **pgconn.StatementDescription { return &c.commit },
	},
}

// dial opens a session and prepares the statements that frame transactions.
func dial(ctx context.Context, config *pgconn.Config, statementCache int) (*conn, error) {
	pg, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	c := &conn{pg: pg, types: newTypeMap(), stmts: newStmtCache(statementCache), scans: make(map[*Stmt]*scanPlans), born: time.Now()}
	c.trip.c = c
	for _, s := range sessionStatements {
		desc, err := pg.Prepare(ctx, s.name, s.sql, s.params)
		if err != nil {
			c.close(ctx)
			return nil, err
		}
		*s.at(c) = desc
	}
	return c, nil
}

// clean says whether nothing of the last request is left: the connection is open, nobody waits for a reply, and the
// server reports that no transaction is open. A role set by set_config(…, true) ends with its transaction.
func (c *conn) clean() bool {
	return !c.broken && !c.pg.IsClosed() && !c.pg.IsBusy() && c.pg.TxStatus() == txStatusIdle
}

// answers asks the server whether it is there.
func (c *conn) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	return c.pg.Ping(ctx) == nil
}

// rollBack ends an open transaction, on a context of its own; a failure closes the connection.
func (c *conn) rollBack(ctx context.Context) {
	if c.broken || c.pg.IsClosed() {
		return
	}
	if c.pg.IsBusy() {
		c.broken = true
		return
	}
	if c.pg.TxStatus() == txStatusIdle {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if _, err := c.pg.Exec(ctx, "rollback").ReadAll(); err != nil || c.pg.TxStatus() != txStatusIdle {
		c.broken = true
	}
}

// close says goodbye to the server and waits, within limits and whether ctx has ended or not, until the socket is
// closed.
func (c *conn) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = c.pg.Close(ctx) // the socket is closed whatever it returns
	select {
	case <-c.pg.CleanupDone():
	case <-ctx.Done():
	}
}

// nextName is a fresh name for a prepared statement; a name is never used twice on a connection.
func (c *conn) nextName() string {
	c.names++
	return "s" + strconv.FormatUint(c.names, 36)
}

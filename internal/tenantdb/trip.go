package tenantdb

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/tenant"
)

// aggregateRole is the group role that may execute a tenant's summary function and read nothing else.
const aggregateRole = "circle15_aggregate"

// actor is as whom a statement runs, and in which tenant's schema.
type actor struct {
	tenant    tenant.Name
	role      string
	aggregate bool // role is aggregateRole rather than the tenant's own
}

type replyKind uint8

const (
	replyClosed replyKind = iota // a forgotten statement is closed
	replyBegin
	replyRole
	replyPrepared
	replyQuery
	replyCommit
)

// reply is one answer that the server owes, in the order of the requests.
type reply struct {
	kind replyKind
	stmt *prepared // for replyPrepared and replyQuery
}

// trip is one batch of requests that goes to the server in one write and comes back in one read. The server skips
// what follows a failed request up to the end of the batch, so that a statement never runs unless the role before it
// was set.
type trip struct {
	c       *conn
	pl      *pgconn.Pipeline
	owed    []reply
	next    int
	fresh   []*prepared // parsed in this trip; forgotten at its end if the server has not confirmed them
	closing int         // evicted statements whose names this trip closes
	guessed bool        // a fresh statement is sent with the shape another connection has learned
}

// start opens the connection's trip; end or abandon closes it.
func (c *conn) start(ctx context.Context) *trip {
	t := &c.trip
	t.pl = c.pg.StartPipeline(ctx)
	t.owed, t.next, t.fresh, t.guessed = t.owed[:0], 0, t.fresh[:0], false
	t.closing = len(c.stmts.evicted)
	for _, name := range c.stmts.evicted {
		t.pl.SendDeallocate(name)
		t.owe(replyClosed, nil)
	}
	return t
}

func (t *trip) owe(kind replyKind, p *prepared) { t.owed = append(t.owed, reply{kind, p}) }

func (t *trip) sendBegin(readWrite bool) {
	begin := t.c.beginRead
	if readWrite {
		begin = t.c.beginWrite
	}
	t.pl.SendQueryStatement(begin, nil, nil, nil)
	t.owe(replyBegin, nil)
}

func (t *trip) sendRole(role string) {
	t.pl.SendQueryStatement(t.c.setRole, [][]byte{[]byte(role)}, nil, nil)
	t.owe(replyRole, nil)
}

func (t *trip) sendCommit() {
	t.pl.SendQueryStatement(t.c.commit, nil, nil, nil)
	t.owe(replyCommit, nil)
}

// prepare is the statement as this connection knows it, sent for parsing if it does not. A statement that no
// connection has described yet comes back without a shape: describe must run before it can be sent.
func (t *trip) prepare(as actor, s *Stmt) *prepared {
	key := stmtKey{s, as.tenant, as.aggregate}
	if p := t.c.stmts.get(key); p != nil {
		return p
	}
	p := &prepared{key: key}
	p.desc.Name = t.c.nextName()
	if known := s.shape.Load(); known != nil {
		p.take(known)
		t.guessed = true
	}
	t.pl.SendPrepare(p.desc.Name, s.render(as.tenant), p.desc.ParamOIDs)
	t.owe(replyPrepared, p)
	t.c.stmts.add(p)
	t.fresh = append(t.fresh, p)
	return p
}

// describe sends what is queued and reads all replies owed, without ending the batch, and with it the transaction.
func (t *trip) describe() error {
	t.pl.SendFlushRequest()
	if err := t.pl.Flush(); err != nil {
		return err
	}
	t.closed()
	_, err := t.settle()
	return err
}

// sendQuery encodes the arguments and queues the statement. After an error nothing of it is queued.
func (t *trip) sendQuery(p *prepared, args []any) error {
	if err := t.c.args.Build(t.c.types, &pgconn.StatementDescription{ParamOIDs: p.shape.params}, args); err != nil {
		return err
	}
	t.pl.SendQueryStatement(&p.desc, t.c.args.ParamValues, t.c.args.ParamFormats, p.shape.formats)
	t.owe(replyQuery, p)
	return nil
}

// sync sends the batch and marks its end.
func (t *trip) sync() error {
	if err := t.pl.Sync(); err != nil {
		return err
	}
	t.closed()
	return nil
}

// closed forgets the names that the server has been told to close; those evicted since start are for the next trip.
func (t *trip) closed() {
	t.c.stmts.evicted = slices.Delete(t.c.stmts.evicted, 0, t.closing)
	t.closing = 0
}

// settle reads replies up to the next one that carries the result of a query, and returns its reader; nil when all
// replies owed are read.
func (t *trip) settle() (*pgconn.ResultReader, error) {
	for t.next < len(t.owed) {
		owed := t.owed[t.next]
		t.next++
		result, err := t.pl.GetResults()
		if err != nil {
			return nil, t.failed(owed, err)
		}
		switch r := result.(type) {
		case *pgconn.CloseComplete:
		case *pgconn.StatementDescription:
			if err := t.confirm(owed.stmt, r); err != nil {
				return nil, err
			}
		case *pgconn.ResultReader:
			if owed.kind == replyQuery {
				return r, nil
			}
			if err := t.framed(owed.kind, r); err != nil {
				return nil, t.failed(owed, err)
			}
		default:
			t.c.broken = true
			return nil, errors.New("tenantdb: the server's replies are out of step")
		}
	}
	return nil, nil
}

// framed reads the reply to a statement that frames the transaction.
func (t *trip) framed(kind replyKind, r *pgconn.ResultReader) error {
	if kind == replyRole && r.NextRow() {
		if before := string(r.Values()[0]); before != "none" {
			// This request is safe, its own role being set; but the session is not what it should be.
			t.c.broken = true
			slog.Error("tenantdb: a connection was left with a role and is closed", "role", before)
		}
	}
	tag, err := r.Close()
	if err == nil && kind == replyCommit && tag.String() != "COMMIT" {
		return errNotCommitted
	}
	return err
}

// confirm takes what the server says about a freshly parsed statement.
func (t *trip) confirm(p *prepared, desc *pgconn.StatementDescription) error {
	p.ready = true
	if p.shape != nil && p.shape.sameResult(desc.Fields) {
		return nil
	}
	actual := &shape{params: desc.ParamOIDs, fields: desc.Fields, formats: make([]int16, len(desc.Fields))}
	for i := range desc.Fields {
		actual.formats[i] = t.c.types.FormatCodeForOID(desc.Fields[i].DataTypeOID)
	}
	guessed := p.shape != nil
	p.take(actual)
	p.key.stmt.shape.Store(actual)
	if guessed {
		return errStale // it has already been sent with the wrong formats
	}
	return nil
}

func (p *prepared) take(s *shape) {
	p.shape = s
	p.desc.ParamOIDs = s.params
	p.desc.Fields = s.fields
}

// failed looks at an error of the server for signs that a prepared statement is out of date, forgets that statement,
// and then returns an error that is errStale too.
func (t *trip) failed(owed reply, err error) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return err
	}
	guess := t.guessed && (pgErr.Code[:2] == "42" || pgErr.Code == codeProtocolViolation)
	if !guess && pgErr.Code != codeFeatureNotSupported && pgErr.Code != codeNoSuchStatement {
		return err
	}
	if owed.stmt == nil {
		t.c.broken = true
		return errors.Join(errStale, err)
	}
	t.c.stmts.remove(owed.stmt)
	owed.stmt.key.stmt.shape.CompareAndSwap(owed.stmt.shape, nil)
	return errors.Join(errStale, err)
}

// rows reads the result that settle has come to with read, to its end.
func (t *trip) rows(r *pgconn.ResultReader, read func(pgx.Rows) error) error {
	if err := read(t.result(r)); err != nil {
		return err
	}
	_, err := r.Close()
	return err
}

// result is the rows of the reader that settle has just returned.
func (t *trip) result(r *pgconn.ResultReader) pgx.Rows {
	return t.c.planned(pgx.RowsFromResultReader(t.c.types, r), t.owed[t.next-1].stmt)
}

// end reads what is left of the batch and returns the connection to its normal mode. The first error wins.
func (t *trip) end(err error) error {
	if closeErr := t.pl.Close(); err == nil {
		err = closeErr
	}
	for _, p := range t.fresh {
		if !p.ready {
			t.c.stmts.remove(p)
		}
	}
	if err != nil && t.c.pg.IsClosed() {
		return &lostError{err}
	}
	return err
}

// abandon ends a batch that cannot be completed: what has been queued runs, nothing is added.
func (t *trip) abandon(err error) error {
	_ = t.sync() // its failure closes the connection, which release sees
	return t.end(err)
}

// once runs one statement in a transaction of its own, in one round trip. Without a BEGIN, all that comes before the
// end of the batch is one implicit transaction (PostgreSQL, "Pipelining"): the role holds for it and no longer, and
// an error ends it without a rollback. The session's default makes it read only.
func (c *conn) once(ctx context.Context, as actor, s *Stmt, args []any, read func(pgx.Rows) error) error {
	t := c.start(ctx)
	t.sendRole(as.role)
	p := t.prepare(as, s)
	if p.shape == nil {
		if err := t.describe(); err != nil {
			return t.abandon(err)
		}
	}
	if err := t.sendQuery(p, args); err != nil {
		return t.abandon(err)
	}
	if err := t.sync(); err != nil {
		return t.end(err)
	}
	r, err := t.settle()
	if err == nil {
		err = t.rows(r, read)
	}
	return t.end(err)
}

package tenantdb

import (
	"context"
	"log/slog"
	"math/bits"
	"time"
)

const (
	firstRedialDelay = 50 * time.Millisecond
	maxRedialDelay   = 2 * time.Second
)

type slotState uint8

const (
	slotEmpty slotState = iota
	slotOpening
	slotIdle
	slotBusy
)

// slot is the place of one connection in a pool.
type slot struct {
	state    slotState
	conn     *conn
	lanes    []*lane // the tenants that are at home here or have been served by the present connection
	served   int     // of them, those that have been served
	failures int     // attempts to connect that have failed since the last success
	redialAt time.Time
}

// roomiest is the slot that has the fewest tenants; one that is in use or does not connect only if it must be.
func (p *pool) roomiest() int {
	const never = 1 << 30
	best, least := 0, never*2
	for i := range p.slots {
		s := &p.slots[i]
		rank := 2 * len(s.lanes)
		if s.state == slotBusy {
			rank++
		}
		if s.failures > 0 {
			rank += never
		}
		if rank < least {
			best, least = i, rank
		}
	}
	return best
}

// dialAnother opens one more connection, if the pool may have one.
func (p *pool) dialAnother(now time.Time) {
	for i := range p.slots {
		if s := &p.slots[i]; s.state == slotEmpty && !now.Before(s.redialAt) {
			p.dial(i)
			return
		}
	}
}

// dial opens a connection for slot i in the background, unless it is open or was tried in vain a moment ago. Whoever
// waits gets it.
func (p *pool) dial(i int) {
	s := &p.slots[i]
	if p.closed || s.state != slotEmpty || s.failures > 0 && time.Now().Before(s.redialAt) {
		return
	}
	s.state = slotOpening
	p.opening++
	go p.connect(p.ctx, i)
}

func (p *pool) connect(ctx context.Context, i int) {
	ctx, cancel := context.WithTimeout(ctx, p.limits.ConnectTimeout)
	defer cancel()
	c, err := dial(ctx, p.config, p.limits.StatementCache)
	p.dialed(i, c, err)
}

func (p *pool) dialed(i int, c *conn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.slots[i]
	p.opening--
	s.state = slotEmpty
	switch {
	case err != nil:
		p.dialFailed(i, err)
	case p.closed:
		p.bury(c)
	default:
		c.slot = i
		s.conn, s.failures = c, 0
		p.open++
		p.counts.opened++
		p.lastErr = nil
		p.offer(i, time.Now())
	}
	p.signalDrained()
}

// dialFailed lets the waiting requests fail at once if there is no connection at all; else the others serve them.
func (p *pool) dialFailed(i int, err error) {
	s := &p.slots[i]
	s.failures++
	delay := min(firstRedialDelay<<min(s.failures, 6), maxRedialDelay)
	s.redialAt = time.Now().Add(jitter(delay))
	if p.lastErr == nil {
		slog.Warn("tenantdb: no connection to the database", "cluster", p.cluster, "error", err)
	}
	p.lastErr = err
	if p.open > 0 || p.opening > 0 {
		p.evict(i)
		p.armSpill()
		return
	}
	p.failWaiters(err)
	p.evict(i)
}

func (p *pool) failWaiters(err error) {
	for p.ring.front != nil {
		w := p.ring.front.first
		p.dequeue(w)
		w.grant <- grant{err: unavailable(err)}
	}
}

// vacate closes the connection of slot i. Tenants without waiting requests lose their home there; for the others a
// new connection is opened.
func (p *pool) vacate(i int) {
	s := &p.slots[i]
	c := s.conn
	p.idle &^= 1 << i
	s.conn, s.state, s.served = nil, slotEmpty, 0
	p.open--
	p.evict(i)
	if len(s.lanes) > 0 {
		p.dial(i)
	}
	p.bury(c)
}

// evict has the tenants forget slot i; only those that wait keep their home there.
func (p *pool) evict(i int) {
	s := &p.slots[i]
	kept := s.lanes[:0]
	for _, l := range s.lanes {
		l.served &^= 1 << i
		if l.home == i && l.first != nil {
			kept = append(kept, l)
			continue
		}
		if l.home == i {
			l.home = noHome
		}
		p.forgetIfIdle(l)
	}
	clear(s.lanes[len(kept):])
	s.lanes = kept
}

// bury closes a connection that no slot holds any more.
func (p *pool) bury(c *conn) {
	p.closing++
	go func() {
		c.close(p.ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.closing--
		p.signalDrained()
	}()
}

// closeUnused closes the connections that nobody has used for MaxConnIdle.
func (p *pool) closeUnused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := time.Now()
	for rest := p.idle; rest != 0; rest &= rest - 1 {
		if i := bits.TrailingZeros64(rest); now.Sub(p.slots[i].conn.idleSince) > p.limits.MaxConnIdle {
			p.counts.recycled++
			p.vacate(i)
		}
	}
	p.janitor.Reset(p.limits.MaxConnIdle / 2)
}

// close refuses new requests, lets those under way finish, and waits for the connections to be closed, as long as ctx
// allows.
func (p *pool) close(ctx context.Context) {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.spill.Stop()
		p.janitor.Stop()
		p.failWaiters(errPoolClosed)
		for rest := p.idle; rest != 0; rest &= rest - 1 {
			p.vacate(bits.TrailingZeros64(rest))
		}
		p.signalDrained()
	}
	p.mu.Unlock()
	select {
	case <-p.drained:
	case <-ctx.Done():
		slog.Warn("tenantdb: connections are still in use at the end", "cluster", p.cluster)
	}
}

func (p *pool) signalDrained() {
	if !p.closed || p.open+p.opening+p.closing > 0 {
		return
	}
	select {
	case <-p.drained:
	default:
		close(p.drained)
	}
}

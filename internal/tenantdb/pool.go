package tenantdb

import (
	"context"
	"errors"
	"log/slog"
	"math/bits"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
)

const (
	// agedWait is how long a tenant waits before a connection that is not its own serves it although that
	// connection's own tenants wait too. It happens at most once in foreignTurn times, lest a crowd makes every
	// connection serve every tenant, which would cost all of them the speed that the crowd is waiting for.
	agedWait    = 50 * time.Millisecond
	foreignTurn = 8

	maxRedialDelay = 2 * time.Second
)

var errPoolClosed = errors.New("tenantdb: closed")

type slotState uint8

const (
	slotEmpty slotState = iota
	slotOpening
	slotIdle
	slotBusy
)

// slot is the place of one connection; its lanes are the tenants that it is a home of or has served.
type slot struct {
	state    slotState
	conn     *conn
	lanes    []*lane
	served   int // tenants that the present connection has served
	ownTurns int // own lanes served since another's was
	failures int
	redialAt time.Time
}

// pool is the connections to one cluster. A tenant's requests go to the connections that served it before; a request
// whose connections are busy waits for them, and only after SpillDelay, or when the tenant keeps all its connections
// busy itself, another connection will do. A connection that falls idle serves the tenant at home there that was
// served longest ago.
type pool struct {
	cluster string
	config  *pgconn.Config
	limits  Config
	waiters sync.Pool

	mu       sync.Mutex
	slots    []slot
	idle     uint64 // the set of slots in state slotIdle
	open     int    // slots that hold a connection
	opening  int
	lanes    map[tenant.Name]*lane
	ring     ring
	waiting  int
	spill    *time.Timer
	spilling bool // the timer runs
	lastErr  error
	closing  int // connections on their way out
	janitor  *time.Timer
	closed   bool
	drained  chan struct{} // closed when a closed pool has no connection left

	counts counts
}

// counts are what the pool has done since it was opened.
type counts struct {
	acquired, waited, foreign, opened, recycled, discarded int64
	waitTime                                               time.Duration
}

func newPool(cluster string, limits Config) (*pool, error) {
	config, err := limits.connConfig(limits.Clusters[cluster])
	if err != nil {
		return nil, err
	}
	p := &pool{
		cluster: cluster, config: config, limits: limits,
		waiters: sync.Pool{New: newWaiter},
		slots:   make([]slot, limits.MaxConns),
		lanes:   make(map[tenant.Name]*lane),
		drained: make(chan struct{}),
	}
	p.spill = time.AfterFunc(time.Hour, p.serveAged)
	p.spill.Stop()
	p.janitor = time.AfterFunc(limits.MaxConnIdle/2, p.closeUnused)
	return p, nil
}

// acquire waits for a connection for the tenant, as long as ctx and AcquireTimeout allow.
func (p *pool) acquire(ctx context.Context, n tenant.Name) (*conn, error) {
	for range maxConnsLimit + 1 {
		c, err := p.request(ctx, n)
		if err != nil {
			return nil, err
		}
		if !c.suspect || c.pg.CheckConn() == nil {
			return c, nil
		}
		c.broken = true
		p.release(c, n)
	}
	return nil, unavailable(errors.New("no connection stays open"))
}

// suspect has the idle connections looked at before their next use: another one was found dead.
func (p *pool) suspect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for rest := p.idle; rest != 0; rest &= rest - 1 {
		p.slots[bits.TrailingZeros64(rest)].conn.suspect = true
	}
}

// request takes a free connection or queues for one.
func (p *pool) request(ctx context.Context, n tenant.Name) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, unavailable(errPoolClosed)
	}
	l := p.lanes[n]
	if l == nil {
		l = &lane{tenant: n}
		p.lanes[n] = l
	}
	if c := p.free(l); c != nil {
		p.mu.Unlock()
		return c, nil
	}
	if err := p.refusal(l); err != nil {
		p.forgetIfIdle(l)
		p.mu.Unlock()
		return nil, err
	}
	w := p.waiters.Get().(*waiter)
	p.enqueue(l, w)
	p.mu.Unlock()
	return p.wait(ctx, w)
}

// free takes an idle connection that the lane may have at once.
func (p *pool) free(l *lane) *conn {
	if own := l.homes & p.idle; own != 0 {
		return p.take(l, bits.TrailingZeros64(own))
	}
	if known := l.served & p.idle; known != 0 {
		return p.take(l, bits.TrailingZeros64(known))
	}
	if !l.crowded() {
		p.openHomes(l)
		return nil
	}
	i := p.roomiest(l)
	if i < 0 {
		return nil
	}
	p.settleIn(l, i)
	switch p.slots[i].state {
	case slotIdle:
		return p.take(l, i)
	case slotEmpty:
		p.dial(i)
	}
	return nil
}

// roomiest is the slot outside the lane's homes with the fewest tenants, of those that are idle or not yet open; for a
// lane without any home also of those in use. It is -1 if there is none.
func (p *pool) roomiest(l *lane) int {
	best, bestInUse := -1, -1
	now := time.Time{}
	for i := range p.slots {
		s := &p.slots[i]
		if l.homes&(1<<i) != 0 {
			continue
		}
		if s.state == slotEmpty && s.failures > 0 {
			if now.IsZero() {
				now = time.Now()
			}
			if now.Before(s.redialAt) {
				continue
			}
		}
		if s.state == slotIdle || s.state == slotEmpty {
			if best < 0 || len(s.lanes) < len(p.slots[best].lanes) {
				best = i
			}
		} else if bestInUse < 0 || len(s.lanes) < len(p.slots[bestInUse].lanes) {
			bestInUse = i
		}
	}
	if best < 0 && l.homes == 0 {
		return bestInUse
	}
	return best
}

// settleIn makes slot i a home of the lane.
func (p *pool) settleIn(l *lane, i int) {
	if (l.homes|l.served)&(1<<i) == 0 {
		p.slots[i].lanes = append(p.slots[i].lanes, l)
	}
	l.homes |= 1 << i
}

// take gives the idle or just freed connection of slot i to a request of the lane.
func (p *pool) take(l *lane, i int) *conn {
	s := &p.slots[i]
	s.state = slotBusy
	p.idle &^= 1 << i
	if l.served&(1<<i) == 0 {
		if l.homes&(1<<i) == 0 {
			s.lanes = append(s.lanes, l)
			p.counts.foreign++
		}
		l.served |= 1 << i
		s.served++
	}
	l.held++
	p.counts.acquired++
	return s.conn
}

// refusal is why a request may not even wait; nil if it may.
func (p *pool) refusal(l *lane) error {
	if p.open == 0 && p.opening == 0 && p.lastErr != nil {
		return unavailable(p.lastErr)
	}
	if l.waiting >= p.limits.MaxQueuedRequests {
		return apierr.New(apierr.RateLimited, "too many requests of this tenant are waiting; try again later")
	}
	return nil
}

func (p *pool) enqueue(l *lane, w *waiter) {
	w.since = time.Now()
	l.push(w)
	if !l.inRing {
		p.ring.pushBack(l)
	}
	p.waiting++
	p.counts.waited++
	p.armSpill()
}

// wait ends with a connection, or takes the request back out of the queue.
func (p *pool) wait(ctx context.Context, w *waiter) (*conn, error) {
	w.timer.Reset(p.limits.AcquireTimeout)
	var g grant
	select {
	case g = <-w.grant:
	case <-ctx.Done():
		g = p.giveUp(w, ctx.Err())
	case <-w.timer.C:
		g = p.giveUp(w, unavailable(errors.New("no connection became free in time")))
	}
	w.timer.Stop()
	w.lane = nil
	p.waiters.Put(w)
	return g.conn, g.err
}

// giveUp takes w out of the queue; if a grant came first, that holds, and a granted connection is used.
func (p *pool) giveUp(w *waiter, err error) grant {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.queued {
		return <-w.grant
	}
	p.dequeue(w)
	p.forgetIfIdle(w.lane)
	return grant{err: err}
}

func (p *pool) dequeue(w *waiter) {
	l := w.lane
	l.remove(w)
	p.waiting--
	if l.first == nil {
		p.ring.remove(l)
	}
}

// release takes a connection back, with whatever state it is in.
func (p *pool) release(c *conn, n tenant.Name) {
	clean := c.clean()
	now := time.Now()
	c.idleSince, c.suspect = now, false
	p.mu.Lock()
	defer p.mu.Unlock()
	i := c.slot
	s := &p.slots[i]
	l := p.lanes[n]
	l.held--
	switch {
	case !clean:
		p.counts.discarded++
		p.vacate(i)
	case p.closed, s.served > p.limits.MaxTenantsPerConn, now.Sub(c.born) > p.limits.MaxConnLifetime:
		p.counts.recycled++
		p.vacate(i)
	default:
		p.offer(i, now)
	}
	p.forgetIfIdle(l)
}

// offer gives the connection of slot i to whoever is next, or lets it rest.
func (p *pool) offer(i int, now time.Time) {
	if l := p.pick(i, now); l != nil {
		w := l.first
		p.dequeue(w)
		if l.first != nil { // its turn is over
			p.ring.remove(l)
			p.ring.pushBack(l)
		}
		p.counts.waitTime += now.Sub(w.since)
		w.grant <- grant{conn: p.take(l, i)}
		return
	}
	p.slots[i].state = slotIdle
	p.idle |= 1 << i
	p.armSpill()
}

// pick is the lane that slot i serves next: of the lanes at home there the one served longest ago, else one that it has
// served before, else one that may go anywhere. Now and then an aged lane of another home comes first.
func (p *pool) pick(i int, now time.Time) *lane {
	if p.ring.front == nil {
		return nil
	}
	s := &p.slots[i]
	if s.ownTurns >= foreignTurn && now.Sub(p.ring.front.first.since) > agedWait {
		s.ownTurns = 0
		return p.ring.front
	}
	for l := p.ring.front; l != nil; l = l.next {
		if l.homes&(1<<i) != 0 {
			s.ownTurns++
			return l
		}
	}
	s.ownTurns = 0
	for l := p.ring.front; l != nil; l = l.next {
		if l.served&(1<<i) != 0 {
			return l
		}
	}
	for l := p.ring.front; l != nil; l = l.next {
		if l.crowded() {
			p.settleIn(l, i)
			return l
		}
		if now.Sub(l.first.since) >= p.limits.SpillDelay {
			return l
		}
	}
	return nil
}

// armSpill sees to it that a waiting request is served elsewhere after SpillDelay, if there is an elsewhere.
func (p *pool) armSpill() {
	if p.spilling || p.closed || p.ring.front == nil || p.idle == 0 && p.open+p.opening == len(p.slots) {
		return
	}
	p.spilling = true
	p.spill.Reset(p.limits.SpillDelay)
}

// serveAged runs when SpillDelay has passed while requests waited beside idle or unopened slots.
func (p *pool) serveAged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spilling = false
	now := time.Now()
	for rest := p.idle; rest != 0; rest &= rest - 1 {
		p.offer(bits.TrailingZeros64(rest), now)
	}
	if p.ring.front != nil && p.idle == 0 && p.opening == 0 {
		if i := p.roomiest(&lane{}); i >= 0 && p.slots[i].state == slotEmpty {
			p.dial(i)
		}
	}
	p.armSpill()
}

// openHomes opens the lane's homes that have lost their connection.
func (p *pool) openHomes(l *lane) {
	for rest := l.homes; rest != 0; rest &= rest - 1 {
		if i := bits.TrailingZeros64(rest); p.slots[i].state == slotEmpty {
			p.dial(i)
		}
	}
}

// dial opens a connection for slot i in the background; whoever waits gets it.
func (p *pool) dial(i int) {
	s := &p.slots[i]
	if p.closed || s.state != slotEmpty {
		return
	}
	if s.failures > 0 && time.Now().Before(s.redialAt) {
		return
	}
	s.state = slotOpening
	p.opening++
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), p.limits.ConnectTimeout)
		defer cancel()
		c, err := dial(ctx, p.config, p.limits.StatementCache)
		p.dialed(i, c, err)
	}()
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
	backoff := min(50*time.Millisecond<<min(s.failures, 6), maxRedialDelay)
	s.redialAt = time.Now().Add(backoff/2 + rand.N(backoff/2))
	if p.lastErr == nil {
		slog.Warn("tenantdb: no connection to the database", "cluster", p.cluster, "error", err)
	}
	p.lastErr = err
	p.evict(i)
	if p.open > 0 || p.opening > 0 {
		p.armSpill()
		return
	}
	p.failWaiters(err)
}

func (p *pool) failWaiters(err error) {
	for p.ring.front != nil {
		l := p.ring.front
		w := l.first
		p.dequeue(w)
		w.grant <- grant{err: unavailable(err)}
		p.forgetIfIdle(l)
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

// bury closes a connection that no slot holds any more.
func (p *pool) bury(c *conn) {
	p.closing++
	go func() {
		c.close()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.closing--
		p.signalDrained()
	}()
}

// evict has the tenants forget slot i; only those that wait keep their home there.
func (p *pool) evict(i int) {
	s := &p.slots[i]
	kept := s.lanes[:0]
	for _, l := range s.lanes {
		l.served &^= 1 << i
		if l.first != nil && l.homes&(1<<i) != 0 {
			kept = append(kept, l)
			continue
		}
		l.homes &^= 1 << i
		p.forgetIfIdle(l)
	}
	clear(s.lanes[len(kept):])
	s.lanes = kept
}

func (p *pool) forgetIfIdle(l *lane) {
	if l.idle() && p.lanes[l.tenant] == l {
		delete(p.lanes, l.tenant)
	}
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

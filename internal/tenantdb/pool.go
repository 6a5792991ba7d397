package tenantdb

import (
	"context"
	"errors"
	"math/bits"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
)

const (
	// stuckAfter is how long a request holds a connection before the tenants at home there are served by others, even
	// if those have tenants of their own waiting.
	stuckAfter = 50 * time.Millisecond

	// A request may go elsewhere when it has waited spillHolds times as long as a request holds a connection on
	// average: its home is then not just busy. It is at least SpillDelay and at most spillMost times that.
	spillHolds = 16
	spillMost  = 10

	// holdWeight is the weight of one request in the moving average of how long a connection is held.
	holdWeight = 1.0 / 64
)

var errPoolClosed = errors.New("tenantdb: closed")

// pool is the connections to one cluster. Each tenant has a home among them, where its requests go and wait; the
// statements and catalogs of its schema are then cached once, not on every connection. A request goes elsewhere only
// to a connection that has served its tenant before and is idle, or after a wait. A connection that falls idle serves
// the waiting tenant, of those at home there, that was served longest ago.
//
// Turns alone do not keep a tenant whose statements are slow from holding every connection. So one that holds some gets
// another only while more than that are free: of eight it holds four at most, and leaves four to others; a second one of
// the kind two, a third and a fourth one each.
type pool struct {
	ctx     context.Context // of connections, which outlive the requests that they are opened for
	cluster string
	config  *pgconn.Config
	limits  Config
	waiters sync.Pool

	mu       sync.Mutex
	slots    []slot
	idle     uint64 // the set of slots in state slotIdle
	busy     int    // slots in state slotBusy
	open     int    // slots that hold a connection
	opening  int    // connections on their way in
	closing  int    // connections on their way out
	lanes    map[tenant.Name]*lane
	ring     ring
	waiting  int
	hold     time.Duration // moving average of how long a request holds a connection
	spill    *time.Timer
	spilling bool // the timer runs
	janitor  *time.Timer
	lastErr  error // of the last attempt to connect; nil after a success
	closed   bool
	drained  chan struct{} // closed when a closed pool has no connection left

	counts counts
}

// counts are what the pool has done since it was opened.
type counts struct {
	acquired, waited, foreign, opened, recycled, discarded int64
	waitTime                                               time.Duration
}

func newPool(ctx context.Context, cluster string, limits Config) (*pool, error) {
	config, err := limits.connConfig(limits.Clusters[cluster])
	if err != nil {
		return nil, err
	}
	p := &pool{
		ctx: ctx, cluster: cluster, config: config, limits: limits,
		waiters: sync.Pool{New: newWaiter},
		slots:   make([]slot, limits.MaxConns),
		lanes:   make(map[tenant.Name]*lane),
		drained: make(chan struct{}),
	}
	p.spill = time.AfterFunc(time.Hour, p.serveElsewhere)
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
		if !c.suspect || c.answers(ctx) {
			return c, nil
		}
		c.broken = true
		p.release(c, n)
	}
	return nil, unavailable(errors.New("no connection stays open"))
}

// ping has the server end an empty batch.
func (p *pool) ping(ctx context.Context) error {
	c, err := p.acquire(ctx, "")
	if err != nil {
		return err
	}
	defer p.release(c, "")
	t := c.start(ctx)
	err = t.sync()
	return t.end(err)
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
		l = &lane{tenant: n, home: noHome}
		p.lanes[n] = l
	}
	if c := p.free(l); c != nil {
		p.mu.Unlock()
		return c, nil
	}
	if err := p.refusal(l); err != nil {
		p.mu.Unlock()
		return nil, err
	}
	w := p.waiters.Get().(*waiter)
	p.enqueue(l, w)
	p.mu.Unlock()
	return p.wait(ctx, w)
}

// free takes an idle connection that knows the tenant or is its home.
func (p *pool) free(l *lane) *conn {
	if l.home == noHome {
		l.home = p.roomiest()
		p.slots[l.home].lanes = append(p.slots[l.home].lanes, l)
	}
	if !p.mayTake(l) {
		return nil
	}
	if p.slots[l.home].state == slotIdle {
		return p.take(l, l.home, time.Now())
	}
	p.dial(l.home)
	if known := l.served & p.idle; known != 0 {
		return p.take(l, bits.TrailingZeros64(known), time.Now())
	}
	return nil
}

// mayTake says whether the lane leaves enough to the others when it gets one more connection.
func (p *pool) mayTake(l *lane) bool {
	return l.held == 0 || l.held < len(p.slots)-p.busy
}

// take gives the idle or just freed connection of slot i to a request of the lane.
func (p *pool) take(l *lane, i int, now time.Time) *conn {
	s := &p.slots[i]
	s.state = slotBusy
	p.busy++
	p.idle &^= 1 << i
	if l.served&(1<<i) == 0 {
		if l.home != i {
			s.lanes = append(s.lanes, l)
			p.counts.foreign++
		}
		l.served |= 1 << i
		s.served++
	}
	l.held++
	p.counts.acquired++
	s.conn.takenAt = now
	return s.conn
}

// refusal is why a request may not even wait; nil if it may.
func (p *pool) refusal(l *lane) error {
	if p.open == 0 && p.opening == 0 && p.lastErr != nil {
		p.evict(l.home)
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

func (p *pool) dequeue(w *waiter) {
	l := w.lane
	l.remove(w)
	p.waiting--
	if l.first == nil {
		p.ring.remove(l)
	}
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
	return grant{err: err}
}

// release takes a connection back, with whatever state it is in.
func (p *pool) release(c *conn, n tenant.Name) {
	clean := c.clean()
	now := time.Now()
	c.idleSince, c.suspect = now, false
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold += time.Duration(float64(now.Sub(c.takenAt)-p.hold) * holdWeight)
	l := p.lanes[n]
	l.held--
	p.busy--
	s := &p.slots[c.slot]
	switch {
	case !clean:
		p.counts.discarded++
		p.vacate(c.slot)
	case p.closed, s.served > p.limits.MaxTenantsPerConn, now.Sub(c.born) > p.limits.MaxConnLifetime:
		p.counts.recycled++
		p.vacate(c.slot)
	default:
		p.offer(c.slot, now)
	}
	p.forgetIfIdle(l)
}

// offer gives the connection of slot i to whoever is next, or lets it rest.
func (p *pool) offer(i int, now time.Time) {
	l := p.pick(i, now)
	if l == nil {
		p.slots[i].state = slotIdle
		p.idle |= 1 << i
		p.armSpill()
		return
	}
	w := l.first
	p.dequeue(w)
	if l.first != nil { // its turn is over
		p.ring.remove(l)
		p.ring.pushBack(l)
	}
	p.counts.waitTime += now.Sub(w.since)
	w.grant <- grant{conn: p.take(l, i, now)}
}

// pick is the lane that slot i serves next, of those that may take a connection. The one served longest ago comes first
// if its home is stuck; then, each in the order of when they were served, those at home here, those served here before,
// and those that may go anywhere.
func (p *pool) pick(i int, now time.Time) *lane {
	var longest, known, patient *lane
	patience := p.patience()
	for l := p.ring.front; l != nil; l = l.next {
		if !p.mayTake(l) {
			continue
		}
		if longest == nil {
			if longest = l; p.stuck(l, now) {
				return l
			}
		}
		switch {
		case l.home == i:
			return l
		case known == nil && l.served&(1<<i) != 0:
			known = l
		case patient == nil && now.Sub(l.first.since) >= patience:
			patient = l
		}
	}
	if known != nil {
		return known
	}
	return patient
}

// stuck says that a waiting lane's home is held by one request for a long time, or is not there.
func (p *pool) stuck(l *lane, now time.Time) bool {
	home := &p.slots[l.home]
	if home.state == slotBusy {
		return now.Sub(home.conn.takenAt) > stuckAfter
	}
	return now.Sub(l.first.since) > stuckAfter
}

// patience is how long a request waits for its home while another connection is idle.
func (p *pool) patience() time.Duration {
	return min(max(p.limits.SpillDelay, spillHolds*p.hold), spillMost*p.limits.SpillDelay)
}

// armSpill sees to it that a waiting request is served elsewhere in time, if there is an elsewhere.
func (p *pool) armSpill() {
	if p.spilling || p.closed || p.ring.front == nil || p.idle == 0 && p.open+p.opening == len(p.slots) {
		return
	}
	p.spilling = true
	p.spill.Reset(p.patience())
}

// serveElsewhere runs a while after requests began to wait beside idle or unopened slots.
func (p *pool) serveElsewhere() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spilling = false
	now := time.Now()
	for rest := p.idle; rest != 0; rest &= rest - 1 {
		p.offer(bits.TrailingZeros64(rest), now)
	}
	if p.ring.front != nil && p.idle == 0 && p.opening == 0 {
		p.dialAnother(now)
	}
	p.armSpill()
}

func (p *pool) forgetIfIdle(l *lane) {
	if l.idle() && p.lanes[l.tenant] == l {
		delete(p.lanes, l.tenant)
	}
}

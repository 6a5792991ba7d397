package tenantdb

import (
	"time"

	"circle15.dev/internal/tenant"
)

// noHome is the home of a lane that has none yet.
const noHome = -1

// lane is one tenant as a pool sees it: the connections that know it, what it holds, and who waits.
type lane struct {
	tenant tenant.Name

	home   int    // the slot where its requests go first, or noHome
	served uint64 // the set of slots whose present connection has served it
	held   int    // connections its requests hold now

	first, last *waiter // its waiting requests, oldest first
	waiting     int

	prev, next *lane // its place among the lanes with waiters
	inRing     bool
}

// idle says that nothing is known of the tenant that is worth keeping.
func (l *lane) idle() bool { return l.home == noHome && l.served == 0 && l.held == 0 && l.first == nil }

// waiter is a request that waits for a connection.
type waiter struct {
	lane       *lane
	since      time.Time
	grant      chan grant // holds one: granting never blocks
	timer      *time.Timer
	prev, next *waiter
	queued     bool
}

// grant is how a wait ends.
type grant struct {
	conn *conn
	err  error
}

func newWaiter() any {
	w := &waiter{grant: make(chan grant, 1), timer: time.NewTimer(time.Hour)}
	w.timer.Stop()
	return w
}

func (l *lane) push(w *waiter) {
	w.lane, w.prev, w.next, w.queued = l, l.last, nil, true
	if l.last != nil {
		l.last.next = w
	} else {
		l.first = w
	}
	l.last = w
	l.waiting++
}

func (l *lane) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.last = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	l.waiting--
}

// ring is the lanes with waiters, the least recently served first: taking turns is what keeps a tenant with a
// thousand requests from starving one with a single request.
type ring struct{ front, back *lane }

func (r *ring) pushBack(l *lane) {
	l.prev, l.next, l.inRing = r.back, nil, true
	if r.back != nil {
		r.back.next = l
	} else {
		r.front = l
	}
	r.back = l
}

func (r *ring) remove(l *lane) {
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		r.front = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	} else {
		r.back = l.prev
	}
	l.prev, l.next, l.inRing = nil, nil, false
}

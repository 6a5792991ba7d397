// Package cluster keeps the operator's connections to the PostgreSQL clusters that DatabaseCluster objects name.
package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"circle15.dev/operator/provision"
)

// ErrUnknown says that no DatabaseCluster of the name is prepared (yet).
var ErrUnknown = errors.New("the database cluster is not prepared")

// Handle is a prepared cluster. Work on its tenants goes through Do, which bounds how much runs at once.
type Handle struct {
	Provisioner *provision.Provisioner
	Class       string
	Capacity    int32

	slots   chan struct{}
	version string // resource versions of what it was opened from
	seen    sightings
}

// workLimit bounds one piece of work, waiting for a place included: a cluster that hangs must not hold all workers.
const workLimit = 2 * time.Minute

// Do runs work when one of the cluster's few places is free, so that thousands of new tenants do not crowd a
// PostgreSQL out.
func (h *Handle) Do(ctx context.Context, work func(ctx context.Context, p *provision.Provisioner) error) error {
	ctx, cancel := context.WithTimeout(ctx, workLimit)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.slots }()
	return work(ctx, h.Provisioner)
}

// Pool holds the prepared clusters by name. It is safe for concurrent use.
type Pool struct {
	mu       sync.RWMutex
	clusters map[string]*Handle
	opened   chan struct{}            // has room for one
	tried    map[string]chan struct{} // closed at the first attempt to open the cluster, whatever came of it
	leaving  map[string]bool          // those that are being deleted
	placing  map[string]int           // tenants being placed on the cluster, whose status does not tell yet
}

// NewPool returns an empty pool.
func NewPool() *Pool {
	return &Pool{
		clusters: map[string]*Handle{}, opened: make(chan struct{}, 1), tried: map[string]chan struct{}{},
		leaving: map[string]bool{}, placing: map[string]int{},
	}
}

// Place says whether a tenant may be placed on the cluster. If so, the cluster is not let go before placed is called, by
// when the tenant's status must tell where it is.
func (p *Pool) Place(name string) (placed func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leaving[name] {
		return func() {}, false
	}
	p.placing[name]++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.placing[name]--; p.placing[name] == 0 {
			delete(p.placing, name)
		}
	}), true
}

// Leaving says whether the cluster is being deleted, so that no tenant may be placed on it.
func (p *Pool) Leaving(name string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.leaving[name]
}

// leave keeps new tenants off the cluster, and says whether one is being placed on it just now.
func (p *Pool) leave(name string) (placing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving[name] = true
	return p.placing[name] > 0
}

// AwaitFirstAttempt waits until the operator has tried to open the cluster once since it started. Before that, the
// absence of the cluster from the pool says nothing about it.
func (p *Pool) AwaitFirstAttempt(ctx context.Context, name string) error {
	select {
	case <-p.attempt(name):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Pool) attempt(name string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tried[name] == nil {
		p.tried[name] = make(chan struct{})
	}
	return p.tried[name]
}

// attempted is called by the one controller that opens clusters; it never works on one object twice at a time.
func (p *Pool) attempted(name string) {
	tried := p.attempt(name)
	select {
	case <-tried:
	default:
		close(tried)
	}
}

// Get returns a prepared cluster, or ErrUnknown.
func (p *Pool) Get(name string) (*Handle, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if h, ok := p.clusters[name]; ok {
		return h, nil
	}
	return nil, ErrUnknown
}

// Names are the prepared clusters, sorted.
func (p *Pool) Names() []string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.Sorted(maps.Keys(p.clusters))
}

// put replaces the cluster of that name and closes the one before, once its work is done.
func (p *Pool) put(name string, h *Handle) {
	p.mu.Lock()
	before := p.clusters[name]
	p.clusters[name] = h
	p.mu.Unlock()
	retire(before)
	select {
	case p.opened <- struct{}{}:
	default: // told already
	}
}

// Opened gives a value after clusters were opened, for one listener.
func (p *Pool) Opened() <-chan struct{} { return p.opened }

// remove forgets a cluster.
func (p *Pool) remove(name string) {
	p.mu.Lock()
	before := p.clusters[name]
	delete(p.clusters, name)
	delete(p.leaving, name)
	p.mu.Unlock()
	retire(before)
}

// Close gives up every connection.
func (p *Pool) Close() {
	for _, name := range p.Names() {
		p.remove(name)
	}
}

func retire(h *Handle) {
	if h == nil {
		return
	}
	go func() {
		for range cap(h.slots) { // every place free: nobody works on it any more
			h.slots <- struct{}{}
		}
		h.Provisioner.Close()
	}()
}

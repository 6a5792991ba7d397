package authz

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
)

// Channel is the NOTIFY channel on which a tenant's schema tells that its policy has changed; the payload is
// "<schema>:<version>".
const Channel = "circle15_policy"

const (
	rememberTenants = 4096            // snapshots in memory, about 32 KiB each for a hundred subjects
	loadTimeout     = 5 * time.Second // of reading a policy
	trustInDoubt    = 800 * time.Millisecond
	trustAtMost     = time.Minute
	// A gap in the notifications leaves doubt for as long as another report of it may take to come.
	doubtAfterGap = 5 * time.Second
)

// Policies answers for all tenants with snapshots of their policies. A change of a policy counts within a second: the
// database tells of it, and when it may have failed to, a snapshot is held against the policy's version before use.
// It is safe for concurrent use.
type Policies struct {
	db       *tenantdb.DB
	compiler *Compiler
	tenants  *lru.Cache[tenant.Name, *entry]
	start    time.Time
	gap      atomic.Int64 // when notifications may last have been missed, since start

	replica       string                   // the name under which policies are acknowledged; empty: they are not
	acknowledgers map[string]*acknowledger // by cluster
	running       sync.WaitGroup
}

// Option changes what NewPolicies makes.
type Option func(*Policies)

// AcknowledgeAs has the policies tell each cluster, under the name of this replica, by which versions they decide. No
// other process may have the name.
func AcknowledgeAs(replica string) Option {
	return func(p *Policies) { p.replica = replica }
}

// entry is a tenant in memory. Changes counts the notifications about it, so that a snapshot read before one is known
// for what it is. Readings are of the entry, not of the tenant: one of an entry that was dropped from memory has not
// heard of the notifications since.
type entry struct {
	changes atomic.Uint64
	loaded  atomic.Pointer[loaded]
	loading singleflight.Group
}

// loaded is a snapshot, how many changes had been told when its reading began, and when it last was the newest.
type loaded struct {
	snapshot *Snapshot
	changes  uint64
	checked  time.Duration // since start
}

// NewPolicies returns the policies in the tenants' schemas, and follows their changes until ctx ends or db is closed.
func NewPolicies(ctx context.Context, db *tenantdb.DB, options ...Option) (*Policies, error) {
	tenants, err := lru.New[tenant.Name, *entry](rememberTenants)
	if err != nil {
		return nil, err
	}
	p := &Policies{db: db, compiler: NewCompiler(), tenants: tenants, start: time.Now(), acknowledgers: map[string]*acknowledger{}}
	for _, option := range options {
		option(p)
	}
	if p.replica != "" {
		for _, r := range db.Replicas(p.replica) {
			p.acknowledgers[r.Cluster()] = newAcknowledger(r, p.distrust)
		}
	}
	if err := db.Listen(ctx, Channel, p.changed, p.missed); err != nil {
		return nil, err
	}
	for _, a := range p.acknowledgers {
		p.running.Go(func() { a.run(ctx) })
	}
	return p, nil
}

// Wait returns after the context of NewPolicies has ended and each cluster was told that this replica stops, within
// seconds. The database must not be closed before.
func (p *Policies) Wait() { p.running.Wait() }

// changed notes that the policy of a schema is another now. It is acknowledged after that: from here on no request
// begins to decide by an older one.
func (p *Policies) changed(cluster, payload string) {
	schema, name, version := parseChange(payload)
	if e, ok := p.tenants.Peek(name); ok {
		e.changes.Add(1)
	}
	if a := p.acknowledgers[cluster]; a != nil {
		a.changed(schema, version)
	}
}

// missed notes that notifications of a cluster may have been missed.
func (p *Policies) missed(cluster string) {
	p.distrust()
	if a := p.acknowledgers[cluster]; a != nil {
		a.missed()
	}
}

// distrust has every snapshot read before now held against its version before the next use. Several callers may come at
// once: the latest time stays.
func (p *Policies) distrust() {
	now := int64(p.now())
	for {
		last := p.gap.Load()
		if last >= now || p.gap.CompareAndSwap(last, now) {
			return
		}
	}
}

// Authorize decides whether the principal may take the action on the resource of the tenant, and on which rows. Errors:
// Denied; Suspended; Unavailable or Timeout when the policy cannot be read.
func (p *Policies) Authorize(ctx context.Context, who authn.Principal, t tenant.Name, resource, action string) (Scope, error) {
	if !slices.Contains(who.Tenants, string(t)) {
		return Scope{}, apierr.New(apierr.Denied, "the token is not for this tenant")
	}
	s, err := p.Snapshot(ctx, t)
	if err != nil {
		return Scope{}, err
	}
	scope, allowed := s.Decide(who.Subject, resource, action)
	if !allowed {
		// Nobody is turned away by an old policy: who was given a role a moment ago has it.
		if s, err = p.newestFor(ctx, t, checkedSince); err != nil {
			return Scope{}, err
		}
		scope, allowed = s.Decide(who.Subject, resource, action)
	}
	if !allowed {
		return Scope{}, apierr.New(apierr.Denied, "this needs the permission %s:%s", resource, action)
	}
	return scope, nil
}

// Snapshot is the tenant's policy as it was less than a second ago. Errors as of Authorize, without Denied for want of
// a rule.
func (p *Policies) Snapshot(ctx context.Context, t tenant.Name) (*Snapshot, error) {
	return p.newestFor(ctx, t, p.trusted)
}

// newestFor is the snapshot at hand if it may be taken for the newest, else one that is read now.
func (p *Policies) newestFor(ctx context.Context, t tenant.Name, trusted func(l *loaded, asked time.Duration) bool) (*Snapshot, error) {
	e := p.entry(t)
	asked, changes := p.now(), e.changes.Load()
	if l := e.loaded.Load(); l != nil && l.changes == changes && trusted(l, asked) {
		return l.snapshot, nil
	}
	for {
		l, err := p.refresh(ctx, t, e)
		if err != nil {
			return nil, err
		}
		// A refresh that another request began before this one asked may be too old; the next is not.
		if l.changes >= changes && trusted(l, asked) {
			return l.snapshot, nil
		}
	}
}

func (p *Policies) entry(t tenant.Name) *entry {
	if e, ok := p.tenants.Get(t); ok {
		return e
	}
	e := &entry{}
	if other, ok, _ := p.tenants.PeekOrAdd(t, e); ok {
		return other
	}
	return e
}

func (p *Policies) now() time.Duration { return time.Since(p.start) }

// checkedSince says whether the snapshot was known to be the newest after the request began.
func checkedSince(l *loaded, asked time.Duration) bool { return l.checked >= asked }

// trusted says whether the snapshot can be taken for the newest without asking.
func (p *Policies) trusted(l *loaded, now time.Duration) bool {
	gap, age := time.Duration(p.gap.Load()), now-l.checked
	switch {
	case checkedSince(l, now):
		return true
	case l.checked < gap:
		return false
	case now-gap < doubtAfterGap:
		return age < trustInDoubt
	default:
		return age < trustAtMost
	}
}

// refresh reads the policy, or only its version where a snapshot is at hand and no change was told. Requests for the
// same tenant share one reading.
func (p *Policies) refresh(ctx context.Context, t tenant.Name, e *entry) (*loaded, error) {
	reading := e.loading.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(tenant.With(context.WithoutCancel(ctx), t), loadTimeout)
		defer cancel()
		fresh := &loaded{changes: e.changes.Load(), checked: p.now()}
		var err error
		if fresh.snapshot, err = p.newest(ctx, t, e.loaded.Load(), fresh.changes); err != nil {
			return nil, err
		}
		e.loaded.Store(fresh)
		return fresh, nil
	})
	select {
	case result := <-reading:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*loaded), nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, apierr.New(apierr.Timeout, "the tenant's policy could not be read in time").Cause(ctx.Err())
		}
		return nil, apierr.New(apierr.Canceled, "the request was cancelled").Cause(ctx.Err())
	}
}

// newest is the snapshot at hand if it still has the policy's version, else one of the policy as it is now.
func (p *Policies) newest(ctx context.Context, t tenant.Name, held *loaded, changes uint64) (*Snapshot, error) {
	if held != nil && held.changes == changes {
		version, err := readVersion(ctx, p.db)
		if err != nil {
			return nil, err
		}
		if version == held.snapshot.Version {
			return held.snapshot, nil
		}
	}
	policy, err := readPolicy(ctx, p.db, t)
	if err != nil {
		return nil, err
	}
	s, err := p.compiler.Compile(policy)
	if err != nil {
		return nil, apierr.New(apierr.Internal, "the tenant's policy cannot be compiled").Cause(err)
	}
	return s, nil
}

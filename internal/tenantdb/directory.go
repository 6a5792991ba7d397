package tenantdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
)

// ControlChannel is the channel on which the control schema tells which tenant has changed.
const ControlChannel = "circle15_control"

// RequiredSchema is the version of a tenant's schema that the services' statements need. The last migration of
// operator/provision must bring a schema there; a test holds the two together.
const RequiredSchema = 8

// States of a tenant that are served (circle15.tenants.state). In all others a tenant is as if it did not exist.
const (
	StateActive    = "active"
	StateSuspended = "suspended"

	// stateContested is no state of the table: more than one cluster serves the tenant.
	stateContested = "contested"
)

// Placement is where a tenant is and how it is.
type Placement struct {
	Tenant        tenant.Name
	Cluster       string // the name in Config.Clusters
	State         string // StateActive, StateSuspended or one that is not served
	SchemaVersion int    // the last migration of its schema
	DivisionCode  string // six digits (GB/T 2260): where its stations lie
	// RequestsPerSecond is the tenant's quota on one replica of the services; 0 for none of its own.
	RequestsPerSecond int
	Quotas            Quotas
}

// entry is a placement with what a transaction needs of it.
type entry struct {
	Placement
	role     string
	outdated bool // its schema is older than RequiredSchema
}

func newEntry(p Placement) *entry {
	return &entry{Placement: p, role: p.Tenant.Role(), outdated: p.SchemaVersion < RequiredSchema}
}

// served says whether the tenant is one of this cluster, be it suspended.
func (e *entry) served() bool {
	return e.State == StateActive || e.State == StateSuspended || e.State == stateContested
}

// Directory knows every tenant's placement. A lookup reads a snapshot in memory; the snapshot follows the control
// schema of each database cluster within a second. While a cluster is away, what was last known of it stays in force.
type Directory struct {
	snapshot atomic.Pointer[map[tenant.Name]*entry]
	sources  []*source
	merging  sync.Mutex // held while what the sources know changes, and is merged into a snapshot
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// NewDirectory is a directory of fixed placements, whose schemas are taken for up to date; for tests and tools that know
// where their tenants are.
func NewDirectory(placements ...Placement) *Directory {
	d := &Directory{stop: func() {}}
	fixed := map[tenant.Name]*entry{}
	for _, p := range placements {
		p.SchemaVersion = max(p.SchemaVersion, RequiredSchema)
		fixed[p.Tenant] = newEntry(p)
	}
	d.snapshot.Store(&fixed)
	return d
}

// OpenDirectory reads circle15.tenants of each cluster with the app login at its URL, and follows them until Close. A
// cluster that does not answer is an error only if none does: its tenants are known once it does. A login that may do too
// much is an error always (LoginError).
func OpenDirectory(ctx context.Context, clusters map[string]string) (*Directory, error) {
	limits, err := Config{Clusters: clusters}.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Directory{}
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		config, err := limits.connConfig(clusters[name])
		if err != nil {
			return nil, fmt.Errorf("tenantdb: the URL of database cluster %q: %w", name, err)
		}
		d.sources = append(d.sources, &source{directory: d, cluster: name, config: config, known: map[tenant.Name]*entry{}})
	}
	d.merge()
	if err := d.Refresh(ctx); err != nil {
		return nil, err
	}
	ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, s := range d.sources {
		l := newListener(s.cluster, s.config, ControlChannel)
		l.missed = s.reloadAll
		l.notified = s.reloadSome
		d.running.Go(func() { l.run(ctx) })
	}
	return d, nil
}

// Refresh reads the control schemas now, for a caller that has just changed one and cannot wait for the news. The error
// is that no cluster answers, or that the login of one may do too much.
func (d *Directory) Refresh(ctx context.Context) error {
	var failed error
	answered := len(d.sources) == 0
	for _, s := range d.sources {
		err := s.refresh(ctx)
		if _, mighty := errors.AsType[*LoginError](err); mighty {
			return err
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("tenantdb: the tenants of database cluster %q cannot be read: %w", s.cluster, err))
			continue
		}
		answered = true
	}
	if !answered {
		return failed
	}
	if failed != nil {
		slog.WarnContext(ctx, "tenantdb: a database cluster does not answer; its tenants are served when it does", "error", failed)
	}
	return nil
}

// Close stops following the control schema; lookups go on with the last snapshot.
func (d *Directory) Close() {
	d.stop()
	d.running.Wait()
}

// Lookup is the tenant's placement, in whatever state it is.
func (d *Directory) Lookup(n tenant.Name) (Placement, bool) {
	e := (*d.snapshot.Load())[n]
	if e == nil {
		return Placement{}, false
	}
	return e.Placement, true
}

// All is every tenant's placement, by name.
func (d *Directory) All() []Placement {
	snapshot := *d.snapshot.Load()
	all := make([]Placement, 0, len(snapshot))
	for _, e := range snapshot {
		all = append(all, e.Placement)
	}
	slices.SortFunc(all, func(a, b Placement) int { return strings.Compare(string(a.Tenant), string(b.Tenant)) })
	return all
}

// Outdated counts the active tenants whose schemas are older than the services need.
func (d *Directory) Outdated() int {
	n := 0
	for _, e := range *d.snapshot.Load() {
		if e.State == StateActive && e.outdated {
			n++
		}
	}
	return n
}

// serving is the entry of a tenant that may be served. A tenant that is unknown, still being made, being deleted or
// put away gets the same answer, which tells nothing.
func (d *Directory) serving(n tenant.Name) (*entry, error) {
	e := (*d.snapshot.Load())[n]
	switch {
	case e != nil && e.State == StateActive && e.outdated:
		return nil, apierr.New(apierr.Unavailable, "the tenant's data are being upgraded; try again in a minute")
	case e != nil && e.State == StateActive:
		return e, nil
	case e != nil && e.State == StateSuspended:
		return nil, apierr.New(apierr.Suspended, "the tenant is suspended")
	}
	return nil, apierr.New(apierr.Denied, "this tenant is not served here")
}

// merge makes a snapshot of what is known of the clusters. A name that was put away on one cluster and is served on
// another is the latter. If two serve it, something is badly wrong, and neither may: it is not for guessing whose rows a
// request sees. The lock merging is held, but before the directory is anybody's.
func (d *Directory) merge() {
	next := map[tenant.Name]*entry{}
	for _, s := range d.sources {
		for n, e := range s.known {
			other := next[n]
			switch {
			case other == nil || !other.served():
				next[n] = e
			case e.served():
				slog.Error("tenantdb: a tenant is on two database clusters, and served on neither",
					"tenant", n, "cluster", other.Cluster, "other", e.Cluster)
				next[n] = &entry{Placement: Placement{Tenant: n, Cluster: e.Cluster, State: stateContested}}
			}
		}
	}
	d.snapshot.Store(&next)
}

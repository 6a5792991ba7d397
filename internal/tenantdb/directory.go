package tenantdb

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
)

// ControlChannel is the channel on which the control schema tells which tenant has changed.
const ControlChannel = "circle15_control"

// States of a tenant that are served (circle15.tenants.state). In all others a tenant is as if it did not exist.
const (
	StateActive    = "active"
	StateSuspended = "suspended"
)

// Placement is where a tenant is and how it is.
type Placement struct {
	Tenant        tenant.Name
	Cluster       string
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
	role string
}

// Directory knows every tenant's placement. A lookup reads a snapshot in memory; the snapshot follows the control
// schema within a second. While the control database is away, the last snapshot stays in force.
type Directory struct {
	snapshot atomic.Pointer[map[tenant.Name]*entry]
	loading  sync.Mutex // held from reading the table to storing the snapshot, lest an older reading replaces a newer one
	config   *pgconn.Config
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// NewDirectory is a directory of fixed placements; for tests and tools that know where their tenants are.
func NewDirectory(placements ...Placement) *Directory {
	d := &Directory{stop: func() {}}
	d.put(nil, placements)
	return d
}

// OpenDirectory reads circle15.tenants with the app login at controlURL and follows it until Close.
func OpenDirectory(ctx context.Context, controlURL string) (*Directory, error) {
	limits, err := Config{Clusters: map[string]string{"control": controlURL}}.withDefaults()
	if err != nil {
		return nil, err
	}
	config, err := limits.connConfig(controlURL)
	if err != nil {
		return nil, fmt.Errorf("tenantdb: the control database's URL: %w", err)
	}
	d := &Directory{config: config}
	if err := d.Refresh(ctx); err != nil {
		return nil, err
	}
	l := newListener("control", config, ControlChannel)
	l.missed = d.reloadAll
	l.notified = d.reloadSome
	ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	d.running.Go(func() { l.run(ctx) })
	return d, nil
}

// Refresh reads the control schema now, for a caller that has just changed it and cannot wait for the news.
func (d *Directory) Refresh(ctx context.Context) error {
	if d.config == nil {
		return nil
	}
	pg, err := connect(ctx, d.config)
	if err == nil {
		defer closeQuietly(ctx, pg)
		err = d.reloadAll(ctx, pg)
	}
	if err != nil {
		return fmt.Errorf("tenantdb: the tenants cannot be read from the control database: %w", err)
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

// serving is the entry of a tenant that may be served. A tenant that is unknown, still being made, being deleted or
// put away gets the same answer, which tells nothing.
func (d *Directory) serving(n tenant.Name) (*entry, error) {
	e := (*d.snapshot.Load())[n]
	switch {
	case e != nil && e.State == StateActive:
		return e, nil
	case e != nil && e.State == StateSuspended:
		return nil, apierr.New(apierr.Suspended, "the tenant is suspended")
	}
	return nil, apierr.New(apierr.Denied, "this tenant is not served here")
}

// put makes a snapshot of the placements; with names, of the present one in which the names have been replaced.
func (d *Directory) put(names []string, placements []Placement) {
	next := make(map[tenant.Name]*entry, len(placements))
	if names != nil {
		next = maps.Clone(*d.snapshot.Load())
		for _, n := range names {
			delete(next, tenant.Name(n))
		}
	}
	for _, p := range placements {
		next[p.Tenant] = &entry{Placement: p, role: p.Tenant.Role()}
	}
	d.snapshot.Store(&next)
}

const selectPlacements = "select name, cluster, state, schema_version::text, coalesce(requests_per_second, 0)::text, division_code," +
	" max_stations::text, max_staff::text, max_residents::text from circle15.tenants"

func (d *Directory) reloadAll(ctx context.Context, pg *pgconn.PgConn) error {
	d.loading.Lock()
	defer d.loading.Unlock()
	placements, err := readPlacements(ctx, pg, selectPlacements)
	if err != nil {
		return err
	}
	d.put(nil, placements)
	return nil
}

func (d *Directory) reloadSome(ctx context.Context, pg *pgconn.PgConn, names []string) error {
	d.loading.Lock()
	defer d.loading.Unlock()
	placements, err := readPlacements(ctx, pg, selectPlacements+" where name = any(string_to_array($1, ' '))", strings.Join(names, " "))
	if err != nil {
		return err
	}
	d.put(names, placements)
	return nil
}

func readPlacements(ctx context.Context, pg *pgconn.PgConn, sql string, args ...string) ([]Placement, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	result := pg.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	placements := make([]Placement, 0, len(result.Rows))
	for _, row := range result.Rows {
		n, err := tenant.ParseName(string(row[0]))
		if err != nil {
			slog.Error("tenantdb: the control schema lists a tenant whose name is not valid", "error", err)
			continue
		}
		version, err := strconv.Atoi(string(row[3]))
		if err != nil {
			return nil, err
		}
		rate, err := strconv.Atoi(string(row[4]))
		if err != nil {
			return nil, err
		}
		quotas, err := parseQuotas(row[6], row[7], row[8])
		if err != nil {
			return nil, err
		}
		placements = append(placements, Placement{
			Tenant: n, Cluster: string(row[1]), State: string(row[2]), SchemaVersion: version, RequestsPerSecond: rate,
			DivisionCode: string(row[5]), Quotas: quotas,
		})
	}
	return placements, nil
}

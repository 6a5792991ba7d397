package authz

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
)

// Compiler turns policies into snapshots. It remembers what casbin said of a role's rules, and tenants with the same
// rules share the answers, as nearly all do. It is safe for concurrent use.
type Compiler struct {
	tables *lru.Cache[digest, *table]
	shapes *lru.Cache[string, *shape] // by the digests of their tables
}

// NewCompiler returns a Compiler that remembers a bounded number of answers (about 1 KiB each).
func NewCompiler() *Compiler {
	tables, err := lru.New[digest, *table](1024)
	if err != nil {
		panic(err) // the size is positive
	}
	shapes, err := lru.New[string, *shape](4096)
	if err != nil {
		panic(err)
	}
	return &Compiler{tables, shapes}
}

// Compile returns the snapshot of the policy. Errors come from casbin alone, and none is expected.
func (c *Compiler) Compile(p Policy) (*Snapshot, error) {
	rules := map[string][]Rule{}
	for _, r := range append(slices.Clone(p.Rules), everyonesRules()...) {
		rules[r.Role] = append(rules[r.Role], r)
	}
	grants := map[string][]Grant{}
	for _, g := range p.Grants {
		if g.Role != Everyone {
			grants[g.Subject] = append(grants[g.Subject], g)
		}
	}
	compiling := compilation{compiler: c, policy: p, rules: rules, tables: map[string]*table{}}
	s := &Snapshot{Tenant: p.Tenant, Version: p.Version, holders: make(map[string][]epoch, len(grants))}
	for subject, held := range grants {
		epochs, err := compiling.epochs(held)
		if err != nil {
			return nil, err
		}
		s.holders[subject] = epochs
	}
	everyone, err := compiling.epochs(nil)
	if err != nil {
		return nil, err
	}
	s.everyone = everyone
	return s, nil
}

// compilation is the work on one policy.
type compilation struct {
	compiler *Compiler
	policy   Policy
	rules    map[string][]Rule // by role
	tables   map[string]*table // by role
}

// epochs divides time where grants of one subject expire.
func (c *compilation) epochs(grants []Grant) ([]epoch, error) {
	var ends []time.Time
	for _, g := range grants {
		if g.Expires != nil {
			ends = append(ends, *g.Expires)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	ends = append(slices.CompactFunc(ends, time.Time.Equal), time.Time{})

	epochs := make([]epoch, 0, len(ends))
	for i, end := range ends {
		active := slices.DeleteFunc(slices.Clone(grants), func(g Grant) bool { return i > 0 && !g.active(ends[i-1]) })
		e, err := c.epoch(active)
		if err != nil {
			return nil, err
		}
		e.until = end
		epochs = append(epochs, e)
	}
	return epochs, nil
}

// epoch is what the grants together allow.
func (c *compilation) epoch(grants []Grant) (epoch, error) {
	roles := []string{Everyone}
	for _, g := range grants {
		roles = append(roles, g.Role)
	}
	slices.Sort(roles)
	roles = slices.Compact(roles)

	tables := make([]*table, 0, len(roles))
	for _, role := range roles {
		t, err := c.table(role)
		if err != nil {
			return epoch{}, err
		}
		tables = append(tables, t)
	}
	shape := c.compiler.shape(tables)
	scopes := make([]Scope, 0, len(shape.outcomes))
	for _, o := range shape.outcomes {
		scope := Scope{Level: o.level}
		if o.level.byStation() {
			scope.Stations = stationsOf(grants, roles, o.roles)
		}
		scopes = append(scopes, scope)
	}
	return epoch{shape: shape, scopes: scopes}, nil
}

// stationsOf are the stations of the grants of the roles (indexes into names), sorted, without repeats, never nil.
func stationsOf(grants []Grant, names []string, roles []int) []uuid.UUID {
	stations := []uuid.UUID{}
	for _, g := range grants {
		if g.Station != nil && slices.ContainsFunc(roles, func(i int) bool { return names[i] == g.Role }) {
			stations = append(stations, *g.Station)
		}
	}
	slices.SortFunc(stations, func(a, b uuid.UUID) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Clip(slices.Compact(stations))
}

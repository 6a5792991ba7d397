// Package authz decides who may do what, and on which rows: casbin's answers to the tenants' own policies, compiled
// into snapshots. README.md has the model, the standard roles and the measurements.
package authz

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// Level is how far a permission reaches.
type Level string

// The levels, narrowest first.
const (
	LevelAggregate Level = "aggregate" // sums only, never a row
	LevelOwn       Level = "own"       // rows of the subject's stations that the subject recorded
	LevelStation   Level = "station"   // rows of the subject's stations
	LevelTenant    Level = "tenant"    // every row of the tenant
)

// Scope is the data scope of an allowed request: which rows of the tenant it may touch. The zero Scope touches none.
type Scope struct {
	Level    Level
	Stations []uuid.UUID // for LevelOwn and LevelStation: the stations of the grants, never nil
	Subject  string      // who asks
}

// StationIDs is the SQL parameter of the predicate "($n::uuid[] IS NULL OR station_id = ANY($n))":
// nil for the whole tenant, else the stations, empty for none.
func (s Scope) StationIDs() []uuid.UUID {
	switch {
	case s.Level == LevelTenant:
		return nil
	case s.Stations == nil || s.Level == LevelAggregate:
		return []uuid.UUID{}
	default:
		return s.Stations
	}
}

// Owner is the SQL parameter of the predicate "($n::text IS NULL OR created_by = $n)": the subject for LevelOwn.
func (s Scope) Owner() *string {
	if s.Level == LevelOwn {
		return &s.Subject
	}
	return nil
}

// Covers says whether a row of the station may be written.
func (s Scope) Covers(station uuid.UUID) bool {
	if s.Level == LevelTenant {
		return true
	}
	return slices.Contains(s.StationIDs(), station)
}

type scopeKey struct{}

// WithScope returns a context that carries the decision's scope.
func WithScope(ctx context.Context, s Scope) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// ScopeFrom is the scope of the decided request; the zero Scope, which reaches nothing, where none was decided.
func ScopeFrom(ctx context.Context) Scope {
	s, _ := ctx.Value(scopeKey{}).(Scope)
	return s
}

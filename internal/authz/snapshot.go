package authz

import (
	"time"

	"circle15.dev/internal/tenant"
)

// Snapshot is one version of a tenant's policy, compiled: what casbin answers, looked up in tables. It is immutable.
type Snapshot struct {
	Tenant  tenant.Name
	Version int64

	holders  map[string][]epoch // by subject
	everyone []epoch            // of subjects without a grant
}

// epoch is a time in which no grant of a subject expires.
type epoch struct {
	until  time.Time // exclusive; zero for ever
	shape  *shape
	scopes []Scope // of the shape's outcomes, without the subject
}

// Decide says whether the subject may take the action on the resource now, and on which rows. The stations of the
// scope are shared and must not be changed.
func (s *Snapshot) Decide(subject, resource, action string) (Scope, bool) {
	return s.DecideAt(subject, resource, action, time.Now())
}

// DecideAt is Decide for another time; grants expire at it.
func (s *Snapshot) DecideAt(subject, resource, action string, at time.Time) (Scope, bool) {
	epochs, ok := s.holders[subject]
	if !ok {
		epochs = s.everyone
	}
	e := &epochs[0]
	for i := 1; i < len(epochs) && !at.Before(e.until); i++ {
		e = &epochs[i]
	}
	number := e.shape.numbers[e.shape.cell(resource, action)]
	if number == 0 {
		return Scope{}, false
	}
	scope := e.scopes[number-1]
	scope.Subject = subject
	return scope, true
}

package visits

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/ids"
)

// state is where a visit stands, as stored.
type state string

const (
	planned   state = "PLANNED"
	completed state = "COMPLETED"
	cancelled state = "CANCELLED"
	void      state = "VOID"
)

// moves are the states that follow a state; cancelled and void are final.
var moves = map[state][]state{planned: {completed, cancelled}, completed: {void}}

// to moves a visit to the next state; Conflict where that does not follow.
func (s state) to(next state) (state, error) {
	if !slices.Contains(moves[s], next) {
		return s, apierr.New(apierr.Conflict, "a visit in state %s cannot become %s", s, next)
	}
	return next, nil
}

// changeable says whether the content may be changed: that of a plan, and that of a visit as recorded.
func (s state) changeable() error {
	if s != planned && s != completed {
		return apierr.New(apierr.Conflict, "a visit in state %s cannot be changed", s)
	}
	return nil
}

// kind is how a visit takes place, as stored.
type kind string

const (
	home      kind = "HOME"    // 入户探访
	phone     kind = "PHONE"   // 电话探访
	atStation kind = "STATION" // 来站
)

// content is what a client says about a visit.
type content struct {
	HouseholdID, StaffID uuid.UUID
	Kind                 kind
	Domain, Purpose      string
	PlannedDate          *time.Time
	VisitDate            *time.Time
	DurationMinutes      int32
	PersonsServed        int32 // person-times (人次)
	ResidentIDs          []uuid.UUID
	Findings             string
	CaseID               *uuid.UUID
	FollowUpOf           *uuid.UUID // the visit that it follows up (回访)
}

// day is the one on which the visit took place or is to take place; nil where neither is told.
func (c content) day() *time.Time {
	if c.VisitDate != nil {
		return c.VisitDate
	}
	return c.PlannedDate
}

// planned checks the content of a plan: it has a day and nothing that only the visit itself can tell. The prefix goes
// before the fields' JSON names.
func (c content) planned(prefix string) (content, error) {
	if c.PlannedDate == nil {
		return c, apierr.InvalidField(prefix+"plannedDate", "is required for a plan")
	}
	for _, field := range []struct {
		name  string
		empty bool
	}{
		{"visitDate", c.VisitDate == nil},
		{"durationMinutes", c.DurationMinutes == 0},
		{"personsServed", c.PersonsServed == 0},
		{"findings", c.Findings == ""},
	} {
		if !field.empty {
			return c, apierr.InvalidField(prefix+field.name, "is not known before the visit took place")
		}
	}
	return c, nil
}

// tookPlace checks the content of a completed visit and fills in the person-times (人次): 0 means everyone served,
// at least one.
func (c content) tookPlace(prefix string) (content, error) {
	served := max(1, int32(len(c.ResidentIDs)))
	switch {
	case c.VisitDate == nil:
		return c, apierr.InvalidField(prefix+"visitDate", "is required for a visit that took place")
	case c.DurationMinutes < 1:
		return c, apierr.InvalidField(prefix+"durationMinutes", "must be at least 1 for a visit that took place")
	case strings.TrimSpace(c.Findings) == "":
		return c, apierr.InvalidField(prefix+"findings", "is required for a visit that took place")
	case c.PersonsServed == 0:
		c.PersonsServed = served
	case c.PersonsServed < served:
		return c, apierr.InvalidField(prefix+"personsServed", "must not be less than the %d of residentIds; 0 means their number", served)
	}
	return c, nil
}

// check is planned or tookPlace, as the state asks.
func (c content) check(prefix string, s state) (content, error) {
	if s == planned {
		return c.planned(prefix)
	}
	return c.tookPlace(prefix)
}

// same says whether two visits tell the same; the order of the residents tells nothing.
func (c content) same(d content) bool {
	return c.HouseholdID == d.HouseholdID && c.StaffID == d.StaffID && c.Kind == d.Kind && c.Domain == d.Domain &&
		c.Purpose == d.Purpose && sameDay(c.PlannedDate, d.PlannedDate) && sameDay(c.VisitDate, d.VisitDate) &&
		c.DurationMinutes == d.DurationMinutes && c.PersonsServed == d.PersonsServed && c.Findings == d.Findings &&
		sameID(c.CaseID, d.CaseID) && sameID(c.FollowUpOf, d.FollowUpOf) && slices.Equal(sorted(c.ResidentIDs), sorted(d.ResidentIDs))
}

func sameDay(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

func sameID(a, b *uuid.UUID) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func sorted(list []uuid.UUID) []uuid.UUID {
	out := slices.Clone(list)
	slices.SortFunc(out, ids.Compare)
	return out
}

package registry

import (
	"time"

	"github.com/google/uuid"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/facts"
)

// The states of a need: an open one is met or void, a met one open again or void.
const (
	needOpen = "OPEN"
	needMet  = "MET"
	needVoid = "VOID"
)

// meet records that the open need was met on the day.
func (r *needRow) meet(day time.Time, outcome string) error {
	if r.State != needOpen {
		return apierr.New(apierr.Conflict, "the need is not open")
	}
	if day.Before(r.RecordedDate) {
		return apierr.InvalidField("metDate", "must not be before %s, when the need was recorded", civildate.Format(r.RecordedDate))
	}
	r.State, r.MetDate, r.Outcome = needMet, &day, outcome
	return nil
}

// reopen opens the met need again. Day and outcome are forgotten with the figure they stood for.
func (r *needRow) reopen(reason string) error {
	if r.State != needMet {
		return apierr.New(apierr.Conflict, "the need is not met")
	}
	r.State, r.MetDate, r.Outcome, r.ReopenReason = needOpen, nil, "", reason
	return nil
}

// void takes the need back.
func (r *needRow) void(reason string) error {
	if r.State == needVoid {
		return apierr.New(apierr.Conflict, "the need is void already")
	}
	r.State, r.VoidReason = needVoid, reason
	return nil
}

// countsLike says whether the facts of both are the same, but for the day on which the need was met.
func (r *needRow) countsLike(other *needRow) bool {
	return r.RecordedDate.Equal(other.RecordedDate) && r.StaffID == other.StaffID && r.Domain == other.Domain &&
		sameID(r.ResidentID, other.ResidentID)
}

// facts count the need on the day it was recorded and, once met, on the day it was met.
func (r *needRow) facts() []facts.Fact {
	if r.MetDate == nil {
		return []facts.Fact{r.fact(facts.Need, r.RecordedDate)}
	}
	return []facts.Fact{r.fact(facts.Need, r.RecordedDate), r.fact(facts.NeedMet, *r.MetDate)}
}

func (r *needRow) fact(measure facts.Measure, day time.Time) facts.Fact {
	return facts.Fact{
		Measure: measure, Date: day, Station: r.StationID, Staff: &r.StaffID, Household: &r.HouseholdID, Resident: r.ResidentID,
		Domain: r.Domain, Amount: 1, SourceType: facts.SourceNeeds, SourceID: r.ID,
	}
}

func sameID(a, b *uuid.UUID) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

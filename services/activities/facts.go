package activities

import (
	"context"
	"slices"

	"circle15.dev/internal/facts"
	"circle15.dev/internal/tenantdb"
)

// facts count a held activity (场) and its person-times (人次) on the day it was held.
func (a activityRow) facts() []facts.Fact {
	activity := facts.Fact{
		Measure: facts.Activity, Date: *a.HeldDate, Station: a.StationID, Staff: &a.StaffID, Domain: a.Domain, Amount: 1,
		SourceType: facts.SourceActivities, SourceID: a.ID,
	}
	persons := activity
	persons.Measure, persons.Amount = facts.PersonTimes, a.Attendees
	return []facts.Fact{activity, persons}
}

// counts says whether two rows of a held activity are counted alike.
func (a activityRow) counts(b activityRow) bool {
	return a.HeldDate.Equal(*b.HeldDate) && a.StaffID == b.StaffID && a.Domain == b.Domain && a.Attendees == b.Attendees
}

// fact counts the group (个) on the day it was opened.
func (g groupRow) fact() facts.Fact {
	return facts.Fact{
		Measure: facts.Group, Date: g.Opened, Station: g.StationID, Staff: &g.StaffID, Domain: g.Domain, Amount: 1,
		SourceType: facts.SourceGroups, SourceID: g.ID,
	}
}

// attendance counts each resident who attended the session as one person-time (人次).
func attendance(s sessionRow, domain string, attendees []attendee) []facts.Fact {
	out := make([]facts.Fact, 0, len(attendees))
	for _, a := range attendees {
		out = append(out, facts.Fact{
			Measure: facts.PersonTimes, Date: s.SessionDate, Station: s.StationID, Staff: &s.StaffID, Household: &a.HouseholdID,
			Resident: &a.ID, Domain: domain, Amount: 1, SourceType: facts.SourceGroupSessions, SourceID: s.ID,
		})
	}
	return out
}

// counts says whether two rows of a session are counted alike, in the same domain.
func (s sessionRow) counts(b sessionRow) bool {
	return s.SessionDate.Equal(b.SessionDate) && s.StaffID == b.StaffID && slices.Equal(s.AttendeeIDs, b.AttendeeIDs)
}

// recountGroup corrects the facts of a group whose opening, worker or domain changed; its sessions count for its domain.
func recountGroup(ctx context.Context, tx *tenantdb.Tx, was, now groupRow) error {
	if !was.Opened.Equal(now.Opened) || was.StaffID != now.StaffID || was.Domain != now.Domain {
		if err := facts.Recount(ctx, tx, facts.SourceGroups, now.ID, now.fact()); err != nil {
			return err
		}
	}
	if was.Domain == now.Domain {
		return nil
	}
	sessions, err := sessionIDs(ctx, tx, now.ID)
	if err != nil {
		return err
	}
	return facts.ChangeDomain(ctx, tx, facts.SourceGroupSessions, now.Domain, sessions...)
}

// reverseGroup takes a group and its sessions out of the figures.
func reverseGroup(ctx context.Context, tx *tenantdb.Tx, g groupRow) error {
	if err := facts.Reverse(ctx, tx, facts.SourceGroups, g.ID); err != nil {
		return err
	}
	sessions, err := sessionIDs(ctx, tx, g.ID)
	if err != nil {
		return err
	}
	for _, id := range sessions {
		if err := facts.Reverse(ctx, tx, facts.SourceGroupSessions, id); err != nil {
			return err
		}
	}
	return nil
}

package cases

import (
	"context"

	"circle15.dev/internal/facts"
	"circle15.dev/internal/tenantdb"
)

// fact counts the case (个) on the day it was opened.
func (c caseRow) fact() facts.Fact {
	return facts.Fact{
		Measure: facts.Case, Date: c.Opened, Station: c.StationID, Staff: &c.StaffID, Household: &c.HouseholdID,
		Resident: &c.ResidentID, Domain: c.Domain, Amount: 1, SourceType: facts.SourceCases, SourceID: c.ID,
	}
}

// facts count the session (节) of the case and its person-times (人次) on the day it was held.
func (s sessionRow) facts(of caseRow) []facts.Fact {
	session := facts.Fact{
		Measure: facts.CaseSession, Date: s.SessionDate, Station: of.StationID, Staff: &s.StaffID, Household: &of.HouseholdID,
		Resident: &of.ResidentID, Domain: of.Domain, Amount: 1, SourceType: facts.SourceCaseSessions, SourceID: s.ID,
	}
	persons := session
	persons.Measure, persons.Amount = facts.PersonTimes, s.PersonsServed
	return []facts.Fact{session, persons}
}

// counts says whether two rows of a session are counted alike.
func (s sessionRow) counts(b sessionRow) bool {
	return s.SessionDate.Equal(b.SessionDate) && s.StaffID == b.StaffID && s.PersonsServed == b.PersonsServed
}

// moveFigures corrects the facts of a case whose opening, worker or domain changed; its sessions count for its domain.
func moveFigures(ctx context.Context, tx *tenantdb.Tx, was, now caseRow) error {
	if !was.Opened.Equal(now.Opened) || was.StaffID != now.StaffID || was.Domain != now.Domain {
		if err := facts.Recount(ctx, tx, facts.SourceCases, now.ID, now.fact()); err != nil {
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
	return facts.ChangeDomain(ctx, tx, facts.SourceCaseSessions, now.Domain, sessions...)
}

// reverseFigures takes the case and its sessions out of the figures.
func reverseFigures(ctx context.Context, tx *tenantdb.Tx, c caseRow) error {
	if err := facts.Reverse(ctx, tx, facts.SourceCases, c.ID); err != nil {
		return err
	}
	sessions, err := sessionIDs(ctx, tx, c.ID)
	if err != nil {
		return err
	}
	for _, id := range sessions {
		if err := facts.Reverse(ctx, tx, facts.SourceCaseSessions, id); err != nil {
			return err
		}
	}
	return nil
}

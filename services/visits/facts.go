package visits

import (
	"context"

	"circle15.dev/internal/facts"
	"circle15.dev/internal/tenantdb"
)

// facts count a completed visit on its day: a home visit (户次) if it was one, and its person-times (人次). The resident
// is told where there was one.
func (v visitRow) facts() []facts.Fact {
	if v.State != completed {
		return nil
	}
	persons := facts.Fact{
		Measure: facts.PersonTimes, Date: *v.VisitDate, Station: v.StationID, Staff: &v.StaffID, Household: &v.HouseholdID,
		Domain: v.Domain, Amount: v.PersonsServed, SourceType: facts.SourceVisits, SourceID: v.ID,
	}
	if len(v.ResidentIDs) == 1 {
		persons.Resident = &v.ResidentIDs[0]
	}
	if v.Kind != home {
		return []facts.Fact{persons}
	}
	visit := persons
	visit.Measure, visit.Amount = facts.HomeVisit, 1
	return []facts.Fact{visit, persons}
}

// correctFigures reverses the facts of a visit and appends them anew, where the change touches what is counted.
func correctFigures(ctx context.Context, tx *tenantdb.Tx, was, now visitRow) error {
	if sameFacts(was.facts(), now.facts()) {
		return nil
	}
	return facts.Recount(ctx, tx, facts.SourceVisits, now.ID, now.facts()...)
}

func sameFacts(a, b []facts.Fact) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Measure != b[i].Measure || !a[i].Date.Equal(b[i].Date) || a[i].Domain != b[i].Domain || a[i].Amount != b[i].Amount ||
			!sameID(a[i].Staff, b[i].Staff) || !sameID(a[i].Resident, b[i].Resident) {
			return false
		}
	}
	return true
}

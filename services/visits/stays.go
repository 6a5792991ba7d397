package visits

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/tenantdb"
)

// stays are where those belonged who have moved since, with the last day of each stay: households (as ID) at stations, and
// residents in households (as Parent).
type stays map[pair]time.Time

type stayRow struct {
	pair
	LastDate time.Time
}

var (
	findHouseholdStays = tenantdb.SQL(`SELECT household_id, station_id, max(last_date) FROM {tenant}.household_stays
		WHERE household_id = ANY($1) AND ($2::uuid[] IS NULL OR station_id = ANY($2)) GROUP BY household_id, station_id`)
	findResidentStays = tenantdb.SQL(`SELECT resident_id, household_id, max(last_date) FROM {tenant}.resident_stays
		WHERE resident_id = ANY($1) AND household_id = ANY($2) GROUP BY resident_id, household_id`)
)

// loadStays looks up the stays of what does not belong together at present, for the visits that took place; mostly there
// is nothing to look up.
func (r *references) loadStays(ctx context.Context, q tenantdb.Querier, list []content) error {
	var moved, left, homes []uuid.UUID
	for _, c := range list {
		if c.VisitDate == nil {
			continue
		}
		if worker, ok := r.staff[c.StaffID]; ok && r.households[c.HouseholdID] != worker.StationID {
			moved = append(moved, c.HouseholdID)
		}
		for _, id := range r.personsOf(c) {
			if r.residents[id] != c.HouseholdID {
				left, homes = append(left, id), append(homes, c.HouseholdID)
			}
		}
	}
	r.stays = stays{}
	keep := func(row stayRow) { r.stays[row.pair] = row.LastDate }
	if err := each(ctx, q, findHouseholdStays, moved, keep, authz.ScopeFrom(ctx).StationIDs()); err != nil {
		return err
	}
	return each(ctx, q, findResidentStays, left, keep, homes)
}

// personsOf are the residents whom a visit names, and the client of its case where the case is of another household.
func (r *references) personsOf(c content) []uuid.UUID {
	if c.CaseID == nil {
		return c.ResidentIDs
	}
	of, ok := r.cases[*c.CaseID]
	if !ok || of.HouseholdID == c.HouseholdID {
		return c.ResidentIDs
	}
	return append(slices.Clone(c.ResidentIDs), of.ResidentID)
}

// lasted says whether the one belonged to the other on the day of the visit or later. A plan counts on the present alone.
func (s stays) lasted(id, parent uuid.UUID, c content) bool {
	last, ok := s[pair{id, parent}]
	return ok && c.VisitDate != nil && !last.Before(*c.VisitDate)
}

// serves says whether the household of the visit belongs to the station, or belonged to it on the day or later.
func (r *references) serves(station uuid.UUID, c content) bool {
	return r.households[c.HouseholdID] == station || r.stays.lasted(c.HouseholdID, station, c)
}

// houses says whether the resident belongs to the household of the visit, or belonged to it on the day or later.
func (r *references) houses(resident uuid.UUID, c content) bool {
	return r.residents[resident] == c.HouseholdID || r.stays.lasted(resident, c.HouseholdID, c)
}

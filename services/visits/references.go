package visits

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/standards"
	"circle15.dev/internal/tenantdb"
)

// references are the rows that the visits of one request name, as far as they lie in the caller's stations. They hold
// the rules of services/internal/refs for a whole batch: a lookup per kind of reference, not per visit.
type references struct {
	households map[uuid.UUID]uuid.UUID // the station of each
	staff      map[uuid.UUID]workerRow
	residents  map[uuid.UUID]uuid.UUID // the household of each
	cases      map[uuid.UUID]caseRow
	firsts     map[uuid.UUID]firstRow // the completed visits that are followed up
	stays      stays                  // of what does not belong together at present
	offline    bool                   // the visits come late: a case that was taken back meanwhile stays named
}

// pair is an id and that of its parent.
type pair struct{ ID, Parent uuid.UUID }

type workerRow struct {
	ID, StationID uuid.UUID
	StartDate     time.Time
	EndDate       *time.Time
}

// caseRow is a case with its client, who may have moved within the station since it was opened.
type caseRow struct {
	ID, HouseholdID, ResidentID, ClientsHouseholdID uuid.UUID
	Void                                            bool
}

var (
	findHouseholds = tenantdb.SQL(`SELECT id, station_id FROM {tenant}.households
		WHERE id = ANY($1) AND ($2::uuid[] IS NULL OR station_id = ANY($2))`)
	// The lock keeps the worker's service from being ended under the visits; taken in the order of the ids.
	findWorkers = tenantdb.SQL(`SELECT id, station_id, start_date, end_date FROM {tenant}.staff
		WHERE id = ANY($1) AND ($2::uuid[] IS NULL OR station_id = ANY($2)) ORDER BY id FOR KEY SHARE`)
	// Residents are in scope with their household, which is told with them and compared.
	findResidents = tenantdb.SQL(`SELECT id, household_id FROM {tenant}.residents WHERE id = ANY($1)`)
	findCases     = tenantdb.SQL(`SELECT c.id, c.household_id, c.resident_id, r.household_id, c.stage = 'VOID'
		FROM {tenant}.cases c JOIN {tenant}.residents r ON r.id = c.resident_id
		WHERE c.id = ANY($1) AND ($2::uuid[] IS NULL OR c.station_id = ANY($2))`)
)

// load looks up what the visits name.
func load(ctx context.Context, q tenantdb.Querier, list ...content) (*references, error) {
	households, staff := make([]uuid.UUID, 0, len(list)), make([]uuid.UUID, 0, len(list))
	var residents, cases, firsts []uuid.UUID
	for _, c := range list {
		households, staff, residents = append(households, c.HouseholdID), append(staff, c.StaffID), append(residents, c.ResidentIDs...)
		if c.CaseID != nil {
			cases = append(cases, *c.CaseID)
		}
		if c.FollowUpOf != nil {
			firsts = append(firsts, *c.FollowUpOf)
		}
	}
	scope := authz.ScopeFrom(ctx).StationIDs()
	r := &references{
		households: map[uuid.UUID]uuid.UUID{}, staff: map[uuid.UUID]workerRow{}, residents: map[uuid.UUID]uuid.UUID{},
		cases: map[uuid.UUID]caseRow{}, firsts: map[uuid.UUID]firstRow{},
	}
	if err := each(ctx, q, findHouseholds, households, func(row pair) { r.households[row.ID] = row.Parent }, scope); err != nil {
		return nil, err
	}
	if err := each(ctx, q, findWorkers, staff, func(row workerRow) { r.staff[row.ID] = row }, scope); err != nil {
		return nil, err
	}
	if err := each(ctx, q, findResidents, residents, func(row pair) { r.residents[row.ID] = row.Parent }); err != nil {
		return nil, err
	}
	err := each(ctx, q, findCases, cases, func(row caseRow) {
		r.cases[row.ID], r.residents[row.ResidentID] = row, row.ClientsHouseholdID
	}, scope)
	if err != nil {
		return nil, err
	}
	if err := each(ctx, q, shareFirsts, firsts, func(row firstRow) { r.firsts[row.ID] = row }, scope); err != nil {
		return nil, err
	}
	return r, r.loadStays(ctx, q, list)
}

// each looks up the rows with the ids, where there are any, and gives each to take.
func each[T any](ctx context.Context, q tenantdb.Querier, find *tenantdb.Stmt, list []uuid.UUID, take func(T), more ...any) error {
	if len(list) == 0 {
		return nil
	}
	rows, err := tenantdb.All(ctx, q, pgx.RowToStructByPos[T], find, append([]any{slices.Compact(sorted(list))}, more...)...)
	for _, row := range rows {
		take(row)
	}
	return err
}

// station is the one whose work the visit is: the worker's, where that serves the household, or did on the day of the
// visit or later.
func (r *references) station(prefix string, c content) (uuid.UUID, error) {
	if worker, ok := r.staff[c.StaffID]; ok && r.serves(worker.StationID, c) {
		return worker.StationID, nil
	}
	station, ok := r.households[c.HouseholdID] // whose worker it is not: see checkWorker
	if !ok {
		return uuid.Nil, apierr.InvalidField(prefix+"householdId", "must name a household within your data scope")
	}
	return station, nil
}

// check resolves what now names and was did not, for a visit of the station: what a visit was recorded with stays
// good, though the worker has left or the domain is no more.
func (r *references) check(ctx context.Context, prefix string, now, was content, station uuid.UUID) error {
	if now.Domain != was.Domain {
		if err := standards.Check(ctx, prefix+"domain", "domains", now.Domain); err != nil {
			return err
		}
	}
	if err := r.checkWorker(prefix, now, was, station); err != nil {
		return err
	}
	for i, id := range now.ResidentIDs {
		if !r.houses(id, now) && !slices.Contains(was.ResidentIDs, id) {
			return apierr.InvalidField(fmt.Sprintf("%sresidentIds[%d]", prefix, i), "must name a resident of the household")
		}
	}
	if err := r.checkCase(prefix, now, was); err != nil {
		return err
	}
	return r.checkFirst(prefix, now, was)
}

// checkCase wants a case that is not void, of the household or of a client who moved there.
func (r *references) checkCase(prefix string, now, was content) error {
	if now.CaseID == nil || sameID(now.CaseID, was.CaseID) {
		return nil
	}
	of, ok := r.cases[*now.CaseID]
	if ok && (r.offline || !of.Void) && (of.HouseholdID == now.HouseholdID || r.houses(of.ResidentID, now)) {
		return nil
	}
	return apierr.InvalidField(prefix+"caseId", "must name a case of the household that is not void")
}

// checkWorker wants a worker of the station who served there on the day of the visit.
func (r *references) checkWorker(prefix string, now, was content, station uuid.UUID) error {
	if now.StaffID == was.StaffID && sameDay(now.day(), was.day()) {
		return nil
	}
	worker, ok := r.staff[now.StaffID]
	if !ok || worker.StationID != station {
		return apierr.InvalidField(prefix+"staffId", "must name a worker of the same station within your data scope")
	}
	day := *now.day()
	if !day.Before(worker.StartDate) && (worker.EndDate == nil || !day.After(*worker.EndDate)) {
		return nil
	}
	if now.StaffID == was.StaffID {
		return apierr.InvalidField(prefix+dayField(now), "must be a day on which the worker served at the station")
	}
	return apierr.InvalidField(prefix+"staffId", "must name a worker who served at the station on %s", civildate.Format(day))
}

func dayField(c content) string {
	if c.VisitDate != nil {
		return "visitDate"
	}
	return "plannedDate"
}

// residentsOf reads the ids of residents, each once.
func residentsOf(field string, list []string) ([]uuid.UUID, error) {
	out := make([]uuid.UUID, 0, len(list))
	for i, s := range list {
		item := fmt.Sprintf("%s[%d]", field, i)
		id, err := ids.Parse(item, s)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, id) {
			return nil, apierr.InvalidField(field, "must not hold a resident twice")
		}
		out = append(out, id)
	}
	return out, nil
}

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
	cases      map[uuid.UUID]uuid.UUID // the household of each that is not void
}

// pair is an id and that of its parent.
type pair struct{ ID, Parent uuid.UUID }

type workerRow struct {
	ID, StationID uuid.UUID
	StartDate     time.Time
	EndDate       *time.Time
}

var (
	findHouseholds = tenantdb.SQL(`SELECT id, station_id FROM {tenant}.households
		WHERE id = ANY($1) AND ($2::uuid[] IS NULL OR station_id = ANY($2))`)
	findWorkers = tenantdb.SQL(`SELECT id, station_id, start_date, end_date FROM {tenant}.staff
		WHERE id = ANY($1) AND ($2::uuid[] IS NULL OR station_id = ANY($2))`)
	findResidents = tenantdb.SQL(`SELECT id, household_id FROM {tenant}.residents
		WHERE id = ANY($1) AND ($2::uuid[] IS NULL OR station_id = ANY($2))`)
	findCases = tenantdb.SQL(`SELECT id, household_id FROM {tenant}.cases
		WHERE id = ANY($1) AND stage <> 'VOID' AND ($2::uuid[] IS NULL OR station_id = ANY($2))`)
)

// load looks up what the visits name.
func load(ctx context.Context, q tenantdb.Querier, list ...content) (references, error) {
	households, staff := make([]uuid.UUID, 0, len(list)), make([]uuid.UUID, 0, len(list))
	var residents, cases []uuid.UUID
	for _, c := range list {
		households, staff, residents = append(households, c.HouseholdID), append(staff, c.StaffID), append(residents, c.ResidentIDs...)
		if c.CaseID != nil {
			cases = append(cases, *c.CaseID)
		}
	}
	var r references
	var err error
	if r.households, err = parents(ctx, q, findHouseholds, households); err != nil {
		return r, err
	}
	if r.staff, err = workers(ctx, q, staff); err != nil {
		return r, err
	}
	if r.residents, err = parents(ctx, q, findResidents, residents); err != nil {
		return r, err
	}
	r.cases, err = parents(ctx, q, findCases, cases)
	return r, err
}

func parents(ctx context.Context, q tenantdb.Querier, s *tenantdb.Stmt, list []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	if len(list) == 0 {
		return nil, nil
	}
	rows, err := tenantdb.All(ctx, q, pgx.RowToStructByPos[pair], s, slices.Compact(sorted(list)), authz.ScopeFrom(ctx).StationIDs())
	out := make(map[uuid.UUID]uuid.UUID, len(rows))
	for _, row := range rows {
		out[row.ID] = row.Parent
	}
	return out, err
}

func workers(ctx context.Context, q tenantdb.Querier, list []uuid.UUID) (map[uuid.UUID]workerRow, error) {
	if len(list) == 0 {
		return nil, nil
	}
	rows, err := tenantdb.All(ctx, q, pgx.RowToStructByPos[workerRow], findWorkers, slices.Compact(sorted(list)),
		authz.ScopeFrom(ctx).StationIDs())
	out := make(map[uuid.UUID]workerRow, len(rows))
	for _, row := range rows {
		out[row.ID] = row
	}
	return out, err
}

// station is the one that serves the visit's household.
func (r references) station(prefix string, c content) (uuid.UUID, error) {
	station, ok := r.households[c.HouseholdID]
	if !ok {
		return uuid.Nil, apierr.InvalidField(prefix+"householdId", "must name a household within your data scope")
	}
	return station, nil
}

// check resolves what now names and was did not, for a visit of the station: what a visit was recorded with stays
// good, though the worker has left or the domain is no more.
func (r references) check(ctx context.Context, prefix string, now, was content, station uuid.UUID) error {
	if now.Domain != was.Domain {
		if err := standards.Check(ctx, prefix+"domain", "domains", now.Domain); err != nil {
			return err
		}
	}
	if err := r.checkWorker(prefix, now, was, station); err != nil {
		return err
	}
	for i, id := range now.ResidentIDs {
		if r.residents[id] != now.HouseholdID && !slices.Contains(was.ResidentIDs, id) {
			return apierr.InvalidField(fmt.Sprintf("%sresidentIds[%d]", prefix, i), "must name a resident of the household")
		}
	}
	if now.CaseID != nil && !sameID(now.CaseID, was.CaseID) && r.cases[*now.CaseID] != now.HouseholdID {
		return apierr.InvalidField(prefix+"caseId", "must name a case of the household that is not void")
	}
	return nil
}

// checkWorker wants a worker of the station who served there on the day of the visit.
func (r references) checkWorker(prefix string, now, was content, station uuid.UUID) error {
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

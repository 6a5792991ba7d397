package visits

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/tenantdb"
)

// storedVisit is a visit of any station, and whether it lies in the data scope.
type storedVisit struct {
	visitRow
	Visible bool
}

var (
	findStored = tenantdb.SQL(`SELECT ` + visitColumns + `, (` + inScope + `) FROM {tenant}.visits v WHERE v.id = ANY($1)`)

	// The residents of each visit travel as the text of an array, because unnest would flatten an array of arrays. The
	// conflict clause waits for a transaction under way that inserts the same id, and then leaves its row alone.
	insertVisits = tenantdb.SQL(`INSERT INTO {tenant}.visits AS v (id, station_id, household_id, staff_id, kind, domain, purpose,
			planned_date, visit_date, duration_minutes, persons_served, resident_ids, findings, case_id, state, created_by)
		SELECT n.id, n.station_id, n.household_id, n.staff_id, n.kind, n.domain, n.purpose, n.planned_date, n.visit_date,
			n.duration_minutes, n.persons_served, n.resident_ids::uuid[], n.findings, n.case_id, 'COMPLETED', $15::text
		FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::date[], $9::date[],
				$10::integer[], $11::integer[], $12::text[], $13::text[], $14::uuid[])
			AS n (id, station_id, household_id, staff_id, kind, domain, purpose, planned_date, visit_date, duration_minutes,
				persons_served, resident_ids, findings, case_id)
		ON CONFLICT (id) DO NOTHING RETURNING ` + visitColumns)
)

func selectStored(ctx context.Context, tx *tenantdb.Tx, wanted []uuid.UUID) (map[uuid.UUID]storedVisit, error) {
	scope := authz.ScopeFrom(ctx)
	rows, err := tenantdb.All(ctx, tx, pgx.RowToStructByPos[storedVisit], findStored, wanted, scope.StationIDs(), scope.Owner())
	out := make(map[uuid.UUID]storedVisit, len(rows))
	for _, row := range rows {
		out[row.ID] = row
	}
	return out, err
}

// insertAll stores completed visits and returns those whose ids were free. They are inserted in the order of their
// ids, so that two clients with the same visits wait for each other instead of meeting in a deadlock.
func insertAll(ctx context.Context, tx *tenantdb.Tx, visits map[uuid.UUID]visitRow, by string) (map[uuid.UUID]visitRow, error) {
	var (
		ids, stations, households, staff             []uuid.UUID
		kinds, domains, purposes, residents, finding []string
		plannedDates, visitDates                     []*time.Time
		durations, persons                           []int32
		cases                                        []*uuid.UUID
	)
	for _, id := range slices.SortedFunc(maps.Keys(visits), compareIDs) {
		v := visits[id]
		ids, stations = append(ids, v.ID), append(stations, v.StationID)
		households, staff = append(households, v.HouseholdID), append(staff, v.StaffID)
		kinds, domains, purposes = append(kinds, string(v.Kind)), append(domains, v.Domain), append(purposes, v.Purpose)
		plannedDates, visitDates = append(plannedDates, v.PlannedDate), append(visitDates, v.VisitDate)
		durations, persons = append(durations, v.DurationMinutes), append(persons, v.PersonsServed)
		residents, finding = append(residents, arrayText(v.ResidentIDs)), append(finding, v.Findings)
		cases = append(cases, v.CaseID)
	}
	rows, err := tenantdb.All(ctx, tx, pgx.RowToStructByPos[visitRow], insertVisits, ids, stations, households, staff, kinds, domains,
		purposes, plannedDates, visitDates, durations, persons, residents, finding, cases, by)
	out := make(map[uuid.UUID]visitRow, len(rows))
	for _, row := range rows {
		out[row.ID] = row
	}
	return out, err
}

// arrayText is the text form of a uuid[] value.
func arrayText(list []uuid.UUID) string {
	texts := make([]string, len(list))
	for i, id := range list {
		texts[i] = id.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}

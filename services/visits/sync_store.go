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
	"circle15.dev/internal/ids"
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
func insertAll(ctx context.Context, tx *tenantdb.Tx, fresh map[uuid.UUID]visitRow, by string) (map[uuid.UUID]visitRow, error) {
	list := slices.SortedFunc(maps.Values(fresh), func(a, b visitRow) int { return ids.Compare(a.ID, b.ID) })
	created, err := tenantdb.All(ctx, tx, pgx.RowToStructByPos[visitRow], insertVisits,
		column(list, func(v visitRow) uuid.UUID { return v.ID }),
		column(list, func(v visitRow) uuid.UUID { return v.StationID }),
		column(list, func(v visitRow) uuid.UUID { return v.HouseholdID }),
		column(list, func(v visitRow) uuid.UUID { return v.StaffID }),
		column(list, func(v visitRow) string { return string(v.Kind) }),
		column(list, func(v visitRow) string { return v.Domain }),
		column(list, func(v visitRow) string { return v.Purpose }),
		column(list, func(v visitRow) *time.Time { return v.PlannedDate }),
		column(list, func(v visitRow) *time.Time { return v.VisitDate }),
		column(list, func(v visitRow) int32 { return v.DurationMinutes }),
		column(list, func(v visitRow) int32 { return v.PersonsServed }),
		column(list, func(v visitRow) string { return arrayText(v.ResidentIDs) }),
		column(list, func(v visitRow) string { return v.Findings }),
		column(list, func(v visitRow) *uuid.UUID { return v.CaseID }),
		by)
	out := make(map[uuid.UUID]visitRow, len(created))
	for _, row := range created {
		out[row.ID] = row
	}
	return out, err
}

// column is what each visit has in one column, as a parameter of unnest.
func column[T any](list []visitRow, of func(visitRow) T) []T {
	out := make([]T, len(list))
	for i, v := range list {
		out[i] = of(v)
	}
	return out
}

// arrayText is the text form of a uuid[] value.
func arrayText(list []uuid.UUID) string {
	texts := make([]string, len(list))
	for i, id := range list {
		texts[i] = id.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}

package visits

import (
	"context"
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

// visitList are visits as rows, of the parameters that columns makes. The residents of each travel as the text of an array,
// because unnest would flatten an array of arrays.
const visitList = `unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::date[], $9::date[],
				$10::integer[], $11::integer[], $12::text[], $13::text[], $14::uuid[], $15::uuid[])
			AS n (id, station_id, household_id, staff_id, kind, domain, purpose, planned_date, visit_date, duration_minutes,
				persons_served, resident_ids, findings, case_id, follow_up_of)`

var (
	findStored = tenantdb.SQL(`SELECT ` + visitColumns + `, (` + inScope + `) FROM {tenant}.visits v WHERE v.id = ANY($1)`)

	// The conflict clause waits for a transaction under way that inserts the same id, and then leaves its row alone.
	insertVisits = tenantdb.SQL(`INSERT INTO {tenant}.visits AS v (id, station_id, household_id, staff_id, kind, domain, purpose,
			planned_date, visit_date, duration_minutes, persons_served, resident_ids, findings, case_id, follow_up_of, state, created_by)
		SELECT n.id, n.station_id, n.household_id, n.staff_id, n.kind, n.domain, n.purpose, n.planned_date, n.visit_date,
			n.duration_minutes, n.persons_served, n.resident_ids::uuid[], n.findings, n.case_id, n.follow_up_of, 'COMPLETED', $16::text
		FROM ` + visitList + `
		ON CONFLICT (id) DO NOTHING RETURNING ` + visitColumns)
)

func selectStored(ctx context.Context, tx *tenantdb.Tx, wanted []uuid.UUID) (map[uuid.UUID]storedVisit, error) {
	return storedBy(ctx, tx, findStored, wanted)
}

func storedBy(ctx context.Context, tx *tenantdb.Tx, find *tenantdb.Stmt, wanted []uuid.UUID) (map[uuid.UUID]storedVisit, error) {
	scope := authz.ScopeFrom(ctx)
	rows, err := tenantdb.All(ctx, tx, pgx.RowToStructByPos[storedVisit], find, wanted, scope.StationIDs(), scope.Owner())
	out := make(map[uuid.UUID]storedVisit, len(rows))
	for _, row := range rows {
		out[row.ID] = row
	}
	return out, err
}

// insertAll stores completed visits and returns those whose ids were free. They are inserted in the order of their
// ids, so that two clients with the same visits wait for each other instead of meeting in a deadlock.
func insertAll(ctx context.Context, tx *tenantdb.Tx, fresh []visitRow, by string) ([]visitRow, error) {
	if len(fresh) == 0 {
		return nil, nil
	}
	list := slices.SortedFunc(slices.Values(fresh), func(a, b visitRow) int { return ids.Compare(a.ID, b.ID) })
	return tenantdb.All(ctx, tx, pgx.RowToStructByPos[visitRow], insertVisits, append(columns(list), by)...)
}

// columns are the parameters of visitList.
func columns(list []visitRow) []any {
	return []any{
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
		column(list, func(v visitRow) *uuid.UUID { return v.FollowUpOf }),
	}
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

package visits

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/tenantdb"
)

var (
	// Plans are locked in the order of their ids, and before anything is inserted, so that batches wait for one another and
	// never in a circle.
	lockStored = tenantdb.SQL(`SELECT ` + visitColumns + `, (` + inScope + `) FROM {tenant}.visits v WHERE v.id = ANY($1)
		ORDER BY v.id FOR NO KEY UPDATE`)

	completeVisits = tenantdb.SQL(`UPDATE {tenant}.visits AS v SET staff_id = n.staff_id, kind = n.kind, domain = n.domain,
			purpose = n.purpose, planned_date = n.planned_date, visit_date = n.visit_date, duration_minutes = n.duration_minutes,
			persons_served = n.persons_served, resident_ids = n.resident_ids::uuid[], findings = n.findings, case_id = n.case_id,
			follow_up_of = n.follow_up_of, state = 'COMPLETED', revision = v.revision + 1, update_time = now()
		FROM ` + visitList + `
		WHERE v.id = n.id RETURNING ` + visitColumns)
)

// over is what a phone tells of a stored visit. What it may not know of the plan, its day and the visit that it follows up,
// stays where the phone leaves it out.
func (c content) over(stored content) content {
	if c.PlannedDate == nil {
		c.PlannedDate = stored.PlannedDate
	}
	if c.FollowUpOf == nil {
		c.FollowUpOf = stored.FollowUpOf
	}
	return c
}

// carriesOut says whether what is told can be the planned visit: one to the household, following up what it was to follow up.
func (c content) carriesOut(plan content) bool {
	return c.HouseholdID == plan.HouseholdID && (plan.FollowUpOf == nil || sameID(c.FollowUpOf, plan.FollowUpOf))
}

// takePlans locks the planned visits that open entries complete. Where another request came first, the entry is settled
// as for any visit stored before.
func (b *batch) takePlans(ctx context.Context, tx *tenantdb.Tx) error {
	if len(b.plans) == 0 {
		return nil
	}
	wanted := make([]uuid.UUID, 0, len(b.plans))
	for id := range b.plans {
		wanted = append(wanted, id)
	}
	locked, err := storedBy(ctx, tx, lockStored, wanted)
	if err != nil {
		return err
	}
	for _, i := range b.open() {
		e := &b.entries[i]
		plan, ok := locked[e.id]
		if !ok {
			continue
		}
		told := e.told.over(plan.content)
		if plan.State != planned || !told.carriesOut(plan.content) {
			b.meet(i, plan)
			continue
		}
		b.plans[e.id], e.told = plan.visitRow, told
	}
	return nil
}

// outcome is that of a visit which this batch has stored.
func (b *batch) outcome(id uuid.UUID) visitsv1.SyncOutcome {
	if _, ok := b.plans[id]; ok {
		return visitsv1.SyncOutcome_SYNC_OUTCOME_COMPLETED
	}
	return visitsv1.SyncOutcome_SYNC_OUTCOME_CREATED
}

// completeAll stores what took place of visits that were planned.
func completeAll(ctx context.Context, tx *tenantdb.Tx, list []visitRow) ([]visitRow, error) {
	if len(list) == 0 {
		return nil, nil
	}
	return tenantdb.All(ctx, tx, pgx.RowToStructByPos[visitRow], completeVisits, columns(list)...)
}

package visits

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/tenantdb"
)

// firstRow is a completed visit that another follows up.
type firstRow struct {
	ID, HouseholdID uuid.UUID
	VisitDate       time.Time
}

// followUpsRow is what follows up a visit, planned or completed: how many, and the day of the first.
type followUpsRow struct {
	Count int64
	Day   *time.Time
}

var (
	// The first visits stay what they are until the end of the transaction. They are locked in the order of their ids.
	shareFirsts = tenantdb.SQL(`SELECT id, household_id, visit_date FROM {tenant}.visits
		WHERE id = ANY($1) AND state = 'COMPLETED' AND ($2::uuid[] IS NULL OR station_id = ANY($2)) ORDER BY id FOR SHARE`)

	findFollowUps = tenantdb.SQL(`SELECT count(*), min(coalesce(visit_date, planned_date)) FROM {tenant}.visits
		WHERE follow_up_of = $1 AND state IN ('PLANNED', 'COMPLETED')`)
)

// checkFirst wants the visit that is followed up to be a completed one to the same household, not after the follow-up.
func (r *references) checkFirst(prefix string, now, was content) error {
	known := sameID(now.FollowUpOf, was.FollowUpOf)
	if now.FollowUpOf == nil || known && sameDay(now.day(), was.day()) {
		return nil
	}
	first, ok := r.firsts[*now.FollowUpOf]
	switch {
	case !ok && known: // out of the data scope by now
		return nil
	case !ok || first.HouseholdID != now.HouseholdID:
		return apierr.InvalidField(prefix+"followUpOf", "must name a completed visit to the same household within your data scope")
	case !now.day().Before(first.VisitDate):
		return nil
	case known:
		return apierr.InvalidField(prefix+dayField(now), "must not be before %s, the day of the visit that it follows up",
			civildate.Format(first.VisitDate))
	default:
		return apierr.InvalidField(prefix+"followUpOf", "must not name a visit after this one, which was on %s", civildate.Format(*now.day()))
	}
}

// completes makes a visit that the same batch completes one that others of it may follow up.
func (r *references) completes(id uuid.UUID, c content) {
	if _, known := r.firsts[id]; !known {
		r.firsts[id] = firstRow{id, c.HouseholdID, *c.VisitDate}
	}
}

// followedUp says whether one of the visits follows up the one with the id.
func followedUp(visits map[uuid.UUID]visitRow, id uuid.UUID) bool {
	for _, v := range visits {
		if v.FollowUpOf != nil && *v.FollowUpOf == id {
			return true
		}
	}
	return false
}

// followUpsOf looks up what follows up a visit. The caller holds the visit's lock, for which new follow-ups wait.
func followUpsOf(ctx context.Context, tx *tenantdb.Tx, id uuid.UUID) (followUpsRow, error) {
	return tenantdb.One(ctx, tx, pgx.RowToStructByPos[followUpsRow], findFollowUps, id)
}

// notFollowedUp refuses to take a visit back that others follow up.
func notFollowedUp(ctx context.Context, tx *tenantdb.Tx, id uuid.UUID) error {
	later, err := followUpsOf(ctx, tx, id)
	if err != nil || later.Count == 0 {
		return err
	}
	return apierr.New(apierr.Conflict, "%d visits follow up this one; void or cancel them first", later.Count)
}

// notAfterFollowUps refuses to move a completed visit to a day after one that follows it up.
func notAfterFollowUps(ctx context.Context, tx *tenantdb.Tx, prefix string, was, now visitRow) error {
	if was.VisitDate == nil || !now.VisitDate.After(*was.VisitDate) {
		return nil
	}
	later, err := followUpsOf(ctx, tx, was.ID)
	if err != nil || later.Day == nil || !now.VisitDate.After(*later.Day) {
		return err
	}
	return apierr.InvalidField(prefix+"visitDate", "must not be after %s, the day of a visit that follows it up", civildate.Format(*later.Day))
}

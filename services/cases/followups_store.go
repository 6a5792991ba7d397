package cases

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/taken"
)

// followUpRow is a follow-up of a case; the columns are those of followUpColumns, by position.
type followUpRow struct {
	ID, StationID, CaseID, StaffID uuid.UUID
	VisitID                        *uuid.UUID
	FollowUpDate                   time.Time
	Finding, NextSteps             string
	history
}

const followUpColumns = `f.id, f.station_id, f.case_id, f.staff_id, f.visit_id, f.follow_up_date, f.finding, f.next_steps,
	f.void_reason, f.revision, f.create_time, f.update_time`

var (
	insertFollowUp = tenantdb.SQL(`INSERT INTO {tenant}.case_follow_ups AS f (id, station_id, case_id, staff_id, visit_id, follow_up_date,
			finding, next_steps, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING ` + followUpColumns)

	listFollowUps = tenantdb.SQL(`SELECT ` + followUpColumns + ` FROM {tenant}.cases c JOIN {tenant}.case_follow_ups f ON f.case_id = c.id
		WHERE c.id = $1 AND ($2::uuid[] IS NULL OR c.station_id = ANY($2)) AND ($3::text IS NULL OR f.created_by = $3)
			AND f.id > $4 ORDER BY f.id LIMIT $5`)

	getFollowUp = tenantdb.SQL(`SELECT ` + followUpColumns + ` FROM {tenant}.cases c JOIN {tenant}.case_follow_ups f ON f.case_id = c.id
		WHERE c.id = $1 AND ($2::uuid[] IS NULL OR c.station_id = ANY($2)) AND ($3::text IS NULL OR f.created_by = $3) AND f.id = $4`)

	updateFollowUp = tenantdb.SQL(`UPDATE {tenant}.case_follow_ups AS f SET staff_id = $2, visit_id = $3, follow_up_date = $4,
			finding = $5, next_steps = $6, void_reason = $7, revision = f.revision + 1, update_time = now()
		WHERE f.id = $1 RETURNING ` + followUpColumns)

	// The visit is locked against being taken back meanwhile. It went to the household of the case ($2) or to the one where the
	// client ($3) lives now.
	findVisit = tenantdb.SQL(`SELECT v.visit_date FROM {tenant}.visits v
		WHERE v.id = $1 AND v.state = 'COMPLETED' AND ($4::uuid[] IS NULL OR v.station_id = ANY($4))
			AND v.household_id IN ($2, (SELECT r.household_id FROM {tenant}.residents r WHERE r.id = $3)) FOR SHARE OF v`)
)

var followUpTaken = taken.Fields{"case_follow_ups_pkey": {Name: "followUp.id", Description: taken.ID}}

func insertNewFollowUp(ctx context.Context, tx *tenantdb.Tx, f followUpRow, by string) (followUpRow, error) {
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[followUpRow], insertFollowUp, f.ID, f.StationID, f.CaseID, f.StaffID, f.VisitID,
		f.FollowUpDate, f.Finding, f.NextSteps, by)
	return row, followUpTaken.Named(err)
}

// update stores a changed follow-up as its next revision.
func (f followUpRow) update(ctx context.Context, tx *tenantdb.Tx) (followUpRow, error) {
	return tenantdb.One(ctx, tx, pgx.RowToStructByPos[followUpRow], updateFollowUp, f.ID, f.StaffID, f.VisitID, f.FollowUpDate,
		f.Finding, f.NextSteps, f.VoidReason)
}

func (f followUpRow) cursor() string { return f.ID.String() }

func (f followUpRow) toProto() *casesv1.FollowUp {
	out := &casesv1.FollowUp{
		Id:           f.ID.String(),
		CaseId:       f.CaseID.String(),
		StationId:    f.StationID.String(),
		StaffId:      f.StaffID.String(),
		FollowUpDate: civildate.Format(f.FollowUpDate),
		Finding:      f.Finding,
		NextSteps:    f.NextSteps,
		VoidReason:   f.VoidReason,
		Etag:         etag.Of(f.Revision),
		CreateTime:   timestamppb.New(f.CreateTime),
		UpdateTime:   timestamppb.New(f.UpdateTime),
	}
	if f.VisitID != nil {
		out.VisitId = f.VisitID.String()
	}
	return out
}

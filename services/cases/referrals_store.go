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
	"circle15.dev/services/internal/enums"
	"circle15.dev/services/internal/taken"
)

// referralRow is a referral of a case; the columns are those of referralColumns, by position.
type referralRow struct {
	ID, StationID, CaseID, StaffID uuid.UUID
	Organization, Reason           string
	ReferralDate                   time.Time
	answer
	history
}

const referralColumns = `r.id, r.station_id, r.case_id, r.staff_id, r.organization, r.reason, r.referral_date, r.state, r.outcome,
	r.outcome_date, r.linked_value_fen, r.void_reason, r.revision, r.create_time, r.update_time`

var (
	insertReferral = tenantdb.SQL(`INSERT INTO {tenant}.referrals AS r (id, station_id, case_id, staff_id, organization, reason,
			referral_date, state, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'SENT', $8) RETURNING ` + referralColumns)

	listReferrals = tenantdb.SQL(`SELECT ` + referralColumns + ` FROM {tenant}.cases c JOIN {tenant}.referrals r ON r.case_id = c.id
		WHERE c.id = $1 AND ($2::uuid[] IS NULL OR c.station_id = ANY($2)) AND ($3::text IS NULL OR r.created_by = $3)
			AND r.id > $4 ORDER BY r.id LIMIT $5`)

	getReferral = tenantdb.SQL(`SELECT ` + referralColumns + ` FROM {tenant}.cases c JOIN {tenant}.referrals r ON r.case_id = c.id
		WHERE c.id = $1 AND ($2::uuid[] IS NULL OR c.station_id = ANY($2)) AND ($3::text IS NULL OR r.created_by = $3) AND r.id = $4`)

	updateReferral = tenantdb.SQL(`UPDATE {tenant}.referrals AS r SET staff_id = $2, organization = $3, reason = $4,
			referral_date = $5, state = $6, outcome = $7, outcome_date = $8, linked_value_fen = $9, void_reason = $10,
			revision = r.revision + 1, update_time = now()
		WHERE r.id = $1 RETURNING ` + referralColumns)
)

var referralTaken = taken.Fields{"referrals_pkey": {Name: "referral.id", Description: taken.ID}}

func insertNewReferral(ctx context.Context, tx *tenantdb.Tx, r referralRow, by string) (referralRow, error) {
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[referralRow], insertReferral, r.ID, r.StationID, r.CaseID, r.StaffID,
		r.Organization, r.Reason, r.ReferralDate, by)
	return row, referralTaken.Named(err)
}

// update stores a changed referral as its next revision.
func (r referralRow) update(ctx context.Context, tx *tenantdb.Tx) (referralRow, error) {
	return tenantdb.One(ctx, tx, pgx.RowToStructByPos[referralRow], updateReferral, r.ID, r.StaffID, r.Organization, r.Reason,
		r.ReferralDate, string(r.State), r.Outcome, r.OutcomeDate, r.LinkedValueFen, r.VoidReason)
}

var referralStateToProto = map[referralState]casesv1.ReferralState{
	sent:              casesv1.ReferralState_REFERRAL_STATE_SENT,
	accepted:          casesv1.ReferralState_REFERRAL_STATE_ACCEPTED,
	declined:          casesv1.ReferralState_REFERRAL_STATE_DECLINED,
	completedReferral: casesv1.ReferralState_REFERRAL_STATE_COMPLETED,
	voidReferral:      casesv1.ReferralState_REFERRAL_STATE_VOID,
}

var referralStateFromProto = enums.Inverse(referralStateToProto)

func (r referralRow) cursor() string { return r.ID.String() }

func (r referralRow) toProto() *casesv1.Referral {
	return &casesv1.Referral{
		Id:             r.ID.String(),
		CaseId:         r.CaseID.String(),
		StationId:      r.StationID.String(),
		StaffId:        r.StaffID.String(),
		Organization:   r.Organization,
		Reason:         r.Reason,
		ReferralDate:   civildate.Format(r.ReferralDate),
		State:          referralStateToProto[r.State],
		Outcome:        r.Outcome,
		OutcomeDate:    civildate.FormatOptional(r.OutcomeDate),
		LinkedValueFen: r.LinkedValueFen,
		VoidReason:     r.VoidReason,
		Etag:           etag.Of(r.Revision),
		CreateTime:     timestamppb.New(r.CreateTime),
		UpdateTime:     timestamppb.New(r.UpdateTime),
	}
}

package cases

import (
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/tenantdb"
)

// stageChangeRow is a move of a case between stages.
type stageChangeRow struct {
	ID, CaseID   uuid.UUID
	From, To     stage
	ChangeDate   time.Time
	StaffID      *uuid.UUID
	Note, Reason string
	CreateTime   time.Time
}

var (
	insertStageChange = tenantdb.SQL(`INSERT INTO {tenant}.case_stage_changes
			(id, case_id, from_stage, to_stage, change_date, staff_id, note, reason, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`)

	// closedBefore is the day of the closing because of which the case $1 was not open on the day $2; NULL where it was.
	closedBefore = tenantdb.SQL(`SELECT max(s.change_date) FROM {tenant}.case_stage_changes s
		WHERE s.case_id = $1 AND s.to_stage = 'CLOSURE' AND s.change_date < $2
			AND NOT EXISTS (SELECT FROM {tenant}.case_stage_changes r
				WHERE r.case_id = $1 AND r.from_stage = 'CLOSURE' AND r.to_stage = 'INTERVENTION' AND r.id > s.id AND r.change_date <= $2)`)

	// firstEvaluation is the day on which the case $1 first entered its evaluation; NULL before.
	firstEvaluation = tenantdb.SQL(`SELECT min(s.change_date) FROM {tenant}.case_stage_changes s
		WHERE s.case_id = $1 AND s.to_stage = 'EVALUATION'`)

	listStageChanges = tenantdb.SQL(`SELECT s.id, s.case_id, s.from_stage, s.to_stage, s.change_date, s.staff_id, s.note, s.reason,
			s.create_time
		FROM {tenant}.cases c JOIN {tenant}.case_stage_changes s ON s.case_id = c.id
		WHERE ` + caseInScope + ` AND s.id > $4 ORDER BY s.id LIMIT $5`)
)

func (s stageChangeRow) cursor() string { return s.ID.String() }

func (s stageChangeRow) toProto() *casesv1.StageChange {
	out := &casesv1.StageChange{
		Id:         s.ID.String(),
		CaseId:     s.CaseID.String(),
		FromStage:  stageToProto[s.From],
		ToStage:    stageToProto[s.To],
		ChangeDate: civildate.Format(s.ChangeDate),
		Note:       s.Note,
		Reason:     s.Reason,
		CreateTime: timestamppb.New(s.CreateTime),
	}
	if s.StaffID != nil {
		out.StaffId = s.StaffID.String()
	}
	return out
}

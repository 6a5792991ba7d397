package cases

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/enums"
	"circle15.dev/services/internal/taken"
)

// caseRow is a case as read; the columns are those of caseColumns, by position.
type caseRow struct {
	ID, StationID, HouseholdID, ResidentID, StaffID uuid.UUID
	Domain, Title, PresentingProblem                string
	progress
	Revision               int32
	CreateTime, UpdateTime time.Time
	NeedIDs                []uuid.UUID
}

// lockedCase is a case that is about to change, with the day of its last change: that of the newest stage change, or
// of the opening.
type lockedCase struct {
	caseRow
	LastChange time.Time
}

const (
	caseColumns = `c.id, c.station_id, c.household_id, c.resident_id, c.staff_id, c.domain, c.title, c.presenting_problem,
		c.stage, c.assessment, c.goals, c.plan, c.evaluation_summary, c.reflection, c.goal_attainment, c.evaluated_date,
		c.opened_date, c.closed_date, c.closure_reason, c.void_reason, c.revision, c.create_time, c.update_time,
		ARRAY(SELECT n.need_id FROM {tenant}.case_needs n WHERE n.case_id = c.id ORDER BY n.need_id)`

	// caseInScope is the data scope ($2 stations, $3 recorder) of a statement about the case $1.
	caseInScope = `c.id = $1 AND ($2::uuid[] IS NULL OR c.station_id = ANY($2)) AND ($3::text IS NULL OR c.created_by = $3)`
)

var (
	getCase = tenantdb.SQL(`SELECT ` + caseColumns + ` FROM {tenant}.cases c WHERE ` + caseInScope)

	lockCase = tenantdb.SQL(`SELECT ` + caseColumns + `,
			coalesce((SELECT max(s.change_date) FROM {tenant}.case_stage_changes s WHERE s.case_id = c.id), c.opened_date)
		FROM {tenant}.cases c WHERE ` + caseInScope + ` FOR NO KEY UPDATE OF c`)

	listCases = tenantdb.SQL(`SELECT ` + caseColumns + ` FROM {tenant}.cases c
		WHERE c.id > $1 AND ($2::uuid[] IS NULL OR c.station_id = ANY($2)) AND ($3::text IS NULL OR c.created_by = $3)
			AND ($4::uuid IS NULL OR c.station_id = $4) AND ($5::uuid IS NULL OR c.resident_id = $5)
			AND ($6::text = '' OR c.stage = $6) AND ($7::text = '' OR c.domain = $7) AND ($8::uuid IS NULL OR c.staff_id = $8)
		ORDER BY c.id LIMIT $9`)

	insertCase = tenantdb.SQL(`INSERT INTO {tenant}.cases AS c (id, station_id, household_id, resident_id, staff_id, domain, title,
			presenting_problem, stage, assessment, goals, plan, opened_date, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'INTAKE', $9, $10, $11, $12, $13) RETURNING ` + caseColumns)

	updateCase = tenantdb.SQL(`UPDATE {tenant}.cases AS c SET staff_id = $2, domain = $3, title = $4, presenting_problem = $5,
			stage = $6, assessment = $7, goals = $8, plan = $9, evaluation_summary = $10, reflection = $11, goal_attainment = $12,
			evaluated_date = $13, closed_date = $14, closure_reason = $15, void_reason = $16, opened_date = $17,
			revision = c.revision + 1, update_time = now()
		WHERE c.id = $1 RETURNING ` + caseColumns)

	findCase = tenantdb.SQL(`SELECT c.id FROM {tenant}.cases c WHERE ` + caseInScope)

	// lastDay are the days of the last session, and of the last session or referral, of the case $1.
	lastDay = tenantdb.SQL(`SELECT w.session, greatest(w.session, w.referral) FROM (SELECT
			(SELECT max(s.session_date) FROM {tenant}.case_sessions s WHERE s.case_id = $1 AND s.void_reason = '') AS session,
			(SELECT max(r.referral_date) FROM {tenant}.referrals r WHERE r.case_id = $1 AND r.state <> 'VOID') AS referral
		) w`)

	// firstDay is the day of the first change of stage or work of the case $1; NULL before any.
	firstDay = tenantdb.SQL(`SELECT min(d.day) FROM (
			SELECT s.change_date AS day FROM {tenant}.case_stage_changes s WHERE s.case_id = $1
			UNION ALL SELECT s.session_date FROM {tenant}.case_sessions s WHERE s.case_id = $1 AND s.void_reason = ''
			UNION ALL SELECT r.referral_date FROM {tenant}.referrals r WHERE r.case_id = $1 AND r.state <> 'VOID'
			UNION ALL SELECT f.follow_up_date FROM {tenant}.case_follow_ups f WHERE f.case_id = $1 AND f.void_reason = ''
		) d`)

	// householdNeeds are those of the needs $1 that are of the household of the case ($2) or of the one where the client ($3)
	// lives now.
	householdNeeds = tenantdb.SQL(`SELECT n.id FROM {tenant}.needs n
		WHERE n.id = ANY($1) AND n.state <> 'VOID' AND ($4::uuid[] IS NULL OR n.station_id = ANY($4))
			AND n.household_id IN ($2, (SELECT r.household_id FROM {tenant}.residents r WHERE r.id = $3))`)

	addNeeds = tenantdb.SQL(`INSERT INTO {tenant}.case_needs (case_id, need_id) SELECT $1::uuid, unnest($2::uuid[])
		ON CONFLICT DO NOTHING`)
	dropNeeds = tenantdb.SQL(`DELETE FROM {tenant}.case_needs WHERE case_id = $1 AND need_id <> ALL($2::uuid[])`)
)

var caseTaken = taken.Fields{"cases_pkey": {Name: "case.id", Description: taken.ID}}

// readCase reads a case of the data scope; NotFound without.
func readCase(ctx context.Context, q tenantdb.Querier, id uuid.UUID) (caseRow, error) {
	scope := authz.ScopeFrom(ctx)
	row, err := tenantdb.One(ctx, q, pgx.RowToStructByPos[caseRow], getCase, id, scope.StationIDs(), scope.Owner())
	return row, tenantdb.OrMissing(err, "case", id)
}

// lock reads a case of the data scope and keeps others from changing it, or what belongs to it, until the end of the
// transaction; NotFound without.
func lock(ctx context.Context, tx *tenantdb.Tx, id uuid.UUID, owner *string) (lockedCase, error) {
	stations := authz.ScopeFrom(ctx).StationIDs()
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[lockedCase], lockCase, id, stations, owner)
	return row, tenantdb.OrMissing(err, "case", id)
}

// lastWork are the days of the last work on a case, nil where there was none.
type lastWork struct {
	Session *time.Time
	Work    *time.Time // session or referral
}

func lastDays(ctx context.Context, tx *tenantdb.Tx, of uuid.UUID) (lastWork, error) {
	return tenantdb.One(ctx, tx, pgx.RowToStructByPos[lastWork], lastDay, of)
}

// caseFilter is what a list asks for; nil and empty ask for all.
type caseFilter struct {
	Station, Resident, Staff *uuid.UUID
	Stage                    stage
	Domain                   string
}

func selectCases(ctx context.Context, q tenantdb.Querier, f caseFilter, after uuid.UUID, limit int32) ([]caseRow, error) {
	scope := authz.ScopeFrom(ctx)
	return tenantdb.All(ctx, q, pgx.RowToStructByPos[caseRow], listCases, after, scope.StationIDs(), scope.Owner(),
		f.Station, f.Resident, string(f.Stage), f.Domain, f.Staff, limit)
}

// insert stores a new case at the intake stage, with its needs.
func insert(ctx context.Context, tx *tenantdb.Tx, c caseRow, by string) (caseRow, error) {
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[caseRow], insertCase, c.ID, c.StationID, c.HouseholdID, c.ResidentID,
		c.StaffID, c.Domain, c.Title, c.PresentingProblem, c.Assessment, c.Goals, c.Plan, c.Opened, by)
	if err != nil {
		return row, caseTaken.Named(err)
	}
	if len(c.NeedIDs) > 0 {
		tx.Queue(addNeeds, c.ID, c.NeedIDs)
	}
	row.NeedIDs = c.NeedIDs
	return row, nil
}

// update stores a changed case; needs, where not nil, are the new ones.
func update(ctx context.Context, tx *tenantdb.Tx, c caseRow) (caseRow, error) {
	return tenantdb.One(ctx, tx, pgx.RowToStructByPos[caseRow], updateCase, c.ID, c.StaffID, c.Domain, c.Title, c.PresentingProblem,
		string(c.Stage), c.Assessment, c.Goals, c.Plan, c.Summary, c.Reflection, c.GoalAttainment, c.Evaluated, c.Closed,
		c.ClosureReason, c.VoidReason, c.Opened)
}

// setNeeds makes the needs those of the case.
func setNeeds(tx *tenantdb.Tx, id uuid.UUID, needs []uuid.UUID) {
	tx.Queue(dropNeeds, id, needs)
	tx.Queue(addNeeds, id, needs)
}

var stageToProto = map[stage]casesv1.CaseStage{
	intake:       casesv1.CaseStage_CASE_STAGE_INTAKE,
	assessment:   casesv1.CaseStage_CASE_STAGE_ASSESSMENT,
	planning:     casesv1.CaseStage_CASE_STAGE_PLANNING,
	intervention: casesv1.CaseStage_CASE_STAGE_INTERVENTION,
	evaluation:   casesv1.CaseStage_CASE_STAGE_EVALUATION,
	closure:      casesv1.CaseStage_CASE_STAGE_CLOSURE,
	void:         casesv1.CaseStage_CASE_STAGE_VOID,
}

var stageFromProto = enums.Inverse(stageToProto)

func (c caseRow) cursor() string { return c.ID.String() }

func (c caseRow) toProto() *casesv1.Case {
	return &casesv1.Case{
		Id:                c.ID.String(),
		ResidentId:        c.ResidentID.String(),
		HouseholdId:       c.HouseholdID.String(),
		StationId:         c.StationID.String(),
		StaffId:           c.StaffID.String(),
		NeedIds:           ids.Strings(c.NeedIDs),
		Domain:            c.Domain,
		Title:             c.Title,
		PresentingProblem: c.PresentingProblem,
		OpenedDate:        civildate.Format(c.Opened),
		Stage:             stageToProto[c.Stage],
		Assessment:        c.Assessment,
		Goals:             c.Goals,
		Plan:              c.Plan,
		Evaluation:        c.forms.evaluationToProto(),
		ClosedDate:        civildate.FormatOptional(c.Closed),
		ClosureReason:     c.ClosureReason,
		VoidReason:        c.VoidReason,
		Etag:              etag.Of(c.Revision),
		CreateTime:        timestamppb.New(c.CreateTime),
		UpdateTime:        timestamppb.New(c.UpdateTime),
	}
}

// evaluationToProto is absent before the first evaluation.
func (f forms) evaluationToProto() *casesv1.Evaluation {
	if f.Summary == "" {
		return nil
	}
	return &casesv1.Evaluation{
		Summary:        f.Summary,
		Reflection:     f.Reflection,
		GoalAttainment: f.GoalAttainment,
		EvaluatedDate:  civildate.FormatOptional(f.Evaluated),
	}
}

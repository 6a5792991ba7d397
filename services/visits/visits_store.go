package visits

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/enums"
	"circle15.dev/services/internal/taken"
)

// visitRow is a visit as read; the columns are those of visitColumns, by position.
type visitRow struct {
	ID, StationID uuid.UUID
	content
	State                  state
	Reason                 string
	Revision               int32
	CreateTime, UpdateTime time.Time
}

const (
	visitColumns = `v.id, v.station_id, v.household_id, v.staff_id, v.kind, v.domain, v.purpose, v.planned_date, v.visit_date,
		v.duration_minutes, v.persons_served, v.resident_ids, v.findings, v.case_id, v.follow_up_of, v.state, v.reason, v.revision,
		v.create_time, v.update_time`

	// inScope is the data scope: $2 stations, $3 recorder.
	inScope = `($2::uuid[] IS NULL OR v.station_id = ANY($2)) AND ($3::text IS NULL OR v.created_by = $3)`
)

var (
	getVisit  = tenantdb.SQL(`SELECT ` + visitColumns + ` FROM {tenant}.visits v WHERE v.id = $1 AND ` + inScope)
	lockVisit = tenantdb.SQL(`SELECT ` + visitColumns + ` FROM {tenant}.visits v WHERE v.id = $1 AND ` + inScope + ` FOR NO KEY UPDATE`)

	listVisits = tenantdb.SQL(`SELECT ` + visitColumns + ` FROM {tenant}.visits v WHERE v.id > $1 AND ` + inScope + `
			AND ($4::uuid IS NULL OR v.station_id = $4) AND ($5::uuid IS NULL OR v.household_id = $5)
			AND ($6::text = '' OR v.state = $6) AND ($7::text = '' OR v.kind = $7) AND ($8::uuid IS NULL OR v.case_id = $8)
			AND ($9::date IS NULL OR v.planned_date <= $9)
		ORDER BY v.id LIMIT $10`)

	insertVisit = tenantdb.SQL(`INSERT INTO {tenant}.visits AS v (id, station_id, household_id, staff_id, kind, domain, purpose,
			planned_date, visit_date, duration_minutes, persons_served, resident_ids, findings, case_id, follow_up_of, state, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce($12::uuid[], '{}'), $13, $14, $15, $16, $17)
		RETURNING ` + visitColumns)

	updateVisit = tenantdb.SQL(`UPDATE {tenant}.visits AS v SET staff_id = $2, kind = $3, domain = $4, purpose = $5, planned_date = $6,
			visit_date = $7, duration_minutes = $8, persons_served = $9, resident_ids = $10, findings = $11, case_id = $12, state = $13,
			reason = $14, revision = v.revision + 1, update_time = now()
		WHERE v.id = $1 RETURNING ` + visitColumns)
)

// read reads a visit of the data scope; NotFound without.
func read(ctx context.Context, q tenantdb.Querier, id uuid.UUID) (visitRow, error) {
	return one(ctx, q, getVisit, id)
}

// lock is read for a visit that is about to change: it keeps others from changing it until the end of the transaction.
func lock(ctx context.Context, tx *tenantdb.Tx, id uuid.UUID) (visitRow, error) {
	return one(ctx, tx, lockVisit, id)
}

func one(ctx context.Context, q tenantdb.Querier, s *tenantdb.Stmt, id uuid.UUID) (visitRow, error) {
	scope := authz.ScopeFrom(ctx)
	row, err := tenantdb.One(ctx, q, pgx.RowToStructByPos[visitRow], s, id, scope.StationIDs(), scope.Owner())
	if errors.Is(err, pgx.ErrNoRows) {
		return row, apierr.Missing("visit", id.String())
	}
	return row, err
}

// visitFilter is what a list asks for; nil and empty ask for all.
type visitFilter struct {
	Station, Household, Case *uuid.UUID
	State                    state
	Kind                     kind
	PlannedUntil             *time.Time
}

func selectVisits(ctx context.Context, q tenantdb.Querier, f visitFilter, after uuid.UUID, limit int32) ([]visitRow, error) {
	scope := authz.ScopeFrom(ctx)
	return tenantdb.All(ctx, q, pgx.RowToStructByPos[visitRow], listVisits, after, scope.StationIDs(), scope.Owner(),
		f.Station, f.Household, string(f.State), string(f.Kind), f.Case, f.PlannedUntil, limit)
}

func insert(ctx context.Context, tx *tenantdb.Tx, v visitRow, by string) (visitRow, error) {
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[visitRow], insertVisit, v.ID, v.StationID, v.HouseholdID, v.StaffID,
		string(v.Kind), v.Domain, v.Purpose, v.PlannedDate, v.VisitDate, v.DurationMinutes, v.PersonsServed, v.ResidentIDs, v.Findings,
		v.CaseID, v.FollowUpOf, string(v.State), by)
	return row, visitTaken.Named(err)
}

var visitTaken = taken.Fields{"visits_pkey": {Name: "visit.id", Description: taken.ID}}

func update(ctx context.Context, tx *tenantdb.Tx, v visitRow) (visitRow, error) {
	return tenantdb.One(ctx, tx, pgx.RowToStructByPos[visitRow], updateVisit, v.ID, v.StaffID, string(v.Kind), v.Domain, v.Purpose,
		v.PlannedDate, v.VisitDate, v.DurationMinutes, v.PersonsServed, v.ResidentIDs, v.Findings, v.CaseID, string(v.State), v.Reason)
}

var stateToProto = map[state]visitsv1.VisitState{
	planned:   visitsv1.VisitState_VISIT_STATE_PLANNED,
	completed: visitsv1.VisitState_VISIT_STATE_COMPLETED,
	cancelled: visitsv1.VisitState_VISIT_STATE_CANCELLED,
	void:      visitsv1.VisitState_VISIT_STATE_VOID,
}

var kindToProto = map[kind]visitsv1.VisitKind{
	home:      visitsv1.VisitKind_VISIT_KIND_HOME,
	phone:     visitsv1.VisitKind_VISIT_KIND_PHONE,
	atStation: visitsv1.VisitKind_VISIT_KIND_STATION,
}

var (
	stateFromProto = enums.Inverse(stateToProto)
	kindFromProto  = enums.Inverse(kindToProto)
)

func (v visitRow) cursor() string { return v.ID.String() }

func (v visitRow) toProto() *visitsv1.Visit {
	out := &visitsv1.Visit{
		Id:              v.ID.String(),
		HouseholdId:     v.HouseholdID.String(),
		StationId:       v.StationID.String(),
		StaffId:         v.StaffID.String(),
		Kind:            kindToProto[v.Kind],
		Domain:          v.Domain,
		State:           stateToProto[v.State],
		Purpose:         v.Purpose,
		PlannedDate:     civildate.FormatOptional(v.PlannedDate),
		VisitDate:       civildate.FormatOptional(v.VisitDate),
		DurationMinutes: v.DurationMinutes,
		PersonsServed:   v.PersonsServed,
		Findings:        v.Findings,
		FollowUpOf:      idString(v.FollowUpOf),
		CaseId:          idString(v.CaseID),
		Reason:          v.Reason,
		Etag:            etag.Of(v.Revision),
		CreateTime:      timestamppb.New(v.CreateTime),
		UpdateTime:      timestamppb.New(v.UpdateTime),
	}
	for _, id := range v.ResidentIDs {
		out.ResidentIds = append(out.ResidentIds, id.String())
	}
	return out
}

func idString(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

// contentOf reads what a client says about a visit; the prefix goes before the fields' JSON names. Errors: Invalid.
func contentOf(prefix string, v *visitsv1.Visit) (content, error) {
	c := content{
		Kind: kindFromProto[v.GetKind()], Domain: v.GetDomain(), Purpose: v.GetPurpose(), DurationMinutes: v.GetDurationMinutes(),
		PersonsServed: v.GetPersonsServed(), Findings: v.GetFindings(),
	}
	var err error
	if c.HouseholdID, err = ids.Parse(prefix+"householdId", v.GetHouseholdId()); err != nil {
		return c, err
	}
	if c.StaffID, err = ids.Parse(prefix+"staffId", v.GetStaffId()); err != nil {
		return c, err
	}
	if c.Kind == "" {
		return c, apierr.InvalidField(prefix+"kind", "is required")
	}
	if c.PlannedDate, err = civildate.ParseOptional(prefix+"plannedDate", v.GetPlannedDate()); err != nil {
		return c, err
	}
	if c.VisitDate, err = pastDay(prefix+"visitDate", v.GetVisitDate()); err != nil {
		return c, err
	}
	if c.ResidentIDs, err = residentsOf(prefix+"residentIds", v.GetResidentIds()); err != nil {
		return c, err
	}
	if c.CaseID, err = ids.ParseOptional(prefix+"caseId", v.GetCaseId()); err != nil {
		return c, err
	}
	c.FollowUpOf, err = ids.ParseOptional(prefix+"followUpOf", v.GetFollowUpOf())
	return c, err
}

// pastDay reads the day, where given, of a visit that took place.
func pastDay(field, s string) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	day, err := civildate.ParsePast(field, s)
	if err != nil {
		return nil, err
	}
	return &day, nil
}

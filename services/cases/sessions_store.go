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

// sessionRow is a session (节) of a case; the columns are those of sessionColumns, by position.
type sessionRow struct {
	ID, StationID, CaseID, StaffID uuid.UUID
	Number                         int32
	SessionDate                    time.Time
	DurationMinutes, PersonsServed int32
	Goals, Record, NextSteps       string
	history
}

const sessionColumns = `s.id, s.station_id, s.case_id, s.staff_id, s.number, s.session_date, s.duration_minutes, s.persons_served,
	s.goals, s.record, s.next_steps, s.void_reason, s.revision, s.create_time, s.update_time`

var (
	// The lock of the case's row makes the number the next one, without gaps. Those of void sessions are not given again:
	// paper files refer to them.
	insertSession = tenantdb.SQL(`INSERT INTO {tenant}.case_sessions AS s (id, station_id, case_id, staff_id, number, session_date,
			duration_minutes, persons_served, goals, record, next_steps, created_by)
		SELECT $1, $2, $3, $4, coalesce((SELECT max(n.number) FROM {tenant}.case_sessions n WHERE n.case_id = $3), 0) + 1,
			$5, $6, $7, $8, $9, $10, $11
		RETURNING ` + sessionColumns)

	getSession = tenantdb.SQL(`SELECT ` + sessionColumns + ` FROM {tenant}.cases c JOIN {tenant}.case_sessions s ON s.case_id = c.id
		WHERE c.id = $1 AND ($2::uuid[] IS NULL OR c.station_id = ANY($2)) AND ($3::text IS NULL OR s.created_by = $3) AND s.id = $4`)

	updateSession = tenantdb.SQL(`UPDATE {tenant}.case_sessions AS s SET staff_id = $2, session_date = $3, duration_minutes = $4,
			persons_served = $5, goals = $6, record = $7, next_steps = $8, void_reason = $9,
			revision = s.revision + 1, update_time = now()
		WHERE s.id = $1 RETURNING ` + sessionColumns)

	listSessions = tenantdb.SQL(`SELECT ` + sessionColumns + ` FROM {tenant}.cases c JOIN {tenant}.case_sessions s ON s.case_id = c.id
		WHERE c.id = $1 AND ($2::uuid[] IS NULL OR c.station_id = ANY($2)) AND ($3::text IS NULL OR s.created_by = $3)
			AND s.id > $4 ORDER BY s.id LIMIT $5`)

	listSessionIDs = tenantdb.SQL(`SELECT id FROM {tenant}.case_sessions WHERE case_id = $1 ORDER BY id`)
)

var sessionTaken = taken.Fields{"case_sessions_pkey": {Name: "session.id", Description: taken.ID}}

// insertNextSession stores a session with the next number; the case is locked.
func insertNextSession(ctx context.Context, tx *tenantdb.Tx, r sessionRow, by string) (sessionRow, error) {
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[sessionRow], insertSession, r.ID, r.StationID, r.CaseID, r.StaffID, r.SessionDate,
		r.DurationMinutes, r.PersonsServed, r.Goals, r.Record, r.NextSteps, by)
	return row, sessionTaken.Named(err)
}

// update stores a changed session as its next revision.
func (s sessionRow) update(ctx context.Context, tx *tenantdb.Tx) (sessionRow, error) {
	return tenantdb.One(ctx, tx, pgx.RowToStructByPos[sessionRow], updateSession, s.ID, s.StaffID, s.SessionDate, s.DurationMinutes,
		s.PersonsServed, s.Goals, s.Record, s.NextSteps, s.VoidReason)
}

func sessionIDs(ctx context.Context, tx *tenantdb.Tx, of uuid.UUID) ([]uuid.UUID, error) {
	return tenantdb.All(ctx, tx, pgx.RowTo[uuid.UUID], listSessionIDs, of)
}

func (s sessionRow) cursor() string { return s.ID.String() }

func (s sessionRow) toProto() *casesv1.CaseSession {
	return &casesv1.CaseSession{
		Id:              s.ID.String(),
		CaseId:          s.CaseID.String(),
		StationId:       s.StationID.String(),
		StaffId:         s.StaffID.String(),
		Number:          s.Number,
		SessionDate:     civildate.Format(s.SessionDate),
		DurationMinutes: s.DurationMinutes,
		PersonsServed:   s.PersonsServed,
		Goals:           s.Goals,
		Record:          s.Record,
		NextSteps:       s.NextSteps,
		VoidReason:      s.VoidReason,
		Etag:            etag.Of(s.Revision),
		CreateTime:      timestamppb.New(s.CreateTime),
		UpdateTime:      timestamppb.New(s.UpdateTime),
	}
}

package activities

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	activitiesv1 "circle15.dev/api/activities/v1"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/taken"
)

// sessionRow is a session (节) of a group as read; the columns are those of sessionColumns, by position.
type sessionRow struct {
	ID, GroupID, StationID, StaffID uuid.UUID
	Number                          int32
	Theme                           string
	SessionDate                     time.Time
	DurationMinutes                 int32
	Record, VoidReason              string // void_reason is not empty for a session that was taken back
	Revision                        int32
	CreateTime, UpdateTime          time.Time
	AttendeeIDs                     []uuid.UUID
}

// attendee is a resident who attended, with the household of that time.
type attendee struct{ ID, HouseholdID uuid.UUID }

const sessionColumns = `s.id, s.group_id, s.station_id, s.staff_id, s.number, s.theme, s.session_date, s.duration_minutes, s.record,
	s.void_reason, s.revision, s.create_time, s.update_time,
	ARRAY(SELECT a.resident_id FROM {tenant}.group_attendances a WHERE a.session_id = s.id ORDER BY a.resident_id)`

var (
	findGroup = tenantdb.SQL(`SELECT g.id FROM {tenant}.groups g WHERE ` + groupInScope)

	listSessions = tenantdb.SQL(`SELECT ` + sessionColumns + ` FROM {tenant}.group_sessions s
		WHERE s.group_id = $1 AND s.id > $2 ORDER BY s.id LIMIT $3`)

	getSession = tenantdb.SQL(`SELECT ` + sessionColumns + ` FROM {tenant}.groups g JOIN {tenant}.group_sessions s ON s.group_id = g.id
		WHERE ` + groupInScope + ` AND s.id = $4`)

	// The group is locked already. recorder, where not NULL, recorded the session.
	getSessionOf = tenantdb.SQL(`SELECT ` + sessionColumns + ` FROM {tenant}.group_sessions s
		WHERE s.group_id = $1 AND s.id = $2 AND ($3::text IS NULL OR s.created_by = $3)`)

	// The group is locked, so the next number is nobody else's. Those of void sessions are not given again: paper files refer
	// to them.
	insertSession = tenantdb.SQL(`INSERT INTO {tenant}.group_sessions AS s (id, group_id, station_id, staff_id, number, theme,
			session_date, duration_minutes, record, created_by)
		SELECT $1, $2, $3, $4, coalesce(max(t.number), 0) + 1, $5, $6, $7, $8, $9
		FROM {tenant}.group_sessions t WHERE t.group_id = $2
		RETURNING ` + sessionColumns)

	updateSession = tenantdb.SQL(`UPDATE {tenant}.group_sessions AS s SET staff_id = $2, theme = $3, session_date = $4,
			duration_minutes = $5, record = $6, void_reason = $7, revision = s.revision + 1, update_time = now()
		WHERE s.id = $1 RETURNING ` + sessionColumns)

	insertAttendances = tenantdb.SQL(`INSERT INTO {tenant}.group_attendances (session_id, resident_id)
		SELECT $1::uuid, unnest($2::uuid[]) ON CONFLICT DO NOTHING`)
	dropAttendances = tenantdb.SQL(`DELETE FROM {tenant}.group_attendances WHERE session_id = $1 AND resident_id <> ALL($2::uuid[])`)

	groupSessions = tenantdb.SQL(`SELECT s.id FROM {tenant}.group_sessions s WHERE s.group_id = $1`)
	sessionPeriod = tenantdb.SQL(`SELECT min(s.session_date), max(s.session_date) FROM {tenant}.group_sessions s
		WHERE s.group_id = $1 AND s.void_reason = ''`)

	findAttendees = tenantdb.SQL(`SELECT r.id, r.household_id FROM {tenant}.residents r WHERE r.id = ANY($1) AND r.station_id = $2`)

	// countedAttendees are those of the session for whom it counts now, with the household of that time, which only the
	// facts know.
	countedAttendees = tenantdb.SQL(`SELECT f.resident_id, f.household_id FROM {tenant}.service_facts f
		WHERE f.source_id = $1 AND f.source_type = 'groupSessions' AND f.reverses IS NULL
			AND NOT EXISTS (SELECT FROM {tenant}.service_facts r WHERE r.reverses = f.id)`)
)

var sessionTaken = taken.Fields{"group_sessions_pkey": {Name: "session.id", Description: taken.ID}}

// insert stores a new session with its attendance; it gets the next number of its locked group.
func (s sessionRow) insert(ctx context.Context, tx *tenantdb.Tx, by string) (sessionRow, error) {
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[sessionRow], insertSession, s.ID, s.GroupID, s.StationID, s.StaffID,
		s.Theme, s.SessionDate, s.DurationMinutes, s.Record, by)
	if err != nil {
		return row, sessionTaken.Named(err)
	}
	if row.AttendeeIDs = s.AttendeeIDs; len(row.AttendeeIDs) > 0 {
		tx.Queue(insertAttendances, row.ID, row.AttendeeIDs)
	}
	return row, nil
}

// lockedSession reads a session of a locked group that owner, where not nil, recorded; NotFound without.
func lockedSession(ctx context.Context, tx *tenantdb.Tx, group, id uuid.UUID, owner *string) (sessionRow, error) {
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[sessionRow], getSessionOf, group, id, owner)
	return row, tenantdb.OrMissing(err, "group session", id)
}

// update stores a changed session with its attendance as its next revision.
func (s sessionRow) update(ctx context.Context, tx *tenantdb.Tx) (sessionRow, error) {
	tx.Queue(dropAttendances, s.ID, s.AttendeeIDs)
	tx.Queue(insertAttendances, s.ID, s.AttendeeIDs)
	return tenantdb.One(ctx, tx, pgx.RowToStructByPos[sessionRow], updateSession, s.ID, s.StaffID, s.Theme, s.SessionDate,
		s.DurationMinutes, s.Record, s.VoidReason)
}

// sessionIDs are the sessions of a group.
func sessionIDs(ctx context.Context, tx *tenantdb.Tx, group uuid.UUID) ([]uuid.UUID, error) {
	return tenantdb.All(ctx, tx, pgx.RowTo[uuid.UUID], groupSessions, group)
}

// days are the first and the last day of a group's sessions, nil where it had none.
type days struct{ First, Last *time.Time }

func sessionDays(ctx context.Context, tx *tenantdb.Tx, group uuid.UUID) (days, error) {
	return tenantdb.One(ctx, tx, pgx.RowToStructByPos[days], sessionPeriod, group)
}

func (s sessionRow) cursor() string { return s.ID.String() }

func (s sessionRow) toProto() *activitiesv1.GroupSession {
	return &activitiesv1.GroupSession{
		Id:              s.ID.String(),
		GroupId:         s.GroupID.String(),
		StationId:       s.StationID.String(),
		StaffId:         s.StaffID.String(),
		Number:          s.Number,
		Theme:           s.Theme,
		SessionDate:     civildate.Format(s.SessionDate),
		DurationMinutes: s.DurationMinutes,
		AttendeeIds:     ids.Strings(s.AttendeeIDs),
		Record:          s.Record,
		VoidReason:      s.VoidReason,
		Etag:            etag.Of(s.Revision),
		CreateTime:      timestamppb.New(s.CreateTime),
		UpdateTime:      timestamppb.New(s.UpdateTime),
	}
}

package activities

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	activitiesv1 "circle15.dev/api/activities/v1"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/enums"
	"circle15.dev/services/internal/taken"
)

// activityRow is an activity as read; the columns are those of activityColumns, by position.
type activityRow struct {
	ID, StationID, StaffID  uuid.UUID
	Title, Domain, Location string
	event
	VolunteerIDs           []uuid.UUID
	Summary, Reason        string
	Revision               int32
	CreateTime, UpdateTime time.Time
}

const (
	activityColumns = `a.id, a.station_id, a.staff_id, a.title, a.domain, a.location, a.state, a.planned_date, a.held_date,
		a.attendee_count, a.volunteer_ids, a.summary, a.reason, a.revision, a.create_time, a.update_time`

	// activityInScope is the data scope ($2 stations, $3 recorder) of a statement about the activity $1.
	activityInScope = `a.id = $1 AND ($2::uuid[] IS NULL OR a.station_id = ANY($2)) AND ($3::text IS NULL OR a.created_by = $3)`
)

var (
	getActivity  = tenantdb.SQL(`SELECT ` + activityColumns + ` FROM {tenant}.activities a WHERE ` + activityInScope)
	lockActivity = tenantdb.SQL(`SELECT ` + activityColumns + ` FROM {tenant}.activities a WHERE ` + activityInScope +
		` FOR NO KEY UPDATE OF a`)

	listActivities = tenantdb.SQL(`SELECT ` + activityColumns + ` FROM {tenant}.activities a
		WHERE a.id > $1 AND ($2::uuid[] IS NULL OR a.station_id = ANY($2)) AND ($3::text IS NULL OR a.created_by = $3)
			AND ($4::uuid IS NULL OR a.station_id = $4) AND ($5::text = '' OR a.state = $5) AND ($6::text = '' OR a.domain = $6)
		ORDER BY a.id LIMIT $7`)

	insertActivity = tenantdb.SQL(`INSERT INTO {tenant}.activities AS a (id, station_id, staff_id, title, domain, location, state,
			planned_date, held_date, attendee_count, volunteer_ids, summary, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING ` + activityColumns)

	updateActivity = tenantdb.SQL(`UPDATE {tenant}.activities AS a SET staff_id = $2, title = $3, domain = $4, location = $5,
			state = $6, planned_date = $7, held_date = $8, attendee_count = $9, volunteer_ids = $10, summary = $11, reason = $12,
			revision = a.revision + 1, update_time = now()
		WHERE a.id = $1 RETURNING ` + activityColumns)

	stationVolunteers = tenantdb.SQL(`SELECT id FROM {tenant}.volunteers
		WHERE id = ANY($1) AND station_id = $2 AND state <> 'VOID'`)
)

var activityTaken = taken.Fields{"activities_pkey": {Name: "activity.id", Description: taken.ID}}

// lockedActivity reads an activity of the data scope and keeps others from changing it until the end of the transaction.
func lockedActivity(ctx context.Context, tx *tenantdb.Tx, id uuid.UUID) (activityRow, error) {
	scope := authz.ScopeFrom(ctx)
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[activityRow], lockActivity, id, scope.StationIDs(), scope.Owner())
	return row, tenantdb.OrMissing(err, "activity", id)
}

// insert stores a new activity.
func (a activityRow) insert(ctx context.Context, tx *tenantdb.Tx, by string) (activityRow, error) {
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[activityRow], insertActivity, a.ID, a.StationID, a.StaffID, a.Title, a.Domain,
		a.Location, string(a.State), a.PlannedDate, a.HeldDate, a.Attendees, a.VolunteerIDs, a.Summary, by)
	return row, activityTaken.Named(err)
}

// update stores a changed activity as its next revision.
func (a activityRow) update(ctx context.Context, tx *tenantdb.Tx) (activityRow, error) {
	return tenantdb.One(ctx, tx, pgx.RowToStructByPos[activityRow], updateActivity, a.ID, a.StaffID, a.Title, a.Domain, a.Location,
		string(a.State), a.PlannedDate, a.HeldDate, a.Attendees, a.VolunteerIDs, a.Summary, a.Reason)
}

var stateToProto = map[state]activitiesv1.ActivityState{
	planned:   activitiesv1.ActivityState_ACTIVITY_STATE_PLANNED,
	held:      activitiesv1.ActivityState_ACTIVITY_STATE_HELD,
	cancelled: activitiesv1.ActivityState_ACTIVITY_STATE_CANCELLED,
	void:      activitiesv1.ActivityState_ACTIVITY_STATE_VOID,
}

var stateFromProto = enums.Inverse(stateToProto)

func (a activityRow) cursor() string { return a.ID.String() }

func (a activityRow) toProto() *activitiesv1.Activity {
	return &activitiesv1.Activity{
		Id:            a.ID.String(),
		StationId:     a.StationID.String(),
		StaffId:       a.StaffID.String(),
		Title:         a.Title,
		Domain:        a.Domain,
		Location:      a.Location,
		State:         stateToProto[a.State],
		PlannedDate:   civildate.FormatOptional(a.PlannedDate),
		HeldDate:      civildate.FormatOptional(a.HeldDate),
		AttendeeCount: a.Attendees,
		VolunteerIds:  ids.Strings(a.VolunteerIDs),
		Summary:       a.Summary,
		Reason:        a.Reason,
		Etag:          etag.Of(a.Revision),
		CreateTime:    timestamppb.New(a.CreateTime),
		UpdateTime:    timestamppb.New(a.UpdateTime),
	}
}

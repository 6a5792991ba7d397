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

// groupRow is a group as read; the columns are those of groupColumns, by position.
type groupRow struct {
	ID, StationID, StaffID       uuid.UUID
	DisplayName, Domain, Purpose string
	progress
	MemberIDs              []uuid.UUID
	Revision               int32
	CreateTime, UpdateTime time.Time
}

const (
	groupColumns = `g.id, g.station_id, g.staff_id, g.display_name, g.domain, g.purpose, g.stage, g.opened_date, g.ended_date,
		g.void_reason, g.return_reason, g.member_ids, g.revision, g.create_time, g.update_time`

	// groupInScope is the data scope ($2 stations, $3 recorder) of a statement about the group $1.
	groupInScope = `g.id = $1 AND ($2::uuid[] IS NULL OR g.station_id = ANY($2)) AND ($3::text IS NULL OR g.created_by = $3)`
)

var (
	getGroup  = tenantdb.SQL(`SELECT ` + groupColumns + ` FROM {tenant}.groups g WHERE ` + groupInScope)
	lockGroup = tenantdb.SQL(`SELECT ` + groupColumns + ` FROM {tenant}.groups g WHERE ` + groupInScope + ` FOR NO KEY UPDATE OF g`)

	listGroups = tenantdb.SQL(`SELECT ` + groupColumns + ` FROM {tenant}.groups g
		WHERE g.id > $1 AND ($2::uuid[] IS NULL OR g.station_id = ANY($2)) AND ($3::text IS NULL OR g.created_by = $3)
			AND ($4::uuid IS NULL OR g.station_id = $4) AND ($5::text = '' OR g.stage = $5) AND ($6::text = '' OR g.domain = $6)
		ORDER BY g.id LIMIT $7`)

	insertGroup = tenantdb.SQL(`INSERT INTO {tenant}.groups AS g (id, station_id, staff_id, display_name, domain, purpose, stage,
			opened_date, member_ids, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING ` + groupColumns)

	updateGroup = tenantdb.SQL(`UPDATE {tenant}.groups AS g SET staff_id = $2, display_name = $3, domain = $4, purpose = $5,
			stage = $6, ended_date = $7, void_reason = $8, member_ids = $9, opened_date = $10,
			return_reason = $11, revision = g.revision + 1, update_time = now()
		WHERE g.id = $1 RETURNING ` + groupColumns)
)

var groupTaken = taken.Fields{"groups_pkey": {Name: "group.id", Description: taken.ID}}

// lockedGroup reads a group of the data scope that owner, where not nil, recorded. It keeps others from changing it, or
// recording a session of it, until the end of the transaction.
func lockedGroup(ctx context.Context, tx *tenantdb.Tx, id uuid.UUID, owner *string) (groupRow, error) {
	stations := authz.ScopeFrom(ctx).StationIDs()
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[groupRow], lockGroup, id, stations, owner)
	return row, tenantdb.OrMissing(err, "group", id)
}

// insert stores a new group.
func (g groupRow) insert(ctx context.Context, tx *tenantdb.Tx, by string) (groupRow, error) {
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[groupRow], insertGroup, g.ID, g.StationID, g.StaffID, g.DisplayName, g.Domain,
		g.Purpose, string(g.Stage), g.Opened, g.MemberIDs, by)
	return row, groupTaken.Named(err)
}

// update stores a changed group as its next revision.
func (g groupRow) update(ctx context.Context, tx *tenantdb.Tx) (groupRow, error) {
	return tenantdb.One(ctx, tx, pgx.RowToStructByPos[groupRow], updateGroup, g.ID, g.StaffID, g.DisplayName, g.Domain, g.Purpose,
		string(g.Stage), g.Ended, g.VoidReason, g.MemberIDs, g.Opened,
		g.ReturnReason)
}

var stageToProto = map[stage]activitiesv1.GroupStage{
	preparation: activitiesv1.GroupStage_GROUP_STAGE_PREPARATION,
	formation:   activitiesv1.GroupStage_GROUP_STAGE_FORMATION,
	transition:  activitiesv1.GroupStage_GROUP_STAGE_TRANSITION,
	maturity:    activitiesv1.GroupStage_GROUP_STAGE_MATURITY,
	ending:      activitiesv1.GroupStage_GROUP_STAGE_ENDING,
	voidGroup:   activitiesv1.GroupStage_GROUP_STAGE_VOID,
}

var stageFromProto = enums.Inverse(stageToProto)

func (g groupRow) cursor() string { return g.ID.String() }

func (g groupRow) toProto() *activitiesv1.Group {
	return &activitiesv1.Group{
		Id:           g.ID.String(),
		StationId:    g.StationID.String(),
		StaffId:      g.StaffID.String(),
		DisplayName:  g.DisplayName,
		Domain:       g.Domain,
		Purpose:      g.Purpose,
		Stage:        stageToProto[g.Stage],
		OpenedDate:   civildate.Format(g.Opened),
		EndedDate:    civildate.FormatOptional(g.Ended),
		VoidReason:   g.VoidReason,
		ReturnReason: g.ReturnReason,
		MemberIds:    ids.Strings(g.MemberIDs),
		Etag:         etag.Of(g.Revision),
		CreateTime:   timestamppb.New(g.CreateTime),
		UpdateTime:   timestamppb.New(g.UpdateTime),
	}
}

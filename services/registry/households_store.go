package registry

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/tenantdb"
)

// householdRow is a household as read; its fields are householdColumns by position.
type householdRow struct {
	ID, StationID, CommunityID     uuid.UUID
	HeadName, Address, Phone, Note string
	Revision                       int32
	CreateTime, UpdateTime         time.Time
}

const householdColumns = `id, station_id, community_id, head_name, address, phone, note, revision, create_time, update_time`

var (
	selectHousehold = tenantdb.SQL(`SELECT ` + householdColumns + ` FROM {tenant}.households WHERE ` + inScope)

	lockHousehold = tenantdb.SQL(`SELECT ` + householdColumns + ` FROM {tenant}.households WHERE ` + inScope + `
		FOR NO KEY UPDATE`)

	// A household that a resident joins in this transaction: it does not move meanwhile.
	shareHousehold = tenantdb.SQL(`SELECT ` + householdColumns + ` FROM {tenant}.households
		WHERE id = $1 AND ($2::uuid[] IS NULL OR station_id = ANY($2)) FOR SHARE`)

	selectHouseholds = tenantdb.SQL(`SELECT ` + householdColumns + ` FROM {tenant}.households
		WHERE ` + pageInScope + ` AND ($5::uuid IS NULL OR community_id = $5)
		ORDER BY id LIMIT $2`)

	insertHousehold = tenantdb.SQL(`INSERT INTO {tenant}.households (id, station_id, community_id, head_name, address, phone, note,
			created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ` + householdColumns)

	updateHousehold = tenantdb.SQL(`UPDATE {tenant}.households SET station_id = $2, community_id = $3, head_name = $4, address = $5,
			phone = $6, note = $7, revision = revision + 1, update_time = now()
		WHERE id = $1 RETURNING ` + householdColumns)

	scanHousehold = pgx.RowToAddrOfStructByPos[householdRow]

	householdUniques = uniques{"households_pkey": {Name: "household.id", Description: idTaken}}
)

func (r *householdRow) cursor() string { return r.ID.String() }

func (r *householdRow) toProto() *registryv1.Household {
	return &registryv1.Household{
		Id: r.ID.String(), CommunityId: r.CommunityID.String(), StationId: r.StationID.String(), HeadName: r.HeadName,
		Address: r.Address, Phone: r.Phone, Note: r.Note,
		Etag: etag.Of(r.Revision), CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime),
	}
}

func (r *householdRow) insert(ctx context.Context, tx *tenantdb.Tx) (*householdRow, error) {
	row, err := tenantdb.One(ctx, tx, scanHousehold, insertHousehold,
		r.ID, r.StationID, r.CommunityID, r.HeadName, r.Address, r.Phone, r.Note, caller(ctx))
	return row, householdUniques.named(err)
}

func (r *householdRow) update(ctx context.Context, tx *tenantdb.Tx) (*householdRow, error) {
	return tenantdb.One(ctx, tx, scanHousehold, updateHousehold,
		r.ID, r.StationID, r.CommunityID, r.HeadName, r.Address, r.Phone, r.Note)
}

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

// communityRow is a community as read; its fields are communityColumns by position.
type communityRow struct {
	ID, StationID             uuid.UUID
	DivisionCode, DisplayName string
	Revision                  int32
	CreateTime, UpdateTime    time.Time
}

const communityColumns = `id, station_id, division_code, display_name, revision, create_time, update_time`

var (
	selectCommunity = tenantdb.SQL(`SELECT ` + communityColumns + ` FROM {tenant}.communities WHERE ` + inScope)

	lockCommunity = tenantdb.SQL(`SELECT ` + communityColumns + ` FROM {tenant}.communities WHERE ` + inScope + `
		FOR NO KEY UPDATE`)

	selectCommunities = tenantdb.SQL(`SELECT ` + communityColumns + ` FROM {tenant}.communities
		WHERE ` + pageInScope + ` AND ($5::text IS NULL OR division_code = $5)
		ORDER BY id LIMIT $2`)

	insertCommunity = tenantdb.SQL(`INSERT INTO {tenant}.communities (id, station_id, division_code, display_name, created_by)
		VALUES ($1, $2, $3, $4, $5) RETURNING ` + communityColumns)

	updateCommunity = tenantdb.SQL(`UPDATE {tenant}.communities SET station_id = $2, display_name = $3, revision = revision + 1,
			update_time = now()
		WHERE id = $1 RETURNING ` + communityColumns)

	// The station of a community that a household joins in this transaction, wherever in the scope the community was
	// recorded: it goes to no other station meanwhile.
	shareCommunity = tenantdb.SQL(`SELECT station_id FROM {tenant}.communities
		WHERE id = $1 AND ($2::uuid[] IS NULL OR station_id = ANY($2)) FOR SHARE`)

	scanCommunity = pgx.RowToAddrOfStructByPos[communityRow]

	communityUniques = uniques{
		"communities_pkey":              {Name: "community.id", Description: idTaken},
		"communities_division_code_key": {Name: "community.divisionCode", Description: "is the code of another community"},
	}
)

func (r *communityRow) cursor() string { return r.ID.String() }

func (r *communityRow) toProto() *registryv1.Community {
	return &registryv1.Community{
		Id: r.ID.String(), StationId: r.StationID.String(), DivisionCode: r.DivisionCode, DisplayName: r.DisplayName,
		Etag: etag.Of(r.Revision), CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime),
	}
}

func (r *communityRow) insert(ctx context.Context, tx *tenantdb.Tx) (*communityRow, error) {
	row, err := tenantdb.One(ctx, tx, scanCommunity, insertCommunity, r.ID, r.StationID, r.DivisionCode, r.DisplayName, caller(ctx))
	return row, communityUniques.named(err)
}

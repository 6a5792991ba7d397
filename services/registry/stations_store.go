package registry

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/tenantdb"
)

// stationRow is a station as read; its fields are stationColumns by position.
type stationRow struct {
	ID                                        uuid.UUID
	DivisionCode, DisplayName, Address, Phone string
	OpenedDate                                time.Time
	ClosedDate                                *time.Time
	Revision                                  int32
	CreateTime, UpdateTime                    time.Time
}

const (
	stationColumns = `id, division_code, display_name, address, phone, opened_date, closed_date, revision, create_time, update_time`
	stationInScope = `id = $1 AND ($2::uuid[] IS NULL OR id = ANY($2)) AND ($3::text IS NULL OR created_by = $3)`
)

var (
	selectStation = tenantdb.SQL(`SELECT ` + stationColumns + ` FROM {tenant}.stations WHERE ` + stationInScope)

	lockStation = tenantdb.SQL(`SELECT ` + stationColumns + ` FROM {tenant}.stations WHERE ` + stationInScope + ` FOR UPDATE`)

	selectStations = tenantdb.SQL(`SELECT ` + stationColumns + ` FROM {tenant}.stations
		WHERE id > $1 AND ($3::uuid[] IS NULL OR id = ANY($3)) AND ($4::text IS NULL OR created_by = $4)
			AND ($5::text IS NULL OR division_code = $5)
		ORDER BY id LIMIT $2`)

	insertStation = tenantdb.SQL(`INSERT INTO {tenant}.stations (id, division_code, display_name, address, phone, opened_date,
			closed_date, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ` + stationColumns)

	updateStation = tenantdb.SQL(`UPDATE {tenant}.stations SET display_name = $2, address = $3, phone = $4, opened_date = $5,
			closed_date = $6, revision = revision + 1, update_time = now()
		WHERE id = $1 RETURNING ` + stationColumns)

	// A station that others refer to in this transaction: it is not closed meanwhile.
	shareStation = tenantdb.SQL(`SELECT ` + stationColumns + ` FROM {tenant}.stations
		WHERE id = $1 AND ($2::uuid[] IS NULL OR id = ANY($2)) FOR SHARE`)

	scanStation = pgx.RowToAddrOfStructByPos[stationRow]

	stationUniques = uniques{
		"stations_pkey":              {Name: "station.id", Description: idTaken},
		"stations_division_code_key": {Name: "station.divisionCode", Description: "has a station in operation already"},
	}
)

func (r *stationRow) cursor() string { return r.ID.String() }

func (r *stationRow) operation() period { return period{r.OpenedDate, r.ClosedDate} }

func (r *stationRow) toProto() *registryv1.Station {
	return &registryv1.Station{
		Id: r.ID.String(), DivisionCode: r.DivisionCode, DisplayName: r.DisplayName, Address: r.Address, Phone: r.Phone,
		OpenedDate: civildate.Format(r.OpenedDate), ClosedDate: civildate.FormatOptional(r.ClosedDate),
		Etag: etag.Of(r.Revision), CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime),
	}
}

func (r *stationRow) insert(ctx context.Context, tx *tenantdb.Tx) (*stationRow, error) {
	row, err := tenantdb.One(ctx, tx, scanStation, insertStation,
		r.ID, r.DivisionCode, r.DisplayName, r.Address, r.Phone, r.OpenedDate, r.ClosedDate, caller(ctx))
	return row, stationUniques.named(err)
}

func (r *stationRow) update(ctx context.Context, tx *tenantdb.Tx) (*stationRow, error) {
	row, err := tenantdb.One(ctx, tx, scanStation, updateStation,
		r.ID, r.DisplayName, r.Address, r.Phone, r.OpenedDate, r.ClosedDate)
	return row, stationUniques.named(err)
}

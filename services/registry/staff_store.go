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

// staffRow is a worker as read; its fields are staffColumns by position.
type staffRow struct {
	ID, StationID          uuid.UUID
	Name, Position         string
	PositionSince          *time.Time // nil since the start of service
	Subject                *string
	Phone                  string
	StartDate              time.Time
	EndDate                *time.Time
	Revision               int32
	CreateTime, UpdateTime time.Time
}

const (
	staffColumns = `id, station_id, name, position, position_since, subject, phone, start_date, end_date, revision, create_time,
		update_time`
	inScope = `id = $1 AND ($2::uuid[] IS NULL OR station_id = ANY($2)) AND ($3::text IS NULL OR created_by = $3)`

	// pageInScope is the condition of a page: after the id $1, of the stations $3, recorded by $4.
	pageInScope = `id > $1 AND ($3::uuid[] IS NULL OR station_id = ANY($3)) AND ($4::text IS NULL OR created_by = $4)`
)

var (
	selectStaff = tenantdb.SQL(`SELECT ` + staffColumns + ` FROM {tenant}.staff WHERE ` + inScope)

	lockStaff = tenantdb.SQL(`SELECT ` + staffColumns + ` FROM {tenant}.staff WHERE ` + inScope + ` FOR UPDATE`)

	selectAllStaff = tenantdb.SQL(`SELECT ` + staffColumns + ` FROM {tenant}.staff WHERE ` + pageInScope + ` ORDER BY id LIMIT $2`)

	insertStaff = tenantdb.SQL(`INSERT INTO {tenant}.staff (id, station_id, name, position, position_since, subject, phone, start_date,
			end_date, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING ` + staffColumns)

	updateStaff = tenantdb.SQL(`UPDATE {tenant}.staff SET name = $2, position = $3, position_since = $4, subject = $5, phone = $6,
			start_date = $7, end_date = $8, revision = revision + 1, update_time = now()
		WHERE id = $1 RETURNING ` + staffColumns)

	scanStaff = pgx.RowToAddrOfStructByPos[staffRow]

	staffUniques = uniques{
		"staff_pkey":     {Name: "staff.id", Description: idTaken},
		"staff_one_head": {Name: "staff.position", Description: "must not be head: the station has a head in service"},
	}
)

func (r *staffRow) cursor() string { return r.ID.String() }

func (r *staffRow) toProto() *registryv1.Staff {
	m := &registryv1.Staff{
		Id: r.ID.String(), StationId: r.StationID.String(), Name: r.Name, Position: positions.value(r.Position),
		PositionSince: civildate.Format(r.office().first), Phone: r.Phone, StartDate: civildate.Format(r.StartDate),
		EndDate: civildate.FormatOptional(r.EndDate),
		Etag:    etag.Of(r.Revision), CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime),
	}
	if r.Subject != nil {
		m.Subject = *r.Subject
	}
	return m
}

func (r *staffRow) insert(ctx context.Context, tx *tenantdb.Tx) (*staffRow, error) {
	row, err := tenantdb.One(ctx, tx, scanStaff, insertStaff,
		r.ID, r.StationID, r.Name, r.Position, r.PositionSince, r.Subject, r.Phone, r.StartDate, r.EndDate, caller(ctx))
	return row, staffUniques.named(err)
}

func (r *staffRow) update(ctx context.Context, tx *tenantdb.Tx) (*staffRow, error) {
	row, err := tenantdb.One(ctx, tx, scanStaff, updateStaff,
		r.ID, r.Name, r.Position, r.PositionSince, r.Subject, r.Phone, r.StartDate, r.EndDate)
	return row, staffUniques.named(err)
}

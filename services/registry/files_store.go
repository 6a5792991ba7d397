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

// fileRow is a service file as read; its fields are fileColumns by position.
type fileRow struct {
	ID, StationID, ResidentID, HouseholdID, StaffID uuid.UUID
	Category, Domain, Summary                       string
	BuiltDate                                       time.Time
	State, VoidReason                               string
	Revision                                        int32
	CreateTime, UpdateTime                          time.Time
}

const fileColumns = `id, station_id, resident_id, household_id, staff_id, category, domain, summary, built_date, state, void_reason,
	revision, create_time, update_time`

var (
	selectFile = tenantdb.SQL(`SELECT ` + fileColumns + ` FROM {tenant}.service_files WHERE ` + inScope)

	lockFile = tenantdb.SQL(`SELECT ` + fileColumns + ` FROM {tenant}.service_files WHERE ` + inScope + ` FOR UPDATE`)

	selectFiles = tenantdb.SQL(`SELECT ` + fileColumns + ` FROM {tenant}.service_files
		WHERE ` + pageInScope + ` AND ($5::uuid IS NULL OR resident_id = $5) AND ($6::text IS NULL OR category = $6)
		ORDER BY id LIMIT $2`)

	insertFile = tenantdb.SQL(`INSERT INTO {tenant}.service_files (id, station_id, resident_id, household_id, staff_id, category, domain,
			summary, built_date, state, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'ACTIVE', $10) RETURNING ` + fileColumns)

	updateFile = tenantdb.SQL(`UPDATE {tenant}.service_files SET staff_id = $2, category = $3, domain = $4, summary = $5, built_date = $6,
			state = $7, void_reason = $8, revision = revision + 1, update_time = now()
		WHERE id = $1 RETURNING ` + fileColumns)

	scanFile = pgx.RowToAddrOfStructByPos[fileRow]

	fileUniques = uniques{
		"service_files_pkey":       {Name: "serviceFile.id", Description: idTaken},
		"service_files_one_active": {Name: "serviceFile.category", Description: "has an active file of this resident already"},
	}
)

func (r *fileRow) cursor() string { return r.ID.String() }

func (r *fileRow) toProto() *registryv1.ServiceFile {
	return &registryv1.ServiceFile{
		Id: r.ID.String(), ResidentId: r.ResidentID.String(), HouseholdId: r.HouseholdID.String(), StationId: r.StationID.String(),
		StaffId: r.StaffID.String(), Category: r.Category, Domain: r.Domain, Summary: r.Summary,
		BuiltDate: civildate.Format(r.BuiltDate), State: fileStates.value(r.State), VoidReason: r.VoidReason,
		Etag: etag.Of(r.Revision), CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime),
	}
}

func (r *fileRow) insert(ctx context.Context, tx *tenantdb.Tx) (*fileRow, error) {
	row, err := tenantdb.One(ctx, tx, scanFile, insertFile, r.ID, r.StationID, r.ResidentID, r.HouseholdID, r.StaffID, r.Category,
		r.Domain, r.Summary, r.BuiltDate, caller(ctx))
	return row, fileUniques.named(err)
}

func (r *fileRow) update(ctx context.Context, tx *tenantdb.Tx) (*fileRow, error) {
	row, err := tenantdb.One(ctx, tx, scanFile, updateFile, r.ID, r.StaffID, r.Category, r.Domain, r.Summary, r.BuiltDate, r.State,
		r.VoidReason)
	return row, fileUniques.named(err)
}

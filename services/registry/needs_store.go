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

// needRow is a need as read; its fields are needColumns by position.
type needRow struct {
	ID, StationID, HouseholdID        uuid.UUID
	ResidentID                        *uuid.UUID
	StaffID                           uuid.UUID
	VisitID                           *uuid.UUID
	Domain, Source, Description       string
	RecordedDate                      time.Time
	State                             string
	MetDate                           *time.Time
	Outcome, VoidReason, ReopenReason string
	Revision                          int32
	CreateTime, UpdateTime            time.Time
}

const needColumns = `id, station_id, household_id, resident_id, staff_id, visit_id, domain, source, description, recorded_date,
	state, met_date, outcome, void_reason, reopen_reason, revision, create_time, update_time`

var (
	selectNeed = tenantdb.SQL(`SELECT ` + needColumns + ` FROM {tenant}.needs WHERE ` + inScope)

	lockNeed = tenantdb.SQL(`SELECT ` + needColumns + ` FROM {tenant}.needs WHERE ` + inScope + ` FOR UPDATE`)

	selectNeeds = tenantdb.SQL(`SELECT ` + needColumns + ` FROM {tenant}.needs
		WHERE ` + pageInScope + ` AND ($5::uuid IS NULL OR household_id = $5) AND ($6::uuid IS NULL OR resident_id = $6)
			AND ($7::text IS NULL OR state = $7) AND ($8::text IS NULL OR domain = $8)
		ORDER BY id LIMIT $2`)

	insertNeed = tenantdb.SQL(`INSERT INTO {tenant}.needs (id, station_id, household_id, resident_id, staff_id, visit_id, domain,
			source, description, recorded_date, state, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'OPEN', $11) RETURNING ` + needColumns)

	updateNeed = tenantdb.SQL(`UPDATE {tenant}.needs SET resident_id = $2, staff_id = $3, visit_id = $4, domain = $5, source = $6,
			description = $7, recorded_date = $8, state = $9, met_date = $10, outcome = $11, void_reason = $12, reopen_reason = $13,
			revision = revision + 1, update_time = now()
		WHERE id = $1 RETURNING ` + needColumns)

	shareVisitOfHousehold = tenantdb.SQL(`SELECT visit_date FROM {tenant}.visits
		WHERE id = $1 AND household_id = $2 AND state = 'COMPLETED' FOR SHARE`)

	scanNeed = pgx.RowToAddrOfStructByPos[needRow]

	needUniques = uniques{"needs_pkey": {Name: "need.id", Description: idTaken}}
)

func (r *needRow) cursor() string { return r.ID.String() }

func (r *needRow) toProto() *registryv1.Need {
	return &registryv1.Need{
		Id: r.ID.String(), HouseholdId: r.HouseholdID.String(), ResidentId: optionalID(r.ResidentID), StationId: r.StationID.String(),
		StaffId: r.StaffID.String(), VisitId: optionalID(r.VisitID), Domain: r.Domain, Source: r.Source, Description: r.Description,
		RecordedDate: civildate.Format(r.RecordedDate), State: needStates.value(r.State), MetDate: civildate.FormatOptional(r.MetDate),
		Outcome: r.Outcome, VoidReason: r.VoidReason, ReopenReason: r.ReopenReason,
		Etag: etag.Of(r.Revision), CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime),
	}
}

// optionalID is the text of an id, empty for nil.
func optionalID(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

func (r *needRow) insert(ctx context.Context, tx *tenantdb.Tx) (*needRow, error) {
	row, err := tenantdb.One(ctx, tx, scanNeed, insertNeed, r.ID, r.StationID, r.HouseholdID, r.ResidentID, r.StaffID, r.VisitID,
		r.Domain, r.Source, r.Description, r.RecordedDate, caller(ctx))
	return row, needUniques.named(err)
}

func (r *needRow) update(ctx context.Context, tx *tenantdb.Tx) (*needRow, error) {
	return tenantdb.One(ctx, tx, scanNeed, updateNeed, r.ID, r.ResidentID, r.StaffID, r.VisitID, r.Domain, r.Source, r.Description,
		r.RecordedDate, r.State, r.MetDate, r.Outcome, r.VoidReason, r.ReopenReason)
}

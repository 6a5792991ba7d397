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
	"circle15.dev/internal/idnumber"
	"circle15.dev/internal/tenantdb"
)

// volunteerRow is a volunteer as read; its fields are volunteerColumns by position.
type volunteerRow struct {
	ID, StationID, TeamID  uuid.UUID
	Name                   string
	IdentityNumber         *string
	Phone                  string
	Skills                 []string
	RegisteredDate         time.Time
	TeamSince              time.Time
	WithdrawnDate          *time.Time
	State, VoidReason      string
	Revision               int32
	CreateTime, UpdateTime time.Time
}

const volunteerColumns = `id, station_id, team_id, name, identity_number, phone, skills, registered_date,
	coalesce(team_since, registered_date), withdrawn_date, state, void_reason, revision, create_time, update_time`

var (
	selectVolunteer = tenantdb.SQL(`SELECT ` + volunteerColumns + ` FROM {tenant}.volunteers WHERE ` + inScope)

	lockVolunteer = tenantdb.SQL(`SELECT ` + volunteerColumns + ` FROM {tenant}.volunteers WHERE ` + inScope + ` FOR UPDATE`)

	selectVolunteers = tenantdb.SQL(`SELECT ` + volunteerColumns + ` FROM {tenant}.volunteers
		WHERE ` + pageInScope + ` AND ($5::uuid IS NULL OR team_id = $5)
		ORDER BY id LIMIT $2`)

	insertVolunteer = tenantdb.SQL(`INSERT INTO {tenant}.volunteers (id, station_id, team_id, name, identity_number, phone, skills,
			registered_date, team_since, withdrawn_date, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING ` + volunteerColumns)

	updateVolunteer = tenantdb.SQL(`UPDATE {tenant}.volunteers SET station_id = $2, team_id = $3, name = $4, identity_number = $5,
			phone = $6, skills = $7, registered_date = $8, team_since = $9, withdrawn_date = $10, state = $11, void_reason = $12,
			revision = revision + 1, update_time = now()
		WHERE id = $1 RETURNING ` + volunteerColumns)

	scanVolunteer = pgx.RowToAddrOfStructByPos[volunteerRow]

	volunteerUniques = uniques{
		"volunteers_pkey":                {Name: "volunteer.id", Description: idTaken},
		"volunteers_identity_number_key": {Name: "volunteer.identityNumber", Description: "is that of a registered volunteer"},
	}
)

func (r *volunteerRow) cursor() string { return r.ID.String() }

func (r *volunteerRow) being() period { return period{r.RegisteredDate, r.WithdrawnDate} }

// toProto is the volunteer as returned: with a masked identity number.
func (r *volunteerRow) toProto() *registryv1.Volunteer {
	m := &registryv1.Volunteer{
		Id: r.ID.String(), TeamId: r.TeamID.String(), TeamSince: civildate.Format(r.TeamSince),
		StationId: r.StationID.String(), Name: r.Name, Phone: r.Phone, Skills: r.Skills,
		RegisteredDate: civildate.Format(r.RegisteredDate), WithdrawnDate: civildate.FormatOptional(r.WithdrawnDate),
		State: volunteerStates.value(r.State), VoidReason: r.VoidReason,
		Etag: etag.Of(r.Revision), CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime),
	}
	if r.IdentityNumber != nil {
		m.MaskedIdentityNumber = idnumber.Mask(*r.IdentityNumber)
	}
	return m
}

// toWhole is the volunteer with the identity number, to which an update is applied. It is never returned.
func (r *volunteerRow) toWhole() *registryv1.Volunteer {
	m := r.toProto()
	if r.IdentityNumber != nil {
		m.IdentityNumber = *r.IdentityNumber
	}
	return m
}

func (r *volunteerRow) insert(ctx context.Context, tx *tenantdb.Tx) (*volunteerRow, error) {
	row, err := tenantdb.One(ctx, tx, scanVolunteer, insertVolunteer, r.ID, r.StationID, r.TeamID, r.Name, r.IdentityNumber, r.Phone,
		r.Skills, r.RegisteredDate, r.TeamSince, r.WithdrawnDate, caller(ctx))
	return row, volunteerUniques.named(err)
}

func (r *volunteerRow) update(ctx context.Context, tx *tenantdb.Tx) (*volunteerRow, error) {
	row, err := tenantdb.One(ctx, tx, scanVolunteer, updateVolunteer, r.ID, r.StationID, r.TeamID, r.Name, r.IdentityNumber, r.Phone,
		r.Skills, r.RegisteredDate, r.TeamSince, r.WithdrawnDate, r.State, r.VoidReason)
	return row, volunteerUniques.named(err)
}

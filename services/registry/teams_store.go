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

// teamRow is a volunteer team as read; its fields are teamColumns by position.
type teamRow struct {
	ID, StationID          uuid.UUID
	DisplayName, Domain    string
	FoundedDate            time.Time
	DissolvedDate          *time.Time
	State, VoidReason      string
	Revision               int32
	CreateTime, UpdateTime time.Time
}

const teamColumns = `id, station_id, display_name, domain, founded_date, dissolved_date, state, void_reason, revision,
	create_time, update_time`

var (
	selectTeam = tenantdb.SQL(`SELECT ` + teamColumns + ` FROM {tenant}.volunteer_teams WHERE ` + inScope)

	lockTeam = tenantdb.SQL(`SELECT ` + teamColumns + ` FROM {tenant}.volunteer_teams WHERE ` + inScope + ` FOR UPDATE`)

	// A team that a volunteer joins in this transaction: it is not dissolved meanwhile.
	shareTeam = tenantdb.SQL(`SELECT ` + teamColumns + ` FROM {tenant}.volunteer_teams
		WHERE id = $1 AND ($2::uuid[] IS NULL OR station_id = ANY($2)) FOR SHARE`)

	selectTeams = tenantdb.SQL(`SELECT ` + teamColumns + ` FROM {tenant}.volunteer_teams WHERE ` + pageInScope + ` ORDER BY id LIMIT $2`)

	insertTeam = tenantdb.SQL(`INSERT INTO {tenant}.volunteer_teams (id, station_id, display_name, domain, founded_date, dissolved_date,
			created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ` + teamColumns)

	updateTeam = tenantdb.SQL(`UPDATE {tenant}.volunteer_teams SET display_name = $2, domain = $3, founded_date = $4,
			dissolved_date = $5, state = $6, void_reason = $7, revision = revision + 1, update_time = now()
		WHERE id = $1 RETURNING ` + teamColumns)

	scanTeam = pgx.RowToAddrOfStructByPos[teamRow]

	teamUniques = uniques{"volunteer_teams_pkey": {Name: "volunteerTeam.id", Description: idTaken}}
)

func (r *teamRow) cursor() string { return r.ID.String() }

func (r *teamRow) being() period { return period{r.FoundedDate, r.DissolvedDate} }

func (r *teamRow) toProto() *registryv1.VolunteerTeam {
	return &registryv1.VolunteerTeam{
		Id: r.ID.String(), StationId: r.StationID.String(), DisplayName: r.DisplayName, Domain: r.Domain,
		FoundedDate: civildate.Format(r.FoundedDate), DissolvedDate: civildate.FormatOptional(r.DissolvedDate),
		State: teamStates.value(r.State), VoidReason: r.VoidReason,
		Etag: etag.Of(r.Revision), CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime),
	}
}

func (r *teamRow) insert(ctx context.Context, tx *tenantdb.Tx) (*teamRow, error) {
	row, err := tenantdb.One(ctx, tx, scanTeam, insertTeam,
		r.ID, r.StationID, r.DisplayName, r.Domain, r.FoundedDate, r.DissolvedDate, caller(ctx))
	return row, teamUniques.named(err)
}

func (r *teamRow) update(ctx context.Context, tx *tenantdb.Tx) (*teamRow, error) {
	return tenantdb.One(ctx, tx, scanTeam, updateTeam, r.ID, r.DisplayName, r.Domain, r.FoundedDate, r.DissolvedDate, r.State, r.VoidReason)
}

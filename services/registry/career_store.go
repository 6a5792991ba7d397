package registry

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/tenantdb"
)

// The table holds the memberships that are over; the present one is in the volunteer's row.
var (
	selectFormer = tenantdb.SQL(`SELECT team_id, station_id, first_day FROM {tenant}.volunteer_memberships
		WHERE volunteer_id = $1 ORDER BY first_day`)

	deleteFormer = tenantdb.SQL(`DELETE FROM {tenant}.volunteer_memberships WHERE volunteer_id = $1`)

	insertFormer = tenantdb.SQL(`INSERT INTO {tenant}.volunteer_memberships (volunteer_id, team_id, station_id, first_day, last_day)
		VALUES ($1, $2, $3, $4, $5)`)

	scanMembership = pgx.RowToStructByPos[membership]
)

// career reads the memberships of the volunteer, whose lock the caller holds.
func (r *volunteerRow) career(ctx context.Context, tx *tenantdb.Tx) (career, error) {
	former, err := tenantdb.All(ctx, tx, scanMembership, selectFormer, r.ID)
	return append(career(former), membership{r.TeamID, r.StationID, r.TeamSince}), err
}

// keepFormer writes the memberships that are over in the stead of those that are stored, unless the career is as before.
func (c career) keepFormer(tx *tenantdb.Tx, volunteer uuid.UUID, before career) {
	if c.equal(before) {
		return
	}
	tx.Queue(deleteFormer, volunteer)
	for i, m := range c[:len(c)-1] {
		tx.Queue(insertFormer, volunteer, m.Team, m.Station, m.First, *c.last(i, nil))
	}
}

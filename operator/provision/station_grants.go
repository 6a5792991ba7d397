package provision

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenant"
)

// StationGrantedBy stands in role_grants.created_by of the grants of EnsureStationGrants. They are apart from the grants
// of a Policy, which are written before the stations of a new tenant exist.
const StationGrantedBy = "circle15:operator:station"

// StationGrant gives a role at one station to an OIDC subject.
type StationGrant struct {
	Subject string
	Role    string
	Station string // the division code of an open station, nine digits
}

// EnsureStationGrants makes exactly these grants, of those that it made earlier the others are taken away. Refusals:
// InvalidSpec for a role that the tenant does not have or that is not about a station, and for a station that is not
// there or closed.
func (p *Provisioner) EnsureStationGrants(ctx context.Context, name tenant.Name, grants []StationGrant) error {
	return p.inTenantLock(ctx, name, func(tx pgx.Tx) error {
		var keys, stations []uuid.UUID
		var subjects, roles []string
		for _, g := range grants {
			station, err := RoleGrant{Subject: g.Subject, Role: g.Role, Station: g.Station}.station(ctx, tx, name)
			if err != nil {
				return err
			}
			if station == nil {
				return refuseField(InvalidSpec, "station", "the grant of %s to %s names no station", g.Role, g.Subject)
			}
			keys, stations = append(keys, ids.New()), append(stations, *station)
			subjects, roles = append(subjects, g.Subject), append(roles, g.Role)
		}
		table := ident(name.Schema(), "role_grants")
		return execAll(ctx, tx, []statement{
			{
				fmt.Sprintf(`DELETE FROM %s g WHERE g.created_by = $1 AND NOT EXISTS (
				SELECT FROM unnest($2::text[], $3::text[], $4::uuid[]) AS want (subject, role, station)
				WHERE (want.subject, want.role, want.station) = (g.subject, g.role, g.station_id))`, table),
				[]any{StationGrantedBy, subjects, roles, stations},
			},
			{fmt.Sprintf(`INSERT INTO %s (id, subject, role, station_id, created_by)
				SELECT id, subject, role, station, $5 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[]) AS want (id, subject, role, station)
				ON CONFLICT DO NOTHING`, table), []any{keys, subjects, roles, stations, StationGrantedBy}},
		})
	})
}

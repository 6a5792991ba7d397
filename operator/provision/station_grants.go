package provision

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/tenant"
)

// StationGrantedBy stands in role_grants.created_by of the grants of EnsureStationGrants. They are apart from the grants
// of a Policy, which are written before the stations of a new tenant exist.
const StationGrantedBy = authz.ByOperatorAtStation

// StationGrant gives a role at one station to an OIDC subject.
type StationGrant struct {
	Subject string `json:"subject"`
	Role    string `json:"role"`
	Station string `json:"station"` // the division code of an open station, nine digits
}

// EnsureStationGrants makes exactly these grants, of those that it made earlier the others are taken away. Refusals:
// InvalidSpec for a malformed subject, a role that the tenant does not have or that is not about a station, and for a station that is not
// there or closed.
func (p *Provisioner) EnsureStationGrants(ctx context.Context, name tenant.Name, grants []StationGrant) error {
	return p.inTenantLock(ctx, name, func(tx pgx.Tx) error {
		for _, g := range grants {
			if err := checkSubject("subject", g.Subject); err != nil {
				return err
			}
			station, err := RoleGrant{Subject: g.Subject, Role: g.Role, Station: g.Station}.station(ctx, tx, name)
			if err != nil {
				return err
			}
			if station == nil {
				return refuseField(InvalidSpec, "station", "the grant of %s to %s names no station", g.Role, g.Subject)
			}
		}
		if grants == nil {
			grants = []StationGrant{}
		}
		record, err := json.Marshal(grants)
		if err != nil {
			return err
		}
		return execAll(ctx, tx, append(setStationGrants(name.Schema(), grants), statement{
			`UPDATE circle15.tenants SET station_grants = $2, updated_at = now() WHERE name = $1 AND station_grants IS DISTINCT FROM $2`,
			[]any{string(name), record},
		}))
	})
}

// setStationGrants makes the grants at those of the stations that are open, and takes the others away. A grant at a
// station that has closed stays: it was made, and reaches nothing new.
func setStationGrants(schema string, grants []StationGrant) []statement {
	table, stations := ident(schema, "role_grants"), ident(schema, "stations")
	subjects, roles, codes := stationGrantColumns(grants)
	return []statement{
		{
			audited(schema, StationGrantedBy, roleTaken, fmt.Sprintf(`DELETE FROM %s g WHERE g.created_by = $1 AND NOT EXISTS (
				SELECT FROM unnest($2::text[], $3::text[], $4::text[]) AS want (subject, role, station)
				JOIN %s s ON s.division_code = want.station
				WHERE (want.subject, want.role, s.id) = (g.subject, g.role, g.station_id))`, table, stations)),
			[]any{StationGrantedBy, subjects, roles, codes},
		},
		{
			audited(schema, StationGrantedBy, roleGiven, fmt.Sprintf(`INSERT INTO %s AS g (id, subject, role, station_id, created_by)
				SELECT want.id, want.subject, want.role, s.id, $5
				FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS want (id, subject, role, station)
				JOIN %s s ON s.division_code = want.station AND s.closed_date IS NULL
				%s`, table, stations, keepForGood)),
			[]any{newIDs(len(grants)), subjects, roles, codes, StationGrantedBy},
		},
	}
}

func stationGrantColumns(grants []StationGrant) (subjects, roles, stations []string) {
	for _, g := range grants {
		subjects, roles, stations = append(subjects, g.Subject), append(roles, g.Role), append(stations, g.Station)
	}
	return subjects, roles, stations
}

package provision

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenant"
)

// RoleGrant is a role for one subject, at a station or in the whole tenant.
type RoleGrant struct {
	Subject   string
	Role      string
	Station   string // the division code of an open station (nine digits, GB/T 10114); empty for the whole tenant
	GrantedBy string // as in role_grants.created_by; not GrantedBy, whose grants follow the Policy
}

// CheckGrant returns the refusal that GrantRole would return, and changes nothing.
func (p *Provisioner) CheckGrant(ctx context.Context, name tenant.Name, g RoleGrant) error {
	if err := checkSubject("subject", g.Subject); err != nil {
		return err
	}
	if _, err := p.Show(ctx, name); err != nil {
		return err
	}
	return pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		_, err := g.check(ctx, tx, name)
		return err
	})
}

// GrantRole gives the subject the role, unless it has it for good already. Refusals: NotFound; InvalidSpec for a
// malformed subject, a role or station that the tenant does not have, a station that is missing or out of place, and for a
// second one of the three administrators' roles, which are kept apart.
func (p *Provisioner) GrantRole(ctx context.Context, name tenant.Name, g RoleGrant) error {
	if err := checkSubject("subject", g.Subject); err != nil {
		return err
	}
	if _, err := p.Show(ctx, name); err != nil {
		return err
	}
	return p.inTenantLock(ctx, name, func(tx pgx.Tx) error {
		station, err := g.check(ctx, tx, name)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, audited(name.Schema(), g.GrantedBy, roleGiven, `INSERT INTO `+ident(name.Schema(), "role_grants")+`
			AS g (id, subject, role, station_id, created_by) VALUES ($1, $2, $3, $4, $5) `+keepForGood),
			ids.New(), g.Subject, g.Role, station, g.GrantedBy)
		return err
	})
}

// check finds the station of a grant that may be made.
func (g RoleGrant) check(ctx context.Context, tx pgx.Tx, name tenant.Name) (*uuid.UUID, error) {
	station, err := g.station(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	return station, g.checkDuties(ctx, tx, name)
}

// checkDuties refuses to make the subject a second one of the three administrators.
func (g RoleGrant) checkDuties(ctx context.Context, tx pgx.Tx, name tenant.Name) error {
	rows, err := tx.Query(ctx, `SELECT role FROM `+ident(name.Schema(), "role_grants")+`
		WHERE subject = $1 AND role = ANY ($2) AND (expires_at IS NULL OR expires_at > now()) ORDER BY role`,
		g.Subject, authz.ApartFrom(g.Role))
	if err != nil {
		return err
	}
	held, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(held) > 0 {
		return refuseField(InvalidSpec, "role", "%s and %s are kept apart, and %q holds the other: give it to someone else",
			g.Role, held[0], g.Subject)
	}
	return err
}

// station finds the station, and checks that the role is there and asks for one.
func (g RoleGrant) station(ctx context.Context, tx pgx.Tx, name tenant.Name) (*uuid.UUID, error) {
	var known, byStation bool
	var station *uuid.UUID
	err := tx.QueryRow(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT FROM %[1]s WHERE name = $1),
			EXISTS (SELECT FROM %[2]s WHERE role = $1 AND level IN ('own', 'station')),
			(SELECT id FROM %[3]s WHERE division_code = $2 AND closed_date IS NULL)`,
		ident(name.Schema(), "roles"), ident(name.Schema(), "role_rules"), ident(name.Schema(), "stations")),
		g.Role, g.Station).Scan(&known, &byStation, &station)
	switch {
	case err != nil:
		return nil, err
	case !known:
		return nil, refuseField(InvalidSpec, "role", "tenant %s has no role %q", name, g.Role)
	case byStation && g.Station == "":
		return nil, refuseField(InvalidSpec, "station", "the role %s is about the records of a station: name one", g.Role)
	case !byStation && g.Station != "":
		return nil, refuseField(InvalidSpec, "station", "the role %s is not about a station: leave it out", g.Role)
	case g.Station != "" && station == nil:
		return nil, refuseField(InvalidSpec, "station", "tenant %s has no open station in division %s", name, g.Station)
	}
	return station, nil
}

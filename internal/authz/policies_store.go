package authz

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
)

var (
	selectVersion = tenantdb.SQL(`SELECT version FROM {tenant}.policy_version`)
	selectRules   = tenantdb.SQL(`SELECT role, resource, action, level FROM {tenant}.role_rules`)
	selectGrants  = tenantdb.SQL(`SELECT subject, role, station_id, expires_at FROM {tenant}.role_grants
		WHERE expires_at IS NULL OR expires_at > now()`)
)

func readVersion(ctx context.Context, q tenantdb.Querier) (int64, error) {
	version, err := tenantdb.One(ctx, q, pgx.RowTo[int64], selectVersion)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, apierr.New(apierr.Internal, "the tenant has no policy version").Cause(err)
	}
	return version, err
}

// readPolicy reads the policy as of one moment.
func readPolicy(ctx context.Context, db *tenantdb.DB, t tenant.Name) (Policy, error) {
	p := Policy{Tenant: t}
	err := db.Read(ctx, func(ctx context.Context, tx *tenantdb.Tx) (err error) {
		if p.Version, err = readVersion(ctx, tx); err != nil {
			return err
		}
		if p.Rules, err = tenantdb.All(ctx, tx, pgx.RowToStructByPos[Rule], selectRules); err != nil {
			return err
		}
		p.Grants, err = tenantdb.All(ctx, tx, pgx.RowToStructByPos[Grant], selectGrants)
		return err
	})
	return p, err
}

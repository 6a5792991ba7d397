package tenantdb

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// LoginError is a login that could do more than take the tenants' roles one at a time: with it a mistake in the services
// would be a hole in what keeps the tenants apart.
type LoginError struct {
	Cluster string // the database cluster that it is for
	Login   string
	Power   string // "is a superuser"
}

// Error implements error.
func (e *LoginError) Error() string {
	return fmt.Sprintf("the login %s of database cluster %q %s: use circle15_app, which owns nothing and has no rights but a tenant's",
		e.Login, e.Cluster, e.Power)
}

// selectPower is the login, and the first thing that it is or may do and an app login must not; null where there is none.
const selectPower = "select current_user, case" +
	" when rolsuper then 'is a superuser'" +
	" when rolcreaterole then 'may create roles'" +
	" when rolcreatedb then 'may create databases'" +
	" when rolreplication then 'may replicate the database'" +
	" when rolbypassrls then 'passes over row security'" +
	" when rolinherit then 'has the rights of all its roles at once (INHERIT)'" +
	" when exists (select from pg_catalog.pg_namespace n where n.nspowner = r.oid) then 'owns schemas'" +
	" end from pg_catalog.pg_roles r where rolname = current_user"

// checkLogin returns a LoginError where the connection's login may do more than it should.
func checkLogin(ctx context.Context, pg *pgconn.PgConn, cluster string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	result := pg.ExecParams(ctx, selectPower, nil, nil, nil, nil).Read()
	if result.Err != nil {
		return result.Err
	}
	for _, row := range result.Rows {
		if row[1] != nil {
			return &LoginError{Cluster: cluster, Login: string(row[0]), Power: string(row[1])}
		}
	}
	return nil
}

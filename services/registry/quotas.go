package registry

import (
	"context"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
)

// quota bounds how many of something the tenant may have at a time.
type quota struct {
	what string // in English, as the refusal names it
	cure string // what to do about it
	name string // of the lock; the operator takes that of stations too
	of   func(tenantdb.Quotas) tenantdb.Quota
	// among counts the rows in being, at most as many as its parameter says.
	among *tenantdb.Stmt
}

// What has ended, or ends today, counts no more; what has yet to begin counts already.
var (
	stationQuota = quota{
		what: "stations in operation", cure: "close one", name: "stations",
		of: func(q tenantdb.Quotas) tenantdb.Quota { return q.Stations },
		among: tenantdb.SQL(`SELECT count(*) FROM (SELECT FROM {tenant}.stations
			WHERE closed_date IS NULL OR closed_date > (now() AT TIME ZONE interval '8 hours')::date LIMIT $1) AS counted`),
	}
	staffQuota = quota{
		what: "workers in service", cure: "end the service of one", name: "staff",
		of: func(q tenantdb.Quotas) tenantdb.Quota { return q.Staff },
		among: tenantdb.SQL(`SELECT count(*) FROM (SELECT FROM {tenant}.staff
			WHERE end_date IS NULL OR end_date > (now() AT TIME ZONE interval '8 hours')::date LIMIT $1) AS counted`),
	}
	residentQuota = quota{
		what: "residents", name: "residents",
		of:    func(q tenantdb.Quotas) tenantdb.Quota { return q.Residents },
		among: tenantdb.SQL(`SELECT count(*) FROM (SELECT FROM {tenant}.residents LIMIT $1) AS counted`),
	}
)

// lockOfQuotas is the name of the locks under which what a quota bounds is counted, one for each quota.
const lockOfQuotas = "quota"

// check refuses the transaction, which has added one, when there are more than the tenant may have by now. It comes last:
// whoever adds another waits for this transaction's end, and counts then. A quota that was lowered below what is there
// refuses nothing but more. Without a quota nothing is locked or counted. Errors: QuotaExceeded.
func (q quota) check(ctx context.Context, db *tenantdb.DB, tx *tenantdb.Tx) error {
	place, err := db.Placement(ctx)
	if err != nil {
		return err
	}
	limit := q.of(place.Quotas)
	if !limit.Set {
		return nil
	}
	if err := queueUp(ctx, db, tx, lockOfQuotas, q.name); err != nil {
		return err
	}
	n, err := tenantdb.One(ctx, tx, pgx.RowTo[int64], q.among, int64(limit.Most)+1)
	if err != nil || n <= int64(limit.Most) {
		return err
	}
	cure := "ask the province for a higher quota"
	if q.cure != "" {
		cure = q.cure + ", or " + cure
	}
	return apierr.New(apierr.QuotaExceeded, "the tenant's quota of %d %s is used up; %s", limit.Most, q.what, cure)
}

package registry

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
)

// exclusive is what only one record at a time may hold, such as the place of a township's station. The unique indexes
// see the holders without an end alone; these are all, past and planned.
type exclusive struct {
	name  string       // of the lock
	taken apierr.Field // the field that asks for it, and what is wrong then
	// overlapping says whether a record other than $2 holds the key $1 on one of the days from $3 to $4, NULL for no end.
	overlapping *tenantdb.Stmt
}

var (
	townshipsStation = exclusive{
		name:  "station",
		taken: apierr.Field{Name: "station.divisionCode", Description: "has another station in operation at that time"},
		overlapping: tenantdb.SQL(`SELECT EXISTS (SELECT FROM {tenant}.stations WHERE division_code = $1 AND id <> $2
			AND opened_date <= coalesce($4::date, 'infinity') AND coalesce(closed_date, 'infinity') >= $3)`),
	}
	stationsHead = exclusive{
		name:  "head",
		taken: apierr.Field{Name: "staff.position", Description: "must not be head: the station has another head at that time"},
		overlapping: tenantdb.SQL(`SELECT EXISTS (SELECT FROM {tenant}.staff WHERE station_id = $1::text::uuid AND id <> $2
			AND position = 'HEAD' AND coalesce(position_since, start_date) <= coalesce($4::date, 'infinity')
			AND coalesce(end_date, 'infinity') >= $3)`),
	}
	personsVolunteering = exclusive{
		name:  "volunteer",
		taken: apierr.Field{Name: "volunteer.identityNumber", Description: "is that of another registered volunteer at that time"},
		overlapping: tenantdb.SQL(`SELECT EXISTS (SELECT FROM {tenant}.volunteers WHERE identity_number = $1 AND id <> $2
			AND state <> 'VOID' AND registered_date <= coalesce($4::date, 'infinity') AND coalesce(withdrawn_date, 'infinity') >= $3)`),
	}
)

// lockKey takes the tenant's advisory lock of the name $1 and the key $3; $2 is the schema.
var lockKey = tenantdb.SQL(`SELECT pg_advisory_xact_lock(hashtextextended('circle15:' || $1 || ':' || $2 || ':' || $3, 0))::text`)

// queueUp has the transactions that ask for one key go on one after the other, each until its end. The lock is queued: the
// next statement, in the same round trip, sees what was committed while it waited.
func queueUp(ctx context.Context, db *tenantdb.DB, tx *tenantdb.Tx, name, key string) error {
	place, err := db.Placement(ctx)
	if err != nil {
		return err
	}
	tx.Queue(lockKey, name, place.Tenant.Schema(), key)
	return nil
}

// check refuses the record with the id when another holds the key on a day of the period. It comes before the record is
// written, after the locks of rows and before that of a quota. The key is not repeated: it may be a person's number.
// Errors: AlreadyExists.
func (x exclusive) check(ctx context.Context, db *tenantdb.DB, tx *tenantdb.Tx, key string, id uuid.UUID, p period) error {
	if err := queueUp(ctx, db, tx, x.name, key); err != nil {
		return err
	}
	taken, err := tenantdb.One(ctx, tx, pgx.RowTo[bool], x.overlapping, key, id, p.first, p.last)
	if err != nil || !taken {
		return err
	}
	return apierr.New(apierr.AlreadyExists, "%s: %s", x.taken.Name, x.taken.Description).With(x.taken.Name, x.taken.Description)
}

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

// Those who ask for one key do so one after the other, each until its transaction ends.
var lockKey = tenantdb.SQL(`SELECT pg_advisory_xact_lock(hashtextextended('circle15:' || $1 || ':' || $2 || ':' || $3, 0))::text`)

// check refuses the record with the id when another holds the key on a day of the period. It comes before the record is
// written, after the locks of rows and before that of a quota. The key is not repeated: it may be a person's number.
// Errors: AlreadyExists.
func (x exclusive) check(ctx context.Context, db *tenantdb.DB, tx *tenantdb.Tx, key string, id uuid.UUID, p period) error {
	place, err := db.Placement(ctx)
	if err != nil {
		return err
	}
	// Two statements in one round trip: the second sees what was committed while the first waited.
	tx.Queue(lockKey, x.name, place.Tenant.Schema(), key)
	taken, err := tenantdb.One(ctx, tx, pgx.RowTo[bool], x.overlapping, key, id, p.first, p.last)
	if err != nil || !taken {
		return err
	}
	return apierr.New(apierr.AlreadyExists, "%s: %s", x.taken.Name, x.taken.Description).With(x.taken.Name, x.taken.Description)
}

package refs

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/tenantdb"
)

var stationOpened = tenantdb.SQL(`SELECT opened_date FROM {tenant}.stations WHERE id = $1`)

// SinceOpened refuses the day in the field of an act of the station, which is resolved already, before the station opened.
func SinceOpened(ctx context.Context, q tenantdb.Querier, field string, station uuid.UUID, day time.Time) error {
	opened, err := tenantdb.One(ctx, q, pgx.RowTo[time.Time], stationOpened, station)
	if err == nil && day.Before(opened) {
		err = apierr.InvalidField(field, "must not be before the station opened, on %s", civildate.Format(opened))
	}
	return err
}

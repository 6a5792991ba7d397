package write

import (
	"context"
	"log/slog"
	"time"

	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
)

// leastPause is what Sweep waits between two tenants at least, however many there are.
const leastPause = time.Second

// Purge removes the keys of the tenant in ctx that are older than age, with the replies stored under them, and says how
// many.
func Purge(ctx context.Context, db *tenantdb.DB, age time.Duration) (int64, error) {
	var removed int64
	for {
		var some int64
		err := db.Write(ctx, func(ctx context.Context, tx *tenantdb.Tx) (err error) {
			some, err = tx.Exec(ctx, deleteOldKeys, age, purgeMost)
			return err
		})
		removed += some
		if err != nil || some < purgeMost {
			return removed, err
		}
	}
}

// Sweep purges the tenants one after the other, each about once in a period, until ctx ends: replies hold personal data,
// and a tenant that has stopped writing removes none by itself. It may run in every replica at once.
func Sweep(ctx context.Context, db *tenantdb.DB, tenants func() []tenant.Name, period time.Duration) {
	for {
		names := tenants()
		pause := max(period/time.Duration(len(names)+1), min(leastPause, period))
		for _, name := range names {
			if _, err := Purge(tenant.With(ctx, name), db, retention); err != nil && ctx.Err() == nil {
				slog.WarnContext(ctx, "old idempotency keys could not be removed", "tenant", name, "error", err)
			}
			if wait(ctx, pause) != nil {
				return
			}
		}
		if wait(ctx, pause) != nil {
			return
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

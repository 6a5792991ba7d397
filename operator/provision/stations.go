package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenant"
)

// Station is a station to be created with a tenant.
type Station struct {
	DivisionCode string // nine digits
	DisplayName  string
}

// createStationsSQL inserts the stations that no row, open or closed, stands for yet, and counts each in service_facts,
// as the registry does when a person opens one.
const createStationsSQL = `
WITH want AS (
	SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]) AS w (id, division_code, display_name)
), made AS (
	INSERT INTO %[1]s (id, division_code, display_name, opened_date, created_by)
	SELECT w.id, w.division_code, w.display_name, $4, $5 FROM want w
	WHERE NOT EXISTS (SELECT FROM %[1]s s WHERE s.division_code = w.division_code)
	RETURNING id, opened_date
)
INSERT INTO %[2]s (measure, fact_date, station_id, amount, source_type, source_id)
SELECT 'stations', opened_date, id, 1, 'stations', id FROM made`

// EnsureStations creates the stations that the tenant does not have, opened on the given day, and returns how many it
// created. A station that was closed since stays closed. Refusal: QuotaExceeded, for all of them, where there would be more
// stations in operation than the tenant may have.
func (p *Provisioner) EnsureStations(ctx context.Context, name tenant.Name, opened time.Time, stations []Station) (int, error) {
	var keys []uuid.UUID
	var codes, names []string
	for _, s := range stations {
		keys, codes, names = append(keys, ids.New()), append(codes, s.DivisionCode), append(names, s.DisplayName)
	}
	created := 0
	err := p.inTenantLock(ctx, name, func(tx pgx.Tx) error {
		sql := fmt.Sprintf(createStationsSQL, ident(name.Schema(), "stations"), ident(name.Schema(), "service_facts"))
		tag, err := tx.Exec(ctx, sql, keys, codes, names, opened, GrantedBy)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		created = int(tag.RowsAffected())
		return checkStations(ctx, tx, name)
	})
	if err != nil {
		return 0, err
	}
	return created, nil
}

// checkStations refuses the transaction, which has added stations, when there are more than the quota by now. Like the
// services it counts under the quota's lock, which it keeps until its end.
func checkStations(ctx context.Context, tx pgx.Tx, name tenant.Name) error {
	var most *int
	err := tx.QueryRow(ctx, `SELECT max_stations FROM circle15.tenants WHERE name = $1`, string(name)).Scan(&most)
	if err != nil || most == nil {
		return err
	}
	lock := statement{`SELECT pg_advisory_xact_lock(hashtextextended('circle15:quota:' || $1 || ':stations', 0))`, []any{name.Schema()}}
	if err := execAll(ctx, tx, []statement{lock}); err != nil {
		return err
	}
	var n int
	sql := `SELECT count(*) FROM ` + ident(name.Schema(), "stations") + ` WHERE closed_date IS NULL OR closed_date > ` + today
	if err := tx.QueryRow(ctx, sql).Scan(&n); err != nil || n <= *most {
		return err
	}
	return refuseField(QuotaExceeded, "stations", "with those of the division table the tenant would have %d in operation, "+
		"and its quota is %d: raise the quota, or ask for fewer", n, *most)
}

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
// created. A station that was closed since stays closed.
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
		created = int(tag.RowsAffected())
		return err
	})
	return created, err
}

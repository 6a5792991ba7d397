package provision

import (
	"context"
	"fmt"

	"circle15.dev/internal/tenant"
)

// Counts are the rows of a tenant that quotas bound: stations in operation, workers in service, residents.
type Counts struct {
	Stations, Staff, Residents int
}

// today is the day in China. What ends today counts no more, here as in the services.
const today = `(now() AT TIME ZONE interval '8 hours')::date`

// Counts counts them.
func (p *Provisioner) Counts(ctx context.Context, name tenant.Name) (Counts, error) {
	const sql = `SELECT (SELECT count(*) FROM %[1]s WHERE closed_date IS NULL OR closed_date > ` + today + `),
		(SELECT count(*) FROM %[2]s WHERE end_date IS NULL OR end_date > ` + today + `),
		(SELECT count(*) FROM %[3]s)`
	schema := name.Schema()
	var c Counts
	err := p.pool.QueryRow(ctx, fmt.Sprintf(sql, ident(schema, "stations"), ident(schema, "staff"), ident(schema, "residents"))).
		Scan(&c.Stations, &c.Staff, &c.Residents)
	return c, err
}

// Count is how many tenants, in whatever state, the cluster holds.
func (p *Provisioner) Count(ctx context.Context) (int, error) {
	var n int
	err := p.pool.QueryRow(ctx, `SELECT count(*) FROM circle15.tenants`).Scan(&n)
	return n, err
}

// ServerVersion is the version of the PostgreSQL server, for example "15.18".
func (p *Provisioner) ServerVersion() string {
	return fmt.Sprintf("%d.%d", p.serverVersion/10000, p.serverVersion%10000)
}

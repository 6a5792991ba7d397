package tenantdb

import (
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// scanPlans are how the columns of a statement's result get into the targets of its rows. They depend on the types
// alone, but belong to a connection: the driver does not promise that two goroutines may use one.
type scanPlans struct {
	shape   *shape
	targets []reflect.Type
	plans   []pgtype.ScanPlan
}

// plannedRows are the driver's rows, scanned with plans that the connection keeps for each statement; the driver would
// make them for each result anew, which took a twentieth of a request for one row.
type plannedRows struct {
	pgx.Rows

	types *pgtype.Map
	plans *scanPlans
}

// planned reads the result of p with the plans that this connection has for the statement.
func (c *conn) planned(rows pgx.Rows, p *prepared) pgx.Rows {
	plans := c.scans[p.key.stmt]
	if plans == nil || plans.shape != p.shape {
		n := len(p.shape.fields)
		plans = &scanPlans{shape: p.shape, targets: make([]reflect.Type, n), plans: make([]pgtype.ScanPlan, n)}
		c.scans[p.key.stmt] = plans
	}
	return &plannedRows{Rows: rows, types: c.types, plans: plans}
}

// Scan implements pgx.Rows; as there, a single target may read the row by itself, and a nil target skips its column.
func (r *plannedRows) Scan(targets ...any) error {
	values, fields := r.RawValues(), r.plans.shape.fields
	if len(targets) == 1 {
		if scanner, ok := targets[0].(pgx.RowScanner); ok {
			return scanner.ScanRow(r)
		}
	}
	if len(targets) != len(values) || len(values) != len(fields) {
		return fmt.Errorf("tenantdb: %d columns for %d targets", len(values), len(targets))
	}
	for i, target := range targets {
		if target == nil {
			continue
		}
		if t := reflect.TypeOf(target); r.plans.targets[i] != t {
			r.plans.targets[i] = t
			r.plans.plans[i] = r.types.PlanScan(fields[i].DataTypeOID, r.plans.shape.formats[i], target)
		}
		if err := r.plans.plans[i].Scan(values[i], target); err != nil {
			return pgx.ScanArgError{ColumnIndex: i, FieldName: fields[i].Name, Err: err}
		}
	}
	return nil
}

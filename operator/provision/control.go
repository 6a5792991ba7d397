package provision

import (
	"context"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/ids"
)

// migrateControl brings the control schema up to date, under a lock, in one transaction.
func (p *Provisioner) migrateControl(ctx context.Context) error {
	control, err := loadLine(embedded, "control")
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if err := execAll(ctx, tx, []statement{lockSchema(ControlSchema)}); err != nil {
			return err
		}
		seen, err := appliedMigrations(ctx, tx, control.name)
		if err != nil {
			return err
		}
		if err := checkSeen(control, seen); err != nil {
			return err
		}
		for _, m := range control.after(len(seen)) {
			if err := applyControl(ctx, tx, m); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, `SELECT id FROM circle15.installation`).Scan(&p.installation)
	})
}

func applyControl(ctx context.Context, tx pgx.Tx, m migration) error {
	ddl := "CREATE SCHEMA IF NOT EXISTS circle15; SET LOCAL search_path = circle15, pg_temp; " + m.sql
	if _, err := tx.Exec(ctx, ddl); err != nil {
		return err
	}
	after := []statement{recordMigration("control", m)}
	if m.version == 1 {
		after = append(after, statement{`INSERT INTO circle15.installation (id) VALUES ($1)`, []any{ids.New()}})
	}
	return execAll(ctx, tx, after)
}

// checkTenantLine compares this release's tenant migrations with those that the installation has seen, and records new
// ones. Newer ones are no error here: tenants that have them are refused one by one.
func (p *Provisioner) checkTenantLine(ctx context.Context) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if err := execAll(ctx, tx, []statement{lockSchema(ControlSchema)}); err != nil {
			return err
		}
		seen, err := appliedMigrations(ctx, tx, p.tenants.name)
		if err != nil {
			return err
		}
		if err := checkSeen(p.tenants, seen[:min(len(seen), p.tenants.latest())]); err != nil {
			return err
		}
		var fresh []statement
		for _, m := range p.tenants.after(len(seen)) {
			fresh = append(fresh, recordMigration(p.tenants.name, m))
		}
		return execAll(ctx, tx, fresh)
	})
}

func appliedMigrations(ctx context.Context, tx pgx.Tx, line string) ([]migration, error) {
	var present bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass('circle15.migrations') IS NOT NULL`).Scan(&present); err != nil || !present {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT version, name, checksum FROM circle15.migrations WHERE line = $1 ORDER BY version`, line)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m migration, err error) {
		return m, row.Scan(&m.version, &m.name, &m.checksum)
	})
}

// checkSeen refuses a line that is behind what was applied, or differs from it.
func checkSeen(l line, seen []migration) error {
	if len(seen) > l.latest() {
		return refuse(SchemaTooNew, "the database was prepared by a newer release (%s schema version %d, this program knows %d): "+
			"run that release", l.name, len(seen), l.latest())
	}
	for i, applied := range seen {
		if m := l.migrations[i]; m.checksum != applied.checksum {
			return refuse(MigrationChanged, "%s migration %04d_%s differs from the one that was applied to this database: "+
				"run the release that applied it, or begin anew with an empty database", l.name, m.version, m.name)
		}
	}
	return nil
}

func recordMigration(line string, m migration) statement {
	return statement{
		`INSERT INTO circle15.migrations (line, version, name, checksum) VALUES ($1, $2, $3, $4)`,
		[]any{line, m.version, m.name, m.checksum},
	}
}

package provision

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/tenant"
)

// dumpManifest is the first file of a dump: what is needed to create the tenant again before its rows are copied in.
type dumpManifest struct {
	Tenant Tenant    `json:"tenant"`
	Taken  time.Time `json:"taken"`
	Tables []string  `json:"tables"` // in the order in which foreign keys allow them to be copied in
}

// Dump writes every row of a tenant, as of one moment, as a tar archive: manifest.json, then a file for each table in
// PostgreSQL's CSV format with a header line. To restore, create the tenant at the manifest's schema version and
// \copy the files in the manifest's order, with session_replication_role = replica.
func (p *Provisioner) Dump(ctx context.Context, name tenant.Name, w io.Writer) error {
	row, err := p.Show(ctx, name)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, p.pool, options, func(tx pgx.Tx) error {
		tables, err := dumpTables(ctx, tx, row.Schema)
		if err != nil {
			return err
		}
		manifest, err := json.MarshalIndent(dumpManifest{row, time.Now().UTC(), tables}, "", "  ")
		if err != nil {
			return err
		}
		if err := addFile(archive, "manifest.json", manifest); err != nil {
			return err
		}
		for _, table := range tables {
			if err := dumpTable(ctx, tx, archive, row.Schema, table); err != nil {
				return fmt.Errorf("table %s: %w", table, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return archive.Close()
}

// dumpTable reads the table twice, first for the size that stands before a file in an archive: the transaction sees the
// same rows both times, and neither memory nor disk has to hold them.
func dumpTable(ctx context.Context, tx pgx.Tx, archive *tar.Writer, schema, table string) error {
	sql := fmt.Sprintf("COPY (SELECT * FROM %s) TO STDOUT WITH (FORMAT csv, HEADER)", ident(schema, table))
	var size counter
	if _, err := tx.Conn().PgConn().CopyTo(ctx, &size, sql); err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: table + ".csv", Mode: 0o600, Size: int64(size)}); err != nil {
		return err
	}
	_, err := tx.Conn().PgConn().CopyTo(ctx, archive, sql)
	return err
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// dumpTables lists the tables in the order of their creation, in which every table comes after those it refers to.
func dumpTables(ctx context.Context, tx pgx.Tx, schema string) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT c.relname::text FROM pg_catalog.pg_class c
		WHERE c.relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident($1)) AND c.relkind IN ('r', 'p')
		ORDER BY c.oid`, schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func addFile(archive *tar.Writer, name string, content []byte) error {
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}

// SetDeletionPolicy records another deletion policy.
func (p *Provisioner) SetDeletionPolicy(ctx context.Context, name tenant.Name, policy DeletionPolicy) error {
	tag, err := p.pool.Exec(ctx, `UPDATE circle15.tenants SET deletion_policy = $2, updated_at = now() WHERE name = $1`,
		string(name), string(policy))
	if err == nil && tag.RowsAffected() == 0 {
		return refuse(NotFound, "there is no tenant %s", name)
	}
	return err
}

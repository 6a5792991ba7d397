// Package local runs the whole platform on one computer with the demo data in it: a data folder, a PostgreSQL of its own, a
// province and a city, the services, and the import.
package local

import (
	"context"
	"log/slog"
	"path/filepath"

	"circle15.dev/internal/embeddedpg"
	"circle15.dev/operator/provision"
)

// settings suit a small database beside other programs. None of them lets a crash lose what was committed.
var settings = map[string]string{
	"max_locks_per_transaction": "256",
	"max_wal_size":              "1GB",
	"shared_buffers":            "128MB",
	"jit":                       "off",
}

// Database is the demo's own PostgreSQL with its tenants.
type Database struct {
	provision.Endpoints
	server *embeddedpg.Server
}

// StartDatabase starts the PostgreSQL of the folder and makes or updates what is in it: roles, control schema, tenants.
func StartDatabase(ctx context.Context, f *Folder, logger *slog.Logger) (*Database, error) {
	server, err := embeddedpg.Start(ctx, embeddedpg.Config{Dir: filepath.Join(f.dir, postgresFolder), Settings: settings, Logger: logger})
	if err != nil {
		return nil, err
	}
	d := &Database{server: server}
	if err := d.prepare(ctx, f.mark, logger); err != nil {
		d.Stop()
		return nil, err
	}
	return d, nil
}

func (d *Database) prepare(ctx context.Context, m mark, logger *slog.Logger) error {
	var err error
	d.Endpoints, err = provision.Bootstrap(ctx, provision.BootstrapConfig{
		AdminURL: d.server.SuperuserURL("postgres"), OperatorPassword: m.OperatorPassword, AppPassword: m.AppPassword,
	})
	if err != nil {
		return err
	}
	if err := d.setCommits(ctx, "on"); err != nil { // an import that was cut short leaves them off
		return err
	}
	p, err := provision.Open(ctx, provision.Config{OperatorURL: d.OperatorURL, Logger: logger})
	if err != nil {
		return err
	}
	defer p.Close()
	return provisionTenants(ctx, p)
}

// Version is that of PostgreSQL, for example "15.18".
func (d *Database) Version() string { return d.server.Version() }

// Done is closed when the server has ended, whoever ended it.
func (d *Database) Done() <-chan struct{} { return d.server.Done() }

// Stop stops the server; data are written to disk.
func (d *Database) Stop() { _ = d.server.Stop(context.Background()) }

package local

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// hastily runs the act while no commit waits for the disk, which makes thousands of small ones several times as fast. A crash
// then loses the last moments: it is for the import, of which what was lost is sent again. When hastily returns, what the act
// wrote is on disk, and commits wait again.
func (d *Database) hastily(ctx context.Context, act func() error) error {
	if err := d.setCommits(ctx, "off"); err != nil {
		return err
	}
	if err := act(); err != nil {
		return err // the next start makes commits wait again
	}
	return d.setCommits(ctx, "on")
}

// setCommits sets synchronous_commit of all sessions, those at work included, and then writes everything to disk.
func (d *Database) setCommits(ctx context.Context, value string) error {
	conn, err := pgx.Connect(ctx, d.server.SuperuserURL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	set := map[string]string{
		"on":  "ALTER SYSTEM RESET synchronous_commit", // the default
		"off": "ALTER SYSTEM SET synchronous_commit = off",
	}
	for _, sql := range []string{set[value], "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	// The server tells all its sessions in one go: what this one knows, the others know by the end of the checkpoint.
	for now := ""; now != value; {
		if err := conn.QueryRow(ctx, "SHOW synchronous_commit").Scan(&now); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	_, err = conn.Exec(ctx, "CHECKPOINT")
	return err
}

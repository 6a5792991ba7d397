package provision

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The roles that every installation has.
const (
	OperatorRole  = "circle15_operator"  // LOGIN, CREATEROLE; owns the database, the control schema and every tenant's schema
	AppRole       = "circle15_app"       // LOGIN, NOINHERIT; member of every usable tenant's role; owns nothing
	TenantsRole   = "circle15_tenants"   // NOLOGIN; every tenant's role is a member
	AggregateRole = "circle15_aggregate" // NOLOGIN; may execute the aggregate functions of every tenant's schema
)

// ControlSchema holds the tenants' table and the ledger.
const ControlSchema = "circle15"

// ident quotes an SQL identifier.
func ident(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// literal quotes an SQL string, for the few statements that take no parameters (COMMENT, ALTER ROLE … PASSWORD).
func literal(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if strings.Contains(s, `\`) {
		return ` E'` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `'`, `''`) + `'`
	}
	return `'` + strings.ReplaceAll(s, `'`, `''`) + `'`
}

// statement is an SQL statement with bound parameters.
type statement struct {
	sql  string
	args []any
}

// execAll sends statements in one round trip.
func execAll(ctx context.Context, tx pgx.Tx, statements []statement) error {
	if len(statements) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, s := range statements {
		batch.Queue(s.sql, s.args...)
	}
	return tx.SendBatch(ctx, batch).Close()
}

// lockSchema takes the lock of one schema until the transaction ends. The key is the schema's name, so that tenants
// never wait for each other.
func lockSchema(schema string) statement {
	return statement{`SELECT pg_advisory_xact_lock(hashtextextended('circle15:' || $1, 0))`, []any{schema}}
}

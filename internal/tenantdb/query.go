package tenantdb

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
)

// readFunc reads the result of a query to its end. It may be called again when the query is tried again.
type readFunc func(rows pgx.Rows) error

// Querier runs statements as a tenant: *DB each in a read-only transaction of its own, in one round trip; *Tx in its
// transaction.
type Querier interface {
	query(ctx context.Context, s *Stmt, args []any, read readFunc) error
}

// One is the first row of the statement, read with scan (for example pgx.RowToStructByPos). Without a row the error
// is pgx.ErrNoRows; all others are *apierr.Error.
func One[T any](ctx context.Context, q Querier, scan pgx.RowToFunc[T], s *Stmt, args ...any) (T, error) {
	var row T
	err := q.query(ctx, s, args, func(rows pgx.Rows) (err error) {
		row, err = pgx.CollectOneRow(rows, scan)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return row, nil
}

// All is every row of the statement, read with scan; an empty slice, not nil, without any. Errors are *apierr.Error.
func All[T any](ctx context.Context, q Querier, scan pgx.RowToFunc[T], s *Stmt, args ...any) ([]T, error) {
	var list []T
	err := q.query(ctx, s, args, func(rows pgx.Rows) (err error) {
		list, err = pgx.CollectRows(rows, scan)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// OrMissing is the error of One for a resource that a request names: NotFound where there was no row.
func OrMissing(err error, resource string, id uuid.UUID) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return apierr.Missing(resource, id.String())
	}
	return err
}

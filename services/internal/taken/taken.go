// Package taken names the field of a request that asks for a value that another record has already.
package taken

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/apierr"
)

// ID is what is wrong with an id that a client supplied.
const ID = "is taken by another record"

// Fields says, by unique constraint of a table, which field of the request asks for what is taken.
type Fields map[string]apierr.Field

// Named gives an AlreadyExists error of the database its field; any other error stays as it is. The value is not
// repeated: it may be a person's.
func (f Fields) Named(err error) error {
	violation, ok := errors.AsType[*pgconn.PgError](err)
	if apierr.KindOf(err) != apierr.AlreadyExists || !ok {
		return err
	}
	field, ok := f[violation.ConstraintName]
	if !ok {
		return err
	}
	return apierr.New(apierr.AlreadyExists, "%s: %s", field.Name, field.Description).With(field.Name, field.Description).Cause(err)
}

package registry

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/apierr"
)

// uniques says, by unique constraint of a table, which field of the request asks for what is taken.
type uniques map[string]apierr.Field

// named gives an AlreadyExists error of the database its field. The value is not repeated: it may be a person's.
func (u uniques) named(err error) error {
	violation, ok := errors.AsType[*pgconn.PgError](err)
	if apierr.KindOf(err) != apierr.AlreadyExists || !ok {
		return err
	}
	field, ok := u[violation.ConstraintName]
	if !ok {
		return err
	}
	return apierr.New(apierr.AlreadyExists, "%s: %s", field.Name, field.Description).With(field.Name, field.Description).Cause(err)
}

const idTaken = "is taken by another record"

package registry

import (
	"circle15.dev/internal/apierr"
	"circle15.dev/services/internal/taken"
)

// uniques says, by unique constraint of a table, which field of the request asks for what is taken.
type uniques map[string]apierr.Field

// named gives an AlreadyExists error of the database its field.
func (u uniques) named(err error) error { return taken.Fields(u).Named(err) }

const idTaken = taken.ID

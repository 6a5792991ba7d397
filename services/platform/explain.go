package platform

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/pgexplain"
	"circle15.dev/internal/tenantdb"
)

// explain says in one sentence why the databases could not be opened, and what to do about it.
func explain(err error) error {
	if mighty, ok := errors.AsType[*tenantdb.LoginError](err); ok {
		return mighty
	}
	return fmt.Errorf("%s: %s", pgexplain.Sentence(err), remedy(err))
}

// remedy follows from PostgreSQL's answer, where there is one (PostgreSQL manual, appendix A).
func remedy(err error) string {
	var refused *pgconn.PgError
	switch {
	case !errors.As(err, &refused):
		return "look after it, or correct database.url"
	case pgexplain.IsLogin(refused):
		return "correct database.url"
	case refused.Code == "3D000", refused.Code == "3F000", refused.Code == "42P01":
		return "make the control schema with \"circle15 database bootstrap\""
	case refused.Code == "42501":
		return "database.url must be of the login circle15_app"
	default:
		return "look after it"
	}
}

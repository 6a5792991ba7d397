package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// explain says in one sentence why the databases could not be opened, where the reason is a usual one.
func explain(err error) error {
	where := "the database"
	var failed *pgconn.ConnectError
	if errors.As(err, &failed) && failed.Config != nil {
		where = "PostgreSQL at " + net.JoinHostPort(failed.Config.Host, strconv.Itoa(int(failed.Config.Port)))
	}
	var refused *pgconn.PgError
	var unreachable *net.OpError
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("%s: %s", where, refusal(refused))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer in time: look after it, or correct database.url", where)
	case errors.As(err, &unreachable):
		return fmt.Errorf("%s does not answer (%w): start it, or correct database.url", where, unreachable.Err)
	default:
		return err
	}
}

// refusal says what PostgreSQL's answer means here (PostgreSQL manual, appendix A).
func refusal(e *pgconn.PgError) string {
	switch e.Code {
	case "28P01", "28000":
		return "the login in database.url is refused: " + e.Message
	case "3D000", "3F000", "42P01":
		return "there is no control schema (" + e.Message + "): make it with \"circle15 database bootstrap\""
	case "42501":
		return "the login in database.url may not read the control schema (" + e.Message + "): use circle15_app"
	default:
		return e.Message
	}
}

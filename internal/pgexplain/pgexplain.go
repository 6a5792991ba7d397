// Package pgexplain says why PostgreSQL could not be reached or refused, for who started a program. The driver's own text
// has a line for each address that it tried.
package pgexplain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Sentence is the error in one sentence without an end: "PostgreSQL at 127.0.0.1:5432 does not answer (connect: connection
// refused)". It holds no password.
func Sentence(err error) string {
	where := "the database"
	var failed *pgconn.ConnectError
	if errors.As(err, &failed) && failed.Config != nil {
		where = "PostgreSQL at " + net.JoinHostPort(failed.Config.Host, strconv.Itoa(int(failed.Config.Port)))
	}
	var refused *pgconn.PgError
	var unknown *net.DNSError
	var unreachable *net.OpError
	switch {
	case errors.As(err, &refused) && IsLogin(refused):
		return fmt.Sprintf("%s: the login is refused: %s", where, refused.Message)
	case errors.As(err, &refused):
		return where + ": " + refused.Message
	case errors.As(err, &unknown):
		return fmt.Sprintf("%s: the host %s is not found (%s)", where, unknown.Name, unknown.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return where + " does not answer in time"
	case errors.As(err, &unreachable):
		return fmt.Sprintf("%s does not answer (%s)", where, unreachable.Err)
	default:
		return strings.Join(strings.Fields(err.Error()), " ")
	}
}

// IsLogin says whether PostgreSQL does not let the role in, be it for its password (PostgreSQL manual, appendix A, class 28).
func IsLogin(e *pgconn.PgError) bool { return strings.HasPrefix(e.Code, "28") }

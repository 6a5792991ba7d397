package tenantdb

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/apierr"
)

// SQLSTATE codes (PostgreSQL, appendix A).
const (
	codeProtocolViolation    = "08P01"
	codeFeatureNotSupported  = "0A000" // among others: cached plan must not change result type
	codeNoSuchStatement      = "26000" // a prepared statement has vanished
	codeNotNullViolation     = "23502"
	codeForeignKeyViolation  = "23503"
	codeUniqueViolation      = "23505"
	codeCheckViolation       = "23514"
	codeExclusionViolation   = "23P01"
	codeIdleInTransaction    = "25P03"
	codeSerializationFailure = "40001"
	codeDeadlock             = "40P01"
	codeProgramLimit         = "54000" // among others: the value is too long for its index
	codeLockNotAvailable     = "55P03"
	codeQueryCanceled        = "57014"
)

var (
	// errStale says that a prepared statement no longer fits the schema; another attempt prepares it anew.
	errStale = errors.New("tenantdb: a prepared statement is out of date")
	// errNotCommitted says that the server rolled back where a commit was asked for.
	errNotCommitted = errors.New("tenantdb: the server has rolled the transaction back")
	errTxOver       = errors.New("tenantdb: the transaction is over")
	errTxBusy       = errors.New("tenantdb: the transaction is used by two at once, or while a result of it is read")
	errTxEnded      = errors.New("tenantdb: a statement has ended the transaction")
	errNotAnID      = errors.New("tenantdb: only an id can be read into a uuid.UUID; NULL needs a *uuid.UUID")
	errNested       = errors.New("tenantdb: a transaction inside a transaction: use its Tx")
)

func unavailable(cause error) *apierr.Error {
	return apierr.New(apierr.Unavailable, "the database is not available; try again").Cause(cause)
}

func internal(cause error) *apierr.Error {
	return apierr.New(apierr.Internal, "internal error").Cause(cause)
}

// translate makes an error of the driver one of the services. What a caller may read holds neither SQL nor values.
// An error that is one already, and pgx.ErrNoRows, stay as they are.
func translate(err error) error {
	if err == nil || errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if _, own := errors.AsType[*apierr.Error](err); own {
		return err
	}
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr):
		return ofServer(pgErr).Cause(err)
	case errors.Is(err, context.Canceled):
		return apierr.New(apierr.Canceled, "the request was cancelled").Cause(err)
	case errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err):
		return apierr.New(apierr.Timeout, "the request took too long").Cause(err)
	case lostConnection(err):
		return unavailable(err)
	}
	return internal(err)
}

// ofServer is the error of a server's error message.
func ofServer(e *pgconn.PgError) *apierr.Error {
	switch e.Code {
	case codeUniqueViolation:
		return violation(apierr.AlreadyExists, e, "is already taken", "a resource with these values already exists")
	case codeForeignKeyViolation:
		return violation(apierr.Invalid, e, "refers to something that does not exist, or is still referred to",
			"the request refers to something that does not exist, or something still refers to it")
	case codeCheckViolation:
		return violation(apierr.Invalid, e, "is not allowed", "a value is not allowed")
	case codeNotNullViolation:
		return violation(apierr.Invalid, e, "is required", "a required value is missing")
	case codeExclusionViolation:
		return violation(apierr.Conflict, e, "overlaps with another", "the request overlaps with another resource")
	case codeSerializationFailure, codeDeadlock:
		return apierr.New(apierr.Conflict, "other requests change the same resources; try again")
	case codeLockNotAvailable:
		return apierr.New(apierr.Timeout, "another request holds the resource for too long; try again")
	case codeQueryCanceled, codeIdleInTransaction:
		return apierr.New(apierr.Timeout, "the request took too long")
	case codeProgramLimit:
		return apierr.New(apierr.Invalid, "a value is too long")
	}
	switch e.Code[:2] {
	case "22": // data exception: a value that its type cannot hold
		return apierr.New(apierr.Invalid, "a value is not valid")
	case "08", "53", "57": // connection, insufficient resources, operator intervention
		return unavailable(nil)
	}
	return internal(nil)
}

// violation names the field that a constraint is about, where the constraint's name tells.
func violation(kind apierr.Kind, e *pgconn.PgError, aboutField, otherwise string) *apierr.Error {
	field := constraintField(e)
	if field == "" {
		return apierr.New(kind, "%s", otherwise)
	}
	return apierr.New(kind, "%s: %s", field, aboutField).With(field, aboutField)
}

// fieldSuffixes end the names of constraints on one column: those PostgreSQL gives by itself, and those of our
// migrations. All are <table>_<column><suffix>.
var fieldSuffixes = []string{"_fkey", "_key", "_check", "_format", "_known", "_range"}

// constraintField is the JSON name of the column in a constraint's name, "id" for a primary key, and empty where the
// name tells no column.
func constraintField(e *pgconn.PgError) string {
	if e.ColumnName != "" {
		return camelCase(e.ColumnName)
	}
	rest, ok := strings.CutPrefix(e.ConstraintName, e.TableName+"_")
	if !ok || e.TableName == "" {
		return ""
	}
	if rest == "pkey" {
		return "id"
	}
	for _, suffix := range fieldSuffixes {
		if column, ok := strings.CutSuffix(rest, suffix); ok {
			return camelCase(column)
		}
	}
	return ""
}

func camelCase(column string) string {
	words := strings.Split(column, "_")
	for i := 1; i < len(words); i++ {
		if words[i] != "" {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
	}
	return strings.Join(words, "")
}

// lostError is an error after which the session is gone.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }

// lostConnection says whether the session is gone for a reason of its own: not because the request was cancelled or
// slow. What was not committed is then undone, and another session may do it again.
func lostConnection(err error) bool {
	if err == nil {
		return false
	}
	var lost *lostError
	if !errors.As(err, &lost) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) {
		return false
	}
	var pgErr *pgconn.PgError
	return !errors.As(err, &pgErr) || pgErr.Code != codeIdleInTransaction
}

// fatal says whether the server ended the session with this error.
func fatal(e *pgconn.PgError) bool {
	return e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC"
}

// conflicting says whether another attempt of the transaction may succeed.
func conflicting(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == codeSerializationFailure || pgErr.Code == codeDeadlock)
}

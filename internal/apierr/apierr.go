// Package apierr is the one error type of the services and the one table from its kinds to gRPC codes and HTTP
// statuses. What a caller may read (Message, Fields) is apart from the cause, which is logged and never returned.
package apierr

import (
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Domain is the error domain of ErrorInfo details (google.rpc.ErrorInfo).
const Domain = "circle15.dev"

// Kind classes an error by what its caller can do about it. Its value is the ErrorInfo reason and the last segment
// of the problem type.
type Kind string

// The kinds.
const (
	Invalid         Kind = "INVALID_ARGUMENT"  // the request is malformed or breaks a rule; Fields name where
	Unauthenticated Kind = "UNAUTHENTICATED"   // no valid token
	Denied          Kind = "PERMISSION_DENIED" // no rule allows it
	NotFound        Kind = "NOT_FOUND"         // absent, or outside the caller's data scope
	AlreadyExists   Kind = "ALREADY_EXISTS"    // an id or a unique value is taken
	Conflict        Kind = "CONFLICT"          // the state of the resource does not allow it
	InFlight        Kind = "REQUEST_IN_FLIGHT" // the first request with this idempotency key is still running; try again
	StaleETag       Kind = "ETAG_MISMATCH"     // If-Match names another revision
	Suspended       Kind = "TENANT_SUSPENDED"  // the tenant is suspended
	TooLarge        Kind = "REQUEST_TOO_LARGE" // the body is over the limit
	RateLimited     Kind = "RATE_LIMITED"      // over the tenant's quota of requests; try again later
	QuotaExceeded   Kind = "QUOTA_EXCEEDED"    // the tenant may have no more of these; trying again does not help
	Unimplemented   Kind = "UNIMPLEMENTED"     // no such method
	Canceled        Kind = "CANCELED"          // the caller went away
	Timeout         Kind = "DEADLINE_EXCEEDED" // the time limit ran out
	Unavailable     Kind = "UNAVAILABLE"       // a dependency is away; try again
	Internal        Kind = "INTERNAL"          // a defect; details are in the log only
)

type wire struct {
	code  codes.Code
	http  int
	title string
}

var table = map[Kind]wire{
	Invalid:         {codes.InvalidArgument, http.StatusBadRequest, "The request is not valid"},
	Unauthenticated: {codes.Unauthenticated, http.StatusUnauthorized, "A valid token is required"},
	Denied:          {codes.PermissionDenied, http.StatusForbidden, "Not permitted"},
	NotFound:        {codes.NotFound, http.StatusNotFound, "Not found"},
	AlreadyExists:   {codes.AlreadyExists, http.StatusConflict, "Already exists"},
	Conflict:        {codes.Aborted, http.StatusConflict, "Conflict with the current state"},
	InFlight:        {codes.Aborted, http.StatusConflict, "The first request is still running"},
	StaleETag:       {codes.FailedPrecondition, http.StatusPreconditionFailed, "The resource has changed"},
	Suspended:       {codes.FailedPrecondition, http.StatusLocked, "The tenant is suspended"},
	TooLarge:        {codes.ResourceExhausted, http.StatusRequestEntityTooLarge, "The request is too large"},
	RateLimited:     {codes.ResourceExhausted, http.StatusTooManyRequests, "Too many requests"},
	QuotaExceeded:   {codes.FailedPrecondition, http.StatusConflict, "The tenant's quota is used up"},
	Unimplemented:   {codes.Unimplemented, http.StatusNotImplemented, "No such method"},
	Canceled:        {codes.Canceled, 499, "The request was cancelled"},
	Timeout:         {codes.DeadlineExceeded, http.StatusGatewayTimeout, "The request took too long"},
	Unavailable:     {codes.Unavailable, http.StatusServiceUnavailable, "Temporarily unavailable"},
	Internal:        {codes.Internal, http.StatusInternalServerError, "Internal error"},
}

// HTTPStatus is the status of the REST answer (RFC 9110; 423 is RFC 4918, 429 is RFC 6585).
func (k Kind) HTTPStatus() int { return table[k.known()].http }

// Code is the gRPC status code.
func (k Kind) Code() codes.Code { return table[k.known()].code }

// Title is the human-readable summary of the kind (the "title" of RFC 9457).
func (k Kind) Title() string { return table[k.known()].title }

func (k Kind) known() Kind {
	if _, ok := table[k]; ok {
		return k
	}
	return Internal
}

// Field says what is wrong with one field of the request, by its JSON path (for example "household.communityId").
type Field struct{ Name, Description string }

// Error is an error that may be shown to a caller.
type Error struct {
	Kind    Kind
	Message string
	Fields  []Field
	cause   error
}

// New returns an error of the kind with a public message.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// InvalidField returns an Invalid error about one field, named by its JSON path.
func InvalidField(name, format string, args ...any) *Error {
	description := fmt.Sprintf(format, args...)
	return New(Invalid, "%s: %s", name, description).With(name, description)
}

// Missing returns a NotFound error about a resource: kind in English ("case"), and its id.
func Missing(resource, id string) *Error {
	return New(NotFound, "%s %q was not found", resource, id)
}

// With returns e with one more field violation.
func (e *Error) With(name, description string) *Error {
	e.Fields = append(e.Fields, Field{name, description})
	return e
}

// Cause returns e with the private cause, which is logged and found by errors.Is, but never returned to a caller.
func (e *Error) Cause(err error) *Error {
	e.cause = err
	return e
}

// Error is for logs: it holds the private cause.
func (e *Error) Error() string {
	if e.cause != nil {
		return string(e.Kind) + ": " + e.Message + ": " + e.cause.Error()
	}
	return string(e.Kind) + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus is the public form: code, message, ErrorInfo and, with fields, BadRequest.
func (e *Error) GRPCStatus() *status.Status {
	s := status.New(e.Kind.Code(), e.Message)
	if detailed, err := s.WithDetails(&errdetails.ErrorInfo{Reason: string(e.Kind.known()), Domain: Domain}); err == nil {
		s = detailed
	}
	if len(e.Fields) == 0 {
		return s
	}
	bad := &errdetails.BadRequest{}
	for _, f := range e.Fields {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: f.Name, Description: f.Description})
	}
	if detailed, err := s.WithDetails(bad); err == nil {
		s = detailed
	}
	return s
}

// KindOf is the kind of err, or Internal for an error of another type.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind.known()
	}
	return Internal
}

package rpcserver

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"circle15.dev/internal/apierr"
)

// publicError is err as an error that may be shown to a caller. What is not one of ours is kept as its private cause.
func publicError(err error) *apierr.Error {
	if e, ok := errors.AsType[*apierr.Error](err); ok {
		if errors.Is(err, e) {
			return e
		}
		// Wrapped on the way: the caller sees the same, the log sees the wrapping too.
		outer := apierr.New(e.Kind, "%s", e.Message).Cause(err)
		outer.Fields = e.Fields
		return outer
	}
	switch {
	case errors.Is(err, context.Canceled):
		return apierr.New(apierr.Canceled, "the caller went away").Cause(err)
	case errors.Is(err, context.DeadlineExceeded):
		return apierr.New(apierr.Timeout, "the time limit ran out").Cause(err)
	}
	if s, ok := status.FromError(err); ok {
		return fromStatus(s, err)
	}
	return apierr.New(apierr.Internal, "internal error").Cause(err)
}

// fromStatus translates the statuses that gRPC's own code makes, for instance for a message that does not decode.
// Their text is written for callers, except where the fault is the server's.
func fromStatus(s *status.Status, err error) *apierr.Error {
	kind, ok := kinds[s.Code()]
	if !ok {
		return apierr.New(apierr.Internal, "internal error").Cause(err)
	}
	return apierr.New(kind, "%s", s.Message()).Cause(err)
}

var kinds = map[codes.Code]apierr.Kind{
	codes.InvalidArgument:   apierr.Invalid,
	codes.OutOfRange:        apierr.Invalid,
	codes.Unauthenticated:   apierr.Unauthenticated,
	codes.PermissionDenied:  apierr.Denied,
	codes.NotFound:          apierr.NotFound,
	codes.AlreadyExists:     apierr.AlreadyExists,
	codes.Aborted:           apierr.Conflict,
	codes.ResourceExhausted: apierr.TooLarge,
	codes.Unimplemented:     apierr.Unimplemented,
	codes.Canceled:          apierr.Canceled,
	codes.DeadlineExceeded:  apierr.Timeout,
	codes.Unavailable:       apierr.Unavailable,
}

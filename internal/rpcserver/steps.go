package rpcserver

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"circle15.dev/internal/telemetry"
	"circle15.dev/internal/validate"
)

// stepsOf is the chain, outermost first. Both doors and both kinds of call run it.
func stepsOf(o Options, admit admission, checks *validate.Checker) []step {
	steps := []step{
		// First, so that every line that is logged from here on has the trace id. The REST door has given it already.
		identify(),
		// Logging and metrics see every outcome, that of a recovered panic included, so they stand outside recovery;
		// they touch nothing of the request that could panic.
		logCalls(o.Logger),
		countCalls(),
		recoverPanics(o.Logger),
		// Outside of the time limit, which is for handling; the time for receiving is the stream's.
		receive(admit),
		// From here on everything costs time, also the fetching of an issuer's keys: under the deadline.
		limitTime(o.Limits.Time),
		// The tenant comes from the verified token, never from an unverified request.
		authenticate(admit),
		resolveTenant(),
	}
	if o.Quota != nil {
		// Needs the tenant; before authorization, so that a flood costs no policy decision and no database.
		steps = append(steps, limitRate(o.Quota))
	}
	return append(steps,
		// Before validation: who may not call learns nothing about the request's fields.
		authorize(o.Authorize),
		// Last, so that a handler sees only well-formed messages.
		checkRequest(checks),
	)
}

// identify gives the request a trace id where no span did.
func identify() step {
	return func(ctx context.Context, c *call) error {
		if trace.SpanContextFromContext(ctx).HasTraceID() {
			return c.next(ctx)
		}
		var parent string
		if values := metadata.ValueFromIncomingContext(ctx, "traceparent"); len(values) > 0 {
			parent = values[0]
		}
		return c.next(telemetry.Identify(ctx, parent))
	}
}

// limitTime gives the request the time limit, unless its caller set an earlier one.
func limitTime(limit time.Duration) step {
	return func(ctx context.Context, c *call) error {
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= limit {
			return c.next(ctx)
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return c.next(ctx)
	}
}

// checkRequest checks a unary call's request; a stream's messages are checked as they come, by the same checker.
func checkRequest(checks *validate.Checker) step {
	return func(ctx context.Context, c *call) error {
		if c.request != nil {
			if err := checks.Check(c.request); err != nil {
				return err
			}
		}
		return c.next(ctx)
	}
}

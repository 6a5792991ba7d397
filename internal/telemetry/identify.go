package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Identify gives a request without a span a trace id, so that its log lines and its problem document can be told to
// belong together also where no spans are exported: the id of traceparent (W3C Trace Context), or a new one.
func Identify(ctx context.Context, traceparent string) context.Context {
	if trace.SpanContextFromContext(ctx).HasTraceID() {
		return ctx
	}
	if traceparent != "" {
		carrier := propagation.MapCarrier{"traceparent": traceparent}
		if joined := (propagation.TraceContext{}).Extract(ctx, carrier); trace.SpanContextFromContext(joined).IsValid() {
			return joined
		}
	}
	var config trace.SpanContextConfig
	// An id that nobody has to be unable to guess; never zero, which would be no id.
	binary.BigEndian.PutUint64(config.TraceID[:8], rand.Uint64()|1) //nolint:gosec // not a secret
	binary.BigEndian.PutUint64(config.TraceID[8:], rand.Uint64())   //nolint:gosec // not a secret
	binary.BigEndian.PutUint64(config.SpanID[:], rand.Uint64()|1)   //nolint:gosec // not a secret
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(config))
}

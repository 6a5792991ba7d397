package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"circle15.dev/internal/tenant"
)

// NewLogger returns a logger that writes lines of the format ("json" or "text") from the level ("debug", "info",
// "warn", "error") up. Lines logged with a context carry its trace id and tenant.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	options := slog.HandlerOptions{ReplaceAttr: withUnits}
	var from slog.Level
	if err := from.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	options.Level = from
	switch format {
	case "json":
		return slog.New(contextHandler{slog.NewJSONHandler(w, &options)}), nil
	case "text":
		return slog.New(contextHandler{slog.NewTextHandler(w, &options)}), nil
	default:
		return nil, fmt.Errorf("log format %q: want json or text", format)
	}
}

// withUnits writes a duration as text, like 1.5ms: as a number it would not say that it is nanoseconds.
func withUnits(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// contextHandler adds what the context knows.
type contextHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()))
	}
	if name, err := tenant.From(ctx); err == nil {
		r.AddAttrs(slog.String("tenant", string(name)))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}

package rpcserver

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/telemetry"
)

// logCalls writes one line for each call: what, when (the line's time), in which tenant, with which outcome. It holds
// no id, name or other value of the request, nor who called: that is the audit trail's matter.
func logCalls(logger *slog.Logger) step {
	return func(ctx context.Context, c *call) error {
		start := time.Now()
		err := c.next(ctx)
		outcome, level := outcomeOf(err)
		annotateSpan(ctx, c, outcome)
		if !logger.Enabled(ctx, level) {
			return err
		}
		attrs := [8]slog.Attr{
			slog.String("method", c.full),
			slog.String("door", c.door.String()),
			slog.String("code", outcome),
			slog.Duration("duration", time.Since(start)),
		}
		n := 4
		if c.tenant != "" {
			attrs[n] = slog.String("tenant", string(c.tenant))
			n++
		}
		if level > slog.LevelInfo {
			attrs[n] = slog.String("error", publicError(err).Error())
			n++
		}
		logger.LogAttrs(ctx, level, "rpc", attrs[:n]...)
		return err
	}
}

// okCode is the outcome of a call without error.
const okCode = "OK"

func outcomeOf(err error) (code string, level slog.Level) {
	if err == nil {
		return okCode, slog.LevelInfo
	}
	switch kind := publicError(err).Kind; kind {
	case apierr.Internal:
		return string(kind), slog.LevelError
	case apierr.Unavailable, apierr.Timeout:
		return string(kind), slog.LevelWarn
	default:
		return string(kind), slog.LevelInfo
	}
}

// annotateSpan names the RPC on the span that the door started. The REST door's span is one for the HTTP request and
// the RPC together; that of the gRPC door has its names already.
func annotateSpan(ctx context.Context, c *call, outcome string) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("circle15.code", outcome))
	if c.tenant != "" {
		span.SetAttributes(attribute.String("circle15.tenant", string(c.tenant)))
	}
	if c.door == doorREST {
		span.SetAttributes(
			attribute.String("rpc.system.name", "grpc"),
			attribute.String("rpc.method", c.full[1:]),
		)
	}
}

// meters are the instruments of one method at one door, looked up once.
type meters struct {
	duration prometheus.ObserverVec // by code
	ok       prometheus.Observer    // duration of code OK
	inFlight prometheus.Gauge
}

// measure gives every method its instruments. Labels hold the method, the door and the code: a bounded set, without
// tenants or users.
func measure(methods methodTable, registerer prometheus.Registerer) error {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "circle15_rpc_duration_seconds",
		Help:    "How long calls took, by method, door (grpc, rest) and code (OK or the error's kind).",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5, 30},
	}, []string{"service", "method", "door", "code"})
	inFlight := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "circle15_rpc_in_flight",
		Help: "Calls being handled, by door.",
	}, []string{"door"})
	for _, collector := range []prometheus.Collector{duration, inFlight} {
		if err := registerer.Register(collector); err != nil {
			return err
		}
	}
	for _, m := range methods {
		for d := range doorCount {
			curried := duration.MustCurryWith(prometheus.Labels{"service": m.service, "method": m.name, "door": d.String()})
			m.meters[d] = meters{duration: curried, ok: curried.WithLabelValues(okCode), inFlight: inFlight.WithLabelValues(d.String())}
		}
	}
	return nil
}

// countCalls records how long calls take and how many are in flight.
func countCalls() step {
	return func(ctx context.Context, c *call) error {
		m := &c.meters[c.door]
		m.inFlight.Inc()
		defer m.inFlight.Dec()
		start := time.Now()
		err := c.next(ctx)
		took := time.Since(start).Seconds()
		if err == nil {
			m.ok.Observe(took)
			return nil
		}
		code, _ := outcomeOf(err)
		m.duration.WithLabelValues(code).Observe(took)
		return err
	}
}

// recoverPanics turns a panic into an Internal error and logs where it came from.
func recoverPanics(logger *slog.Logger) step {
	return func(ctx context.Context, c *call) (err error) {
		defer func() {
			if p := recover(); p != nil {
				telemetry.LogPanic(ctx, logger, p, slog.String("method", c.full))
				err = apierr.New(apierr.Internal, "internal error")
			}
		}()
		return c.next(ctx)
	}
}

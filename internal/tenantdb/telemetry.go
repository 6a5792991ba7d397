package tenantdb

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"circle15.dev/internal/apierr"
)

const scope = "circle15.dev/internal/tenantdb"

// commitSpan stands for the commit in spans.
var commitSpan = newStmt("COMMIT")

// startSpan begins the span of a statement, if the request is being traced. Its text is the constant one: it holds no
// parameter and no tenant.
func startSpan(ctx context.Context, s *Stmt, cluster string) (context.Context, trace.Span) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, nil
	}
	//nolint:spancheck // endSpan ends it
	return otel.Tracer(scope).Start(ctx, "postgresql", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("db.system.name", "postgresql"),
		attribute.String("db.query.text", s.text),
		attribute.String("db.namespace", cluster),
	))
}

// endSpan ends a span that startSpan may have begun. No row is not an error.
func endSpan(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		span.SetStatus(otelcodes.Error, string(apierr.KindOf(translate(err))))
	}
	span.End()
}

// Stats is the state of one cluster's pool.
type Stats struct {
	Cluster string

	Open, Busy int // connections
	Waiting    int // requests that wait for a connection
	Tenants    int // tenants with a home among the connections

	Acquired, Waited int64   // requests that got a connection, requests that had to wait for one
	WaitSeconds      float64 // time they waited, in all
	Foreign          int64   // times a connection served a tenant for the first time without being its home
	Opened           int64   // connections opened
	Recycled         int64   // connections replaced for age, idleness or the number of tenants they had served
	Discarded        int64   // connections closed because a request left them unclear
}

// Stats is the state of every cluster's pool.
func (db *DB) Stats() []Stats {
	all := make([]Stats, 0, len(db.pools))
	for _, p := range db.pools {
		all = append(all, p.stats())
	}
	return all
}

func (p *pool) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Cluster: p.cluster, Open: p.open, Busy: p.busy, Waiting: p.waiting, Tenants: len(p.lanes),
		Acquired: p.counts.acquired, Waited: p.counts.waited, WaitSeconds: p.counts.waitTime.Seconds(), Foreign: p.counts.foreign,
		Opened: p.counts.opened, Recycled: p.counts.recycled, Discarded: p.counts.discarded,
	}
}

// observe publishes the pools' state as metrics with the cluster as their only label.
func observe(db *DB) (metric.Registration, error) {
	meter := otel.Meter(scope)
	var observers []func(metric.Observer, Stats, metric.ObserveOption)
	var instruments []metric.Observable
	var failures []error
	gauge := func(name, unit, description string, value func(Stats) int) {
		g, err := meter.Int64ObservableGauge("circle15.tenantdb."+name, metric.WithUnit(unit), metric.WithDescription(description))
		failures = append(failures, err)
		instruments = append(instruments, g)
		observers = append(observers, func(o metric.Observer, s Stats, label metric.ObserveOption) {
			o.ObserveInt64(g, int64(value(s)), label)
		})
	}
	counter := func(name, unit, description string, value func(Stats) int64) {
		c, err := meter.Int64ObservableCounter("circle15.tenantdb."+name, metric.WithUnit(unit), metric.WithDescription(description))
		failures = append(failures, err)
		instruments = append(instruments, c)
		observers = append(observers, func(o metric.Observer, s Stats, label metric.ObserveOption) {
			o.ObserveInt64(c, value(s), label)
		})
	}
	seconds := func(name, description string, value func(Stats) float64) {
		c, err := meter.Float64ObservableCounter("circle15.tenantdb."+name, metric.WithUnit("s"), metric.WithDescription(description))
		failures = append(failures, err)
		instruments = append(instruments, c)
		observers = append(observers, func(o metric.Observer, s Stats, label metric.ObserveOption) {
			o.ObserveFloat64(c, value(s), label)
		})
	}
	gauge("connections.open", "{connection}", "Connections to the cluster.", func(s Stats) int { return s.Open })
	gauge("connections.busy", "{connection}", "Connections in use.", func(s Stats) int { return s.Busy })
	gauge("requests.waiting", "{request}", "Requests that wait for a connection.", func(s Stats) int { return s.Waiting })
	gauge("tenants.at_home", "{tenant}", "Tenants that connections have served.", func(s Stats) int { return s.Tenants })
	counter("requests.connected", "{request}", "Requests that got a connection.", func(s Stats) int64 { return s.Acquired })
	counter("requests.waited", "{request}", "Requests that had to wait for a connection.", func(s Stats) int64 { return s.Waited })
	seconds("requests.wait_time", "Time that requests waited for a connection, in all.", func(s Stats) float64 { return s.WaitSeconds })
	counter("connections.lent", "{connection}", "Times a connection served a tenant for the first time that is at home on another.",
		func(s Stats) int64 { return s.Foreign })
	counter("connections.opened", "{connection}", "Connections opened.", func(s Stats) int64 { return s.Opened })
	counter("connections.recycled", "{connection}", "Connections replaced by the rules.", func(s Stats) int64 { return s.Recycled })
	counter("connections.discarded", "{connection}", "Connections closed as unclear.", func(s Stats) int64 { return s.Discarded })
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, s := range db.Stats() {
			label := metric.WithAttributes(attribute.String("cluster", s.Cluster))
			for _, f := range observers {
				f(o, s, label)
			}
		}
		return nil
	}, instruments...)
}

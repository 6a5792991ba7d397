// Package telemetry sets up what the process tells about itself: traces over OTLP, metrics for Prometheus, logs.
//
// Traces are configured by the standard OTEL_* environment variables and are off while no OTLP endpoint is set.
// Metric labels are bounded: no tenant, no user, no id is ever one.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
)

// Telemetry is the process's instruments.
type Telemetry struct {
	Registry *prometheus.Registry // of the metrics at /metrics
	Tracing  bool                 // whether spans are exported

	stops []func(context.Context) error
}

// Setup makes the instruments and sets OpenTelemetry's globals. Version is that of the program.
func Setup(ctx context.Context, version string, logger *slog.Logger) (*Telemetry, error) {
	t := &Telemetry{Registry: prometheus.NewRegistry()}
	t.Registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("telemetry", "error", err) }))
	// Only trace context: baggage would let any client put its own values into our traces.
	otel.SetTextMapPropagator(propagation.TraceContext{})
	about, err := describe(ctx, version)
	if err != nil {
		return nil, err
	}
	if err := t.setupMetrics(about); err != nil {
		return nil, err
	}
	if t.Tracing = tracingWanted(os.Getenv); t.Tracing {
		if err := t.setupTraces(ctx, about); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// describe is the resource of all signals; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before ours.
func describe(ctx context.Context, version string) (*resource.Resource, error) {
	ours := resource.NewSchemaless(semconv.ServiceName("circle15"), semconv.ServiceVersion(version))
	fromEnv, err := resource.New(ctx, resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return resource.Merge(ours, fromEnv)
}

// tracingWanted follows the OpenTelemetry specification's environment variables.
func tracingWanted(getenv func(string) string) bool {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") || getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

func (t *Telemetry) setupMetrics(about *resource.Resource) error {
	// The names say whose metrics they are: labels of the instrumentation scope would only repeat it in every series.
	exporter, err := otelprometheus.New(
		otelprometheus.WithRegisterer(t.Registry), otelprometheus.WithoutTargetInfo(), otelprometheus.WithoutScopeInfo(),
	)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	provider := metric.NewMeterProvider(metric.WithReader(exporter), metric.WithResource(about))
	otel.SetMeterProvider(provider)
	t.stops = append(t.stops, provider.Shutdown)
	return nil
}

// setupTraces exports spans over OTLP. A collector that is away costs spans, never requests. Which spans are kept is
// OTEL_TRACES_SAMPLER's to say.
func (t *Telemetry) setupTraces(ctx context.Context, about *resource.Resource) error {
	exporter, err := newExporter(ctx, os.Getenv)
	if err != nil {
		return err
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(about))
	otel.SetTracerProvider(provider)
	t.stops = append(t.stops, provider.Shutdown)
	return nil
}

// newExporter speaks OTLP by the protocol that the environment names; without one, gRPC. A value that stands for
// another exporter or protocol is refused: its collector would not understand ours.
func newExporter(ctx context.Context, getenv func(string) string) (*otlptrace.Exporter, error) {
	if exporter := cmp.Or(getenv("OTEL_TRACES_EXPORTER"), "otlp"); exporter != "otlp" {
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER is %q: want otlp or none", exporter)
	}
	const general, ofTraces = "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	switch protocol := cmp.Or(getenv(ofTraces), getenv(general), "grpc"); protocol {
	case "grpc":
		return otlptracegrpc.New(ctx)
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	default:
		return nil, fmt.Errorf("%s or %s is %q: want grpc or http/protobuf", ofTraces, general, protocol)
	}
}

// shutdownLimit bounds the sending of the last spans.
const shutdownLimit = 5 * time.Second

// Shutdown sends what is left.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownLimit)
	defer cancel()
	errs := make([]error, 0, len(t.stops))
	for _, stop := range t.stops {
		errs = append(errs, stop(ctx))
	}
	return errors.Join(errs...)
}

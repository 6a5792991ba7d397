package tenantdb_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"circle15.dev/internal/tenantdb"
)

func TestStatementsOfATracedRequestAreSpansWithoutValues(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(before) })

	n := newTenants(t, 1)[0]
	db := open(t, nil)
	if _, err := title(in(t, n), db); err != nil {
		t.Fatal(err)
	}
	if got := spans.GetSpans(); len(got) != 0 {
		t.Errorf("%d spans of a request that is not traced", len(got))
	}
	ctx, request := provider.Tracer("test").Start(in(t, n), "request")
	if _, err := title(ctx, db); err != nil {
		t.Fatal(err)
	}
	const secret = "a-secret-value"
	err := db.Write(ctx, func(ctx context.Context, tx *tenantdb.Tx) error {
		_, err := tx.Exec(ctx, addCase, uuid.New(), secret)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	request.End()
	var texts []string
	for _, s := range spans.GetSpans() {
		if s.Name == "request" {
			continue
		}
		if s.Parent.SpanID() != request.SpanContext().SpanID() {
			t.Errorf("span %q is not a child of the request", s.Name)
		}
		for _, a := range s.Attributes {
			if a.Key == "db.query.text" {
				texts = append(texts, a.Value.AsString())
			}
		}
		for _, private := range []string{secret, string(n), n.Schema(), firstCase.String()} {
			if strings.Contains(fmt.Sprint(s.Attributes, s.Name, s.Status), private) {
				t.Errorf("span %q tells %q", s.Name, private)
			}
		}
	}
	want := []string{titleOf.String(), addCase.String(), "COMMIT"}
	if strings.Join(texts, "|") != strings.Join(want, "|") {
		t.Errorf("statements %q, want %q", texts, want)
	}
}

func TestMetricsHaveTheClusterAsTheirOnlyLabel(t *testing.T) {
	reader := metric.NewManualReader()
	before := otel.GetMeterProvider()
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	t.Cleanup(func() { otel.SetMeterProvider(before) })

	n := newTenants(t, 1)[0]
	db := open(t, nil)
	if _, err := title(in(t, n), db); err != nil {
		t.Fatal(err)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	want := attribute.NewSet(attribute.String("cluster", "main"))
	values := map[string]int64{}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			var points []metricdata.DataPoint[int64]
			switch data := m.Data.(type) {
			case metricdata.Gauge[int64]:
				points = data.DataPoints
			case metricdata.Sum[int64]:
				points = data.DataPoints
			case metricdata.Sum[float64]: // of seconds
				for _, p := range data.DataPoints {
					points = append(points, metricdata.DataPoint[int64]{Attributes: p.Attributes})
				}
			}
			if len(points) != 1 || !points[0].Attributes.Equals(&want) {
				t.Errorf("%s: %+v, want one point of the cluster", m.Name, points)
				continue
			}
			values[m.Name] = points[0].Value
		}
	}
	if values["circle15.tenantdb.connections.open"] != 1 || values["circle15.tenantdb.requests.connected"] != 1 {
		t.Errorf("metrics %v, want one connection and one request", values)
	}
}

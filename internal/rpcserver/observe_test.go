package rpcserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/telemetry"
	"circle15.dev/internal/testenv"
)

// lines are the log lines that a server wrote.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) logger(t *testing.T) *slog.Logger {
	t.Helper()
	logger, err := telemetry.NewLogger(l, "json", "debug")
	if err != nil {
		t.Fatal(err)
	}
	return logger
}

// of are the lines with the message.
func (l *lines) of(t *testing.T, message string) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []map[string]any
	for line := range strings.Lines(l.buf.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if fields["msg"] == message {
			found = append(found, fields)
		}
	}
	return found
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestACallIsLoggedWithItsTraceAndTenantAndNothingOfThePerson(t *testing.T) {
	var log lines
	o := options(echoing())
	o.Logger = log.logger(t)
	s := start(t, o)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	s.send("POST", stations, strings.Replace(goodStation, "滨江", "王桂英", 1), headers{"Traceparent": parent})
	if _, err := s.atGRPC(someID, "authorization", "Bearer "+goodToken, "traceparent", parent); err != nil {
		t.Fatal(err)
	}
	refused := s.send("GET", stations+"/1", "", nil)
	calls := log.of(t, "rpc")
	if len(calls) != 3 {
		t.Fatalf("%d lines: %s", len(calls), log.text())
	}
	for i, want := range []map[string]any{
		{"method": "/circle15.registry.v1.RegistryService/CreateStation", "door": "rest", "code": "OK"},
		{"method": "/circle15.registry.v1.RegistryService/GetStation", "door": "grpc", "code": "OK"},
		{"method": "/circle15.registry.v1.RegistryService/GetStation", "door": "rest", "code": "INVALID_ARGUMENT"},
	} {
		want["tenant"], want["level"], want["msg"] = "haikou", "INFO", "rpc"
		want["trace_id"] = "4bf92f3577b34da6a3ce929d0e0e4736"
		if i == 2 {
			want["trace_id"] = strings.TrimPrefix(refused.problem(t).Instance, "urn:trace:")
		}
		got := calls[i]
		if got["duration"] == nil || got["time"] == nil {
			t.Errorf("no duration or time: %v", got)
		}
		delete(got, "duration")
		delete(got, "time")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("line %d (-want +got)\n%s", i, diff)
		}
	}
	for _, private := range []string{"王桂英", goodToken, "worker-1", someID} {
		if strings.Contains(log.text(), private) {
			t.Errorf("the log holds %q: %s", private, log.text())
		}
	}
}

func TestAPanicIsLoggedWithItsPlaceAndNothingOfTheRequest(t *testing.T) {
	for name, tt := range map[string]struct {
		panics func(id string)
		want   string
	}{
		"text":                    {func(id string) { panic("no station " + id) }, "string"},
		"an error":                {func(id string) { panic(fmt.Errorf("no station %s", id)) }, "*errors.errorString"},
		"an error of the runtime": {func(id string) { _ = id[len(id)] }, "runtime error: index out of range [36] with length 36"},
	} {
		t.Run(name, func(t *testing.T) {
			var log lines
			service := echoing()
			service.getStation = func(_ context.Context, r *registryv1.GetStationRequest) (*registryv1.Station, error) {
				tt.panics(r.GetId())
				return &registryv1.Station{}, nil
			}
			o := options(service)
			o.Logger = log.logger(t)
			s := start(t, o)
			s.send("GET", stations+"/"+someID, "", nil)
			panics, calls := log.of(t, "panic"), log.of(t, "rpc")
			if len(panics) != 1 || panics[0]["panic"] != tt.want || !strings.Contains(panics[0]["stack"].(string), "observe_test.go") {
				t.Errorf("panics %v", panics)
			}
			if len(calls) != 1 || calls[0]["level"] != "ERROR" || calls[0]["code"] != "INTERNAL" || calls[0]["trace_id"] != panics[0]["trace_id"] {
				t.Errorf("calls %v", calls)
			}
			if strings.Contains(log.text(), someID) {
				t.Errorf("the log holds the request: %s", log.text())
			}
		})
	}
}

func TestMetricsCountCallsByMethodDoorAndCodeAlone(t *testing.T) {
	o := options(echoing())
	registry := prometheus.NewRegistry()
	o.Registerer = registry
	s := start(t, o)
	s.send("GET", stations+"/"+someID, "", nil)
	s.send("GET", stations+"/1", "", nil)
	s.send("GET", "/v1/nothing", "", nil)
	if _, err := s.atGRPC(someID, "authorization", "Bearer "+goodToken); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	counts := map[string]uint64{}
	for _, family := range families {
		names := map[string]bool{}
		for _, m := range family.GetMetric() {
			values := map[string]string{}
			for _, l := range m.GetLabel() {
				names[l.GetName()], values[l.GetName()] = true, l.GetValue()
			}
			if values["method"] == "GetStation" {
				counts[values["door"]+" "+values["code"]] = m.GetHistogram().GetSampleCount()
			}
		}
		labels[family.GetName()] = slices.Sorted(maps.Keys(names))
	}
	wantLabels := map[string][]string{
		"circle15_rpc_duration_seconds": {"code", "door", "method", "service"},
		"circle15_rpc_in_flight":        {"door"},
		"circle15_rest_refused_total":   {"status"},
	}
	if diff := cmp.Diff(wantLabels, labels); diff != "" {
		t.Errorf("labels (-want +got)\n%s", diff)
	}
	want := map[string]uint64{"rest OK": 1, "rest INVALID_ARGUMENT": 1, "grpc OK": 1}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("counts (-want +got)\n%s", diff)
	}
}

// recordSpans keeps the spans of the test.
func recordSpans(t *testing.T) *tracetest.SpanRecorder {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	before, beforePropagator := otel.GetTracerProvider(), otel.GetTextMapPropagator()
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	t.Cleanup(func() {
		otel.SetTracerProvider(before)
		otel.SetTextMapPropagator(beforePropagator)
	})
	return recorder
}

func TestASpanHoldsNothingThatTheClientWroteIntoTheTarget(t *testing.T) {
	recorder := recordSpans(t)
	o := options(echoing())
	o.Tracing = true
	s := start(t, o)
	s.send("GET", stations+"/"+someID, "", nil)
	s.send("GET", "/v1/residents:byName/private", "", nil)
	s.send("GET", stations+"?private=1", "", nil)
	s.send("GET", stations+"/private", "", nil)
	_ = s.conn().Invoke(t.Context(), "/circle15.registry.v1.RegistryService/private", &registryv1.GetStationRequest{}, nil)
	testenv.Await(t, "four spans", func() bool { return len(recorder.Ended()) >= 4 })
	var names []string
	for _, span := range recorder.Ended() {
		names = append(names, span.Name())
		for _, a := range span.Attributes() {
			value := a.Value.String()
			if a.Key == "url.path" || strings.Contains(value, "private") || strings.Contains(value, someID) {
				t.Errorf("the span %s holds %s = %s", span.Name(), a.Key, value)
			}
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"GET", "GET /v1/stations", "GET /v1/stations/{id}", "GET /v1/stations/{id}"}, names); diff != "" {
		t.Errorf("spans (-want +got)\n%s", diff)
	}
}

func TestACallIsOneServerSpanThatJoinsItsParentAndHoldsItsChildren(t *testing.T) {
	recorder := recordSpans(t)
	service := echoing()
	service.getStation = func(ctx context.Context, _ *registryv1.GetStationRequest) (*registryv1.Station, error) {
		_, span := otel.Tracer("test").Start(ctx, "SQL")
		span.End()
		return &registryv1.Station{}, nil
	}
	o := options(service)
	o.Tracing = true
	s := start(t, o)
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(t.Context(), parent), carrier)
	s.send("GET", stations+"/"+someID, "", headers{"Traceparent": carrier["traceparent"]})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+goodToken, "traceparent", carrier["traceparent"])
	if _, err := registryv1.NewRegistryServiceClient(s.conn()).GetStation(ctx, &registryv1.GetStationRequest{Id: someID}); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "four spans", func() bool { return len(recorder.Ended()) >= 4 })
	var names []string
	servers := map[trace.SpanID]bool{}
	for _, span := range recorder.Ended() {
		if span.SpanKind() == trace.SpanKindServer {
			names = append(names, span.Name())
			servers[span.SpanContext().SpanID()] = true
			if span.Parent().SpanID() != parent.SpanID() || span.SpanContext().TraceID() != parent.TraceID() {
				t.Errorf("the span %s has the parent %v", span.Name(), span.Parent())
			}
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"GET /v1/stations/{id}", "circle15.registry.v1.RegistryService/GetStation"}, names); diff != "" {
		t.Errorf("server spans (-want +got)\n%s", diff)
	}
	for _, span := range recorder.Ended() {
		if span.Name() == "SQL" && !servers[span.Parent().SpanID()] {
			t.Errorf("a span of the handler has the parent %v", span.Parent())
		}
	}
}

// The chain sees no request that the REST door refuses, so the door itself writes the line by which a problem is found.
func TestARefusedRequestIsLoggedUnderItsTraceIDWithNothingThatTheClientWrote(t *testing.T) {
	var log lines
	o := options(echoing())
	o.Logger = log.logger(t)
	s := start(t, o)
	for _, tt := range []struct {
		method, path, body string
		status             float64
		route              any
	}{
		{"GET", stations + "?zhuo=1", "", 400, "GET /v1/stations"},
		{"GET", "/v1/zhuo", "", 404, nil},
		{"POST", stations, `{"zhuo":1}`, 400, "POST /v1/stations"},
		{"PUT", stations, "", 405, nil},
	} {
		p := s.send(tt.method, tt.path, tt.body, nil).problem(t)
		line := log.of(t, "refused")[len(log.of(t, "refused"))-1]
		if line["status"] != tt.status || line["problem"] != p.Type || line["route"] != tt.route ||
			"urn:trace:"+fmt.Sprint(line["trace_id"]) != p.Instance {
			t.Errorf("%s %s: problem %v, line %v", tt.method, tt.path, p, line)
		}
	}
	if strings.Contains(log.text(), "zhuo") {
		t.Errorf("the log holds what the client wrote: %s", log.text())
	}
}

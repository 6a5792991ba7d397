package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/protobuf/proto"

	"circle15.dev/internal/telemetry"
	"circle15.dev/internal/tenant"
)

// receiver is an OTLP collector that keeps the names of the spans that it gets.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	spans chan string
}

func (r *receiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	for _, resource := range request.GetResourceSpans() {
		var service string
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				r.spans <- service + ": " + span.GetName()
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// listenGRPC lets the receiver take OTLP over gRPC at the URL that it returns.
func (r *receiver) listenGRPC(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return "http://" + l.Addr().String()
}

// listenHTTP lets the receiver take OTLP over HTTP at the URL that it returns.
func (r *receiver) listenHTTP(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, request *http.Request) {
		var spans collector.ExportTraceServiceRequest
		body, err := io.ReadAll(request.Body)
		if err == nil {
			err = proto.Unmarshal(body, &spans)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = r.Export(request.Context(), &spans) // never fails
		w.Header().Set("Content-Type", "application/x-protobuf")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func setUp(t *testing.T) *telemetry.Telemetry {
	t.Helper()
	tracers, meters := otel.GetTracerProvider(), otel.GetMeterProvider()
	t.Cleanup(func() {
		otel.SetTracerProvider(tracers)
		otel.SetMeterProvider(meters)
	})
	tel, err := telemetry.Setup(t.Context(), "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func TestSpansAreExportedToTheEndpointOfTheEnvironmentByItsProtocol(t *testing.T) {
	for name, tt := range map[string]struct {
		listen func(*receiver, *testing.T) string
		env    map[string]string
	}{
		"none named":       {(*receiver).listenGRPC, nil},
		"gRPC":             {(*receiver).listenGRPC, map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}},
		"HTTP":             {(*receiver).listenHTTP, map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}},
		"HTTP, for traces": {(*receiver).listenHTTP, map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &receiver{spans: make(chan string, 10)}
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", tt.listen(r, t))
			for key, value := range tt.env {
				t.Setenv(key, value)
			}
			tel := setUp(t)
			if !tel.Tracing {
				t.Fatal("no tracing")
			}
			_, span := otel.Tracer("test").Start(t.Context(), "work")
			span.End()
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-r.spans:
				if got != "circle15: work" {
					t.Errorf("got %q", got)
				}
			default:
				t.Error("no span has come by the end of the shutdown")
			}
		})
	}
}

func TestAnExporterOrProtocolThatIsNotSpokenIsRefusedInASentence(t *testing.T) {
	for variable, value := range map[string]string{
		"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(variable, value)
			_, err := telemetry.Setup(t.Context(), "test", slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), variable) || !strings.Contains(err.Error(), strconv.Quote(value)) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTracingIsOffWithoutAnEndpointOrWhereItIsTurnedOff(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"no endpoint":  {},
		"SDK disabled": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
		"no exporter":  {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
			for key, value := range env {
				t.Setenv(key, value)
			}
			if setUp(t).Tracing {
				t.Error("tracing is on")
			}
		})
	}
}

func TestTheAdminPagesShowMetricsOfBothKindsAndProfiles(t *testing.T) {
	tel := setUp(t)
	counter, err := otel.Meter("test").Int64Counter("circle15_test")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 3)
	server := httptest.NewServer(tel.AdminHandler())
	defer server.Close()
	for path, want := range map[string]string{"/metrics": "circle15_test_total", "/debug/pprof/": "goroutine", "/debug/pprof/cmdline": "test"} {
		response, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: status %d, %v: %.200s", path, response.StatusCode, err, body)
		}
	}
}

func TestALineCarriesTheTraceAndTheTenantOfItsContext(t *testing.T) {
	var out bytes.Buffer
	logger, err := telemetry.NewLogger(&out, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	ctx := telemetry.Identify(tenant.With(t.Context(), "haikou"), "")
	logger.With("a", 1).WithGroup("g").InfoContext(ctx, "hello", "b", 2)
	logger.Debug("too quiet")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	group, _ := line["g"].(map[string]any)
	if group["tenant"] != "haikou" || group["trace_id"] != trace.SpanContextFromContext(ctx).TraceID().String() || line["a"] != 1.0 {
		t.Errorf("line %v", line)
	}
}

func TestADurationIsLoggedWithItsUnit(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		logger, err := telemetry.NewLogger(&out, format, "info")
		if err != nil {
			t.Fatal(err)
		}
		logger.Info("hello", "duration", 1500*time.Microsecond)
		if !strings.Contains(out.String(), "1.5ms") {
			t.Errorf("%s: %s", format, out.String())
		}
	}
}

func TestALoggerOfNoKnownKindIsRefused(t *testing.T) {
	for _, try := range [][2]string{{"xml", "info"}, {"json", "loud"}, {"", "info"}} {
		if _, err := telemetry.NewLogger(io.Discard, try[0], try[1]); err == nil {
			t.Errorf("format %q, level %q", try[0], try[1])
		}
	}
}

func TestARequestJoinsItsTraceOrGetsAnIDOfItsOwn(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	seen := map[string]bool{}
	for name, tt := range map[string]struct{ traceparent, want string }{
		"a trace":        {parent, "4bf92f3577b34da6a3ce929d0e0e4736"},
		"none":           {"", ""},
		"a broken one":   {"00-xyz", ""},
		"a trace of nil": {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", ""},
	} {
		ctx := telemetry.Identify(t.Context(), tt.traceparent)
		span := trace.SpanContextFromContext(ctx)
		if !span.IsValid() || tt.want != "" && span.TraceID().String() != tt.want || seen[span.TraceID().String()] {
			t.Errorf("%s: %v", name, span)
		}
		seen[span.TraceID().String()] = true
		if again := telemetry.Identify(ctx, parent); trace.SpanContextFromContext(again).TraceID() != span.TraceID() {
			t.Errorf("%s: identified twice, by two ids", name)
		}
	}
}

func TestWhatTheLibrariesComplainAboutIsLoggedLikeAllElse(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { telemetry.SetDefault(before) })
	var out bytes.Buffer
	logger, err := telemetry.NewLogger(&out, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	telemetry.SetDefault(logger)
	slog.Warn("one")
	grpclog.Warning("too quiet")
	grpclog.Error("two")
	want := []string{"WARN one", "ERROR two"}
	for line := range strings.Lines(out.String()) {
		var fields struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if len(want) == 0 || !strings.HasPrefix(want[0], fields.Level) || !strings.HasSuffix(fields.Msg, strings.Fields(want[0])[1]) {
			t.Fatalf("line %s, want %v", line, want)
		}
		want = want[1:]
	}
	if len(want) > 0 {
		t.Errorf("no line for %v in %s", want, out.String())
	}
}

package rpcserver_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/rpcserver"
)

const (
	getStation  = "/circle15.registry.v1.RegistryService/GetStation"
	checkHealth = grpc_health_v1.Health_Check_FullMethodName
	reflect     = grpc_reflection_v1.ServerReflection_ServerReflectionInfo_FullMethodName
	whole       = 4 << 20 // bytes of the largest message
)

// rawConn is an HTTP/2 connection to the gRPC door that sends what no gRPC client would.
type rawConn struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
	next   uint32
}

// dial opens a connection; every read of it ends within 10 s.
func (s *running) dial(t *testing.T) *rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", s.GRPCAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r := &rawConn{t: t, conn: conn, framer: http2.NewFramer(conn, conn), next: 1}
	r.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := r.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return r
}

// stall opens a stream that announces a message of the length and sends one kilobyte of it.
func (r *rawConn) stall(method, token string, length uint32) (stream uint32) {
	r.t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields := [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "x"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	}
	if token != "" {
		fields = append(fields, [2]string{"authorization", "Bearer " + token})
	}
	for _, f := range fields {
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	stream = r.next
	r.next += 2
	headers := http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}
	if err := r.framer.WriteHeaders(headers); err != nil {
		r.t.Fatal(err)
	}
	message := binary.BigEndian.AppendUint32([]byte{0}, length)
	if err := r.framer.WriteData(stream, false, append(message, make([]byte, 1<<10)...)); err != nil {
		r.t.Fatal(err)
	}
	return stream
}

// frames reads until the frame is the one that is looked for.
func (r *rawConn) frames(wanted func(http2.Frame) bool) {
	r.t.Helper()
	if err := r.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	for {
		frame, err := r.framer.ReadFrame()
		if err != nil {
			r.t.Fatal(err)
		}
		if wanted(frame) {
			return
		}
	}
}

// status is the gRPC status by which the server ends the stream.
func (r *rawConn) status(stream uint32) (code string) {
	r.t.Helper()
	r.frames(func(frame http2.Frame) bool {
		headers, ok := frame.(*http2.MetaHeadersFrame)
		if !ok || headers.StreamID != stream || !headers.StreamEnded() {
			return false
		}
		for _, f := range headers.RegularFields() {
			if f.Name == "grpc-status" {
				code = f.Value
			}
		}
		return true
	})
	return code
}

// read waits until the server reads the messages of as many streams: it widens the windows of those alone.
func (r *rawConn) read(streams int) {
	r.t.Helper()
	r.frames(func(frame http2.Frame) bool {
		if window, ok := frame.(*http2.WindowUpdateFrame); ok && window.StreamID != 0 {
			streams--
		}
		return streams == 0
	})
}

func TestTheMessageOfAnUnknownCallerIsNotAwaited(t *testing.T) {
	s := start(t, options(echoing()))
	for name, token := range map[string]string{"no token": "", "a bad token": "bad"} {
		r := s.dial(t)
		for range 3 {
			if got := r.status(r.stall(getStation, token, whole)); got != "16" {
				t.Errorf("%s: status %s", name, got)
			}
		}
	}
}

func TestAMessageThatStallsEnds(t *testing.T) {
	o := options(echoing())
	o.Limits.ReadBody, o.Limits.Time = 20*time.Millisecond, 20*time.Millisecond
	s := start(t, o)
	for method, token := range map[string]string{getStation: goodToken, checkHealth: "", reflect: ""} {
		r := s.dial(t)
		if got := r.status(r.stall(method, token, whole)); got != "4" {
			t.Errorf("%s: status %s", method, got)
		}
	}
}

func TestAMessageLongerThanTheLimitIsRefusedBeforeItArrives(t *testing.T) {
	s := start(t, options(echoing()))
	r := s.dial(t)
	if got := r.status(r.stall(getStation, goodToken, whole+1)); got != "8" {
		t.Errorf("status %s", got)
	}
}

func TestTheStalledMessagesOfOneCallerHoldUpNoOther(t *testing.T) {
	o := options(echoing())
	o.Authenticate = func(_ context.Context, bearer string) (authn.Principal, error) {
		return authn.Principal{Subject: bearer, Tenants: []string{"haikou"}}, nil
	}
	s := start(t, o)
	r := s.dial(t)
	for range rpcserver.MaxArrivingOfCaller + 5 {
		r.stall(getStation, "slow", whole)
	}
	r.read(rpcserver.MaxArrivingOfCaller)
	client := registryv1.NewRegistryServiceClient(s.conn())
	get := func(ctx context.Context, token string) error {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		_, err := client.GetStation(ctx, &registryv1.GetStationRequest{Id: someID})
		return err
	}
	if err := get(t.Context(), "other"); err != nil {
		t.Errorf("another caller: %v", err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := get(soon, "slow"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the same caller: %v", err)
	}
	_ = r.conn.Close()
	if err := get(t.Context(), "slow"); err != nil {
		t.Errorf("the same caller, when the connection has gone: %v", err)
	}
}

func TestFewMessagesOfUnknownCallersArriveAtOnce(t *testing.T) {
	s := start(t, options(echoing()))
	for _, method := range []string{checkHealth, reflect} {
		r := s.dial(t)
		for range rpcserver.MaxArrivingOpen {
			r.stall(method, "", whole)
		}
		r.read(rpcserver.MaxArrivingOpen)
		if got := r.status(r.stall(method, "", whole)); got != "8" {
			t.Errorf("%s: status %s", method, got)
		}
	}
}

// notProtobuf passes bytes as they are.
type notProtobuf struct{}

func (notProtobuf) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (notProtobuf) Unmarshal([]byte, any) error   { return nil }
func (notProtobuf) Name() string                  { return "proto" }

func TestAMessageThatIsNoneIsTheCallersFaultAndIsLoggedAndCounted(t *testing.T) {
	var log lines
	registry := prometheus.NewRegistry()
	service := newTestService(t, "Malformed", rule("stations", "get"))
	o := options(echoing(), service)
	o.Logger, o.Registerer = log.logger(t), registry
	s := start(t, o)
	for name, message := range map[string][]byte{
		"not protobuf":      {0xff, 0xff, 0xff},
		"cut short":         {0x0a, 0x10, 'a'},
		"text not in UTF-8": {0x0a, 0x01, 0xff},
	} {
		for _, method := range []string{getStation, "/" + service.name + "/Exchange"} {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+goodToken)
			err := s.conn().Invoke(ctx, method, message, nil, grpc.ForceCodec(notProtobuf{}))
			if status.Code(err) != codes.InvalidArgument || outcomeOf(err).kind != "INVALID_ARGUMENT" {
				t.Errorf("%s: %s: %v", name, method, err)
			}
		}
	}
	calls := log.of(t, "rpc")
	for _, call := range calls {
		if call["code"] != "INVALID_ARGUMENT" {
			t.Errorf("logged as %v", call)
		}
	}
	if got := counted(t, registry, "GetStation", "grpc", "INVALID_ARGUMENT"); len(calls) != 6 || got != 3 {
		t.Errorf("%d calls are logged, and %d counted", len(calls), got)
	}
}

// counted is how many calls the metrics have of the method, door and code.
func counted(t *testing.T, registry *prometheus.Registry, method, door, code string) uint64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["method"] == method && labels["door"] == door && labels["code"] == code {
				return m.GetHistogram().GetSampleCount()
			}
		}
	}
	return 0
}

package rpcserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/rpcserver"
	"circle15.dev/internal/testenv"
)

// held is a registry whose GetStation waits until it is let go.
func held() (service *registry, arrived chan struct{}, letGo chan struct{}) {
	arrived, letGo = make(chan struct{}, 2), make(chan struct{})
	service = echoing()
	service.getStation = func(_ context.Context, r *registryv1.GetStationRequest) (*registryv1.Station, error) {
		arrived <- struct{}{}
		<-letGo
		return &registryv1.Station{Id: r.GetId()}, nil
	}
	return service, arrived, letGo
}

func TestADrainLetsRequestsInFlightEnd(t *testing.T) {
	service, arrived, letGo := held()
	s := start(t, options(service))
	rest, rpc := make(chan int, 1), make(chan error, 1)
	go func() { rest <- s.send("GET", stations+"/"+someID, "", nil).status }()
	client := registryv1.NewRegistryServiceClient(s.conn())
	go func() {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+goodToken)
		_, err := client.GetStation(ctx, &registryv1.GetStationRequest{Id: someID})
		rpc <- err
	}()
	<-arrived
	<-arrived
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	testenv.Await(t, "the listener to close", func() bool {
		_, err := http.Get("http://" + s.HTTPAddr() + "/healthz") //nolint:bodyclose // no answer is wanted
		return err != nil
	})
	select {
	case err := <-stopped:
		t.Fatalf("stopped with requests in flight: %v", err)
	default:
	}
	close(letGo)
	if got := <-rest; got != 200 {
		t.Errorf("REST: status %d", got)
	}
	if err := <-rpc; err != nil {
		t.Errorf("gRPC: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("the drain: %v", err)
	}
}

func TestADrainIsBounded(t *testing.T) {
	service, arrived, letGo := held()
	o := options(service)
	o.Drain.Timeout = 50 * time.Millisecond
	server, err := rpcserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Run(ctx) }()
	go func() { _, _ = http.DefaultClient.Do(request(t, server.HTTPAddr())) }() //nolint:bodyclose // it is cut off
	<-arrived
	cancel()
	if err := <-stopped; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("got %v", err)
	}
	close(letGo)
}

func request(t *testing.T, address string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+address+stations+"/"+someID, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+goodToken)
	return r
}

func TestADrainingServerIsUnreadyAndStillAnswersUntilItIsToldAgainToStop(t *testing.T) {
	o := options(echoing())
	hurry := make(chan struct{})
	o.Drain.Delay, o.Drain.Hurry = time.Hour, hurry
	s := start(t, o)
	if got := s.send("GET", "/readyz", "", nil); got.status != 200 {
		t.Fatalf("before: status %d", got.status)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	testenv.Await(t, "the server to turn unready", func() bool { return s.send("GET", "/readyz", "", nil).status == 503 })
	if got := s.send("GET", stations+"/"+someID, "", nil); got.status != 200 {
		t.Errorf("a request in the delay: status %d", got.status)
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped before the end of the delay: %v", err)
	default:
	}
	close(hurry)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestAServerThatDrainsCutsRequestsOffWhenItIsToldAgainToStop(t *testing.T) {
	o := options(echoing())
	hurry := make(chan struct{})
	o.Drain.Timeout, o.Drain.Hurry = time.Hour, hurry
	server, err := rpcserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Run(ctx) }()
	conn, err := net.Dial("tcp", server.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// The server asks for the body, which never comes.
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", stations, goodToken)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") {
		t.Fatalf("answered %q, %v", line, err)
	}
	stop()
	close(hurry)
	if err := <-stopped; err == nil || !strings.Contains(err.Error(), "requests in flight were cut off") {
		t.Errorf("stopped with %v", err)
	}
}

// One door broke; the others are given the delay too, unless the server is told to stop.
func TestTheDelayAfterADoorBrokeEndsWhenTheServerIsToldToStop(t *testing.T) {
	o := options(echoing())
	o.Drain.Delay = time.Hour
	server, err := rpcserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Run(ctx) }()
	answers := func(status int) func() bool {
		return func() bool {
			w := httptest.NewRecorder()
			server.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			return w.Code == status
		}
	}
	testenv.Await(t, "the server to be ready", answers(http.StatusOK))
	server.Close() // takes the listeners away
	testenv.Await(t, "the server to turn unready", answers(http.StatusServiceUnavailable))
	select {
	case err := <-stopped:
		t.Fatalf("stopped before the end of the delay: %v", err)
	default:
	}
	stop()
	if err := <-stopped; err == nil {
		t.Error("a broken door is no error")
	}
}

func TestReadinessFollowsTheChecksAndTellsNoReason(t *testing.T) {
	var fails atomic.Bool
	o := options(echoing())
	o.Checks = []rpcserver.Check{{Name: "database", Test: func(context.Context) error {
		if fails.Load() {
			return errors.New("private")
		}
		return nil
	}}}
	s := start(t, o)
	check := func(status int, state string) func() bool {
		return func() bool {
			got := s.send("GET", "/readyz", "", nil)
			var body struct{ Checks map[string]string }
			if err := json.Unmarshal(got.body, &body); err != nil || strings.Contains(string(got.body), "private") {
				t.Fatalf("%s: %v", got.body, err)
			}
			return got.status == status && body.Checks["database"] == state
		}
	}
	testenv.Await(t, "readiness", check(200, "ok"))
	fails.Store(true)
	testenv.Await(t, "unreadiness", check(503, "failing"))
	if got := s.send("GET", "/healthz", "", nil); got.status != 200 {
		t.Errorf("alive, but status %d", got.status)
	}
}

func TestAMethodWithoutARuleDoesNotStart(t *testing.T) {
	_, err := rpcserver.New(options(newTestService(t, "NoRule", nil)))
	if err == nil || !strings.Contains(err.Error(), "has no authorization rule") {
		t.Errorf("got %v", err)
	}
}

func TestAStreamGoesThroughTheSameChain(t *testing.T) {
	service := newTestService(t, "Streams", rule("stations", "get"))
	s := start(t, options(service))
	for name, tt := range map[string]struct {
		token string
		ids   []string
		want  apierr.Kind
	}{
		"good":                   {goodToken, []string{someID, otherID}, ""},
		"without a token":        {"", []string{someID}, apierr.Unauthenticated},
		"of no tenant":           {noneToken, []string{someID}, apierr.Denied},
		"with a bad 2nd message": {goodToken, []string{someID, "bad"}, apierr.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			for door, conn := range map[string]grpc.ClientConnInterface{"gRPC": s.conn(), "in process": s.InProcess()} {
				got, err := service.exchange(conn, tt.token, tt.ids...)
				if kind := kindOf(err); kind != tt.want {
					t.Fatalf("%s: got %v, want %q", door, err, tt.want)
				}
				if err == nil && strings.Join(got, " ") != "haikou/"+someID+" haikou/"+otherID {
					t.Errorf("%s: answers %v", door, got)
				}
			}
		})
	}
}

// kindOf is the kind of a call's error: in process the error itself, at the gRPC door the reason of its status.
func kindOf(err error) apierr.Kind {
	if e, ok := errors.AsType[*apierr.Error](err); ok {
		return e.Kind
	}
	return apierr.Kind(outcomeOf(err).kind)
}

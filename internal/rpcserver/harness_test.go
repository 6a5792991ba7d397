package rpcserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/rpcserver"
	"circle15.dev/internal/tenant"
)

const (
	goodToken = "good" // of one tenant, haikou
	bothToken = "both" // of haikou and sanya
	noneToken = "none" // of no tenant
	someID    = "0193f1c2-7b1e-7cc0-9a51-0d8f0e1c2b3a"
	otherID   = "0193f1c2-7b1e-7cc0-9a51-0d8f0e1c2b3b"
)

// registry is a registry service without a database: each test sets the methods that it needs.
type registry struct {
	registryv1.UnimplementedRegistryServiceServer
	getStation    func(context.Context, *registryv1.GetStationRequest) (*registryv1.Station, error)
	createStation func(context.Context, *registryv1.CreateStationRequest) (*registryv1.Station, error)
	updateStation func(context.Context, *registryv1.UpdateStationRequest) (*registryv1.Station, error)
	listStations  func(context.Context, *registryv1.ListStationsRequest) (*registryv1.ListStationsResponse, error)
	getResident   func(context.Context, *registryv1.GetResidentRequest) (*registryv1.Resident, error)
	meetNeed      func(context.Context, *registryv1.MeetNeedRequest) (*registryv1.Need, error)
}

func (*registry) Name() string { return "registry" }

func (s *registry) RegisterGRPC(r grpc.ServiceRegistrar) {
	registryv1.RegisterRegistryServiceServer(r, s)
}

func (*registry) RegisterGateway(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
	return registryv1.RegisterRegistryServiceHandlerClient(ctx, mux, registryv1.NewRegistryServiceClient(conn))
}

func (s *registry) GetStation(ctx context.Context, r *registryv1.GetStationRequest) (*registryv1.Station, error) {
	return s.getStation(ctx, r)
}

func (s *registry) CreateStation(ctx context.Context, r *registryv1.CreateStationRequest) (*registryv1.Station, error) {
	return s.createStation(ctx, r)
}

func (s *registry) UpdateStation(ctx context.Context, r *registryv1.UpdateStationRequest) (*registryv1.Station, error) {
	return s.updateStation(ctx, r)
}

func (s *registry) ListStations(ctx context.Context, r *registryv1.ListStationsRequest) (*registryv1.ListStationsResponse, error) {
	return s.listStations(ctx, r)
}

func (s *registry) GetResident(ctx context.Context, r *registryv1.GetResidentRequest) (*registryv1.Resident, error) {
	return s.getResident(ctx, r)
}

func (s *registry) MeetNeed(ctx context.Context, r *registryv1.MeetNeedRequest) (*registryv1.Need, error) {
	return s.meetNeed(ctx, r)
}

// echoing is a registry that answers every call with something of the request.
func echoing() *registry {
	station := func(id string) *registryv1.Station {
		return &registryv1.Station{Id: id, DisplayName: "滨江街道社工站", Etag: `"7"`}
	}
	return &registry{
		getStation: func(_ context.Context, r *registryv1.GetStationRequest) (*registryv1.Station, error) {
			return station(r.GetId()), nil
		},
		createStation: func(_ context.Context, r *registryv1.CreateStationRequest) (*registryv1.Station, error) {
			return r.GetStation(), nil
		},
		updateStation: func(_ context.Context, r *registryv1.UpdateStationRequest) (*registryv1.Station, error) {
			return r.GetStation(), nil
		},
		listStations: func(context.Context, *registryv1.ListStationsRequest) (*registryv1.ListStationsResponse, error) {
			return &registryv1.ListStationsResponse{Stations: []*registryv1.Station{station(someID), station(otherID)}}, nil
		},
		meetNeed: func(_ context.Context, r *registryv1.MeetNeedRequest) (*registryv1.Need, error) {
			return &registryv1.Need{Id: r.GetId()}, nil
		},
	}
}

func authenticateForTest(_ context.Context, bearer string) (authn.Principal, error) {
	p := authn.Principal{Issuer: "https://issuer.test", Subject: "worker-1"}
	switch bearer {
	case goodToken:
		p.Tenants = []string{"haikou"}
	case bothToken:
		p.Tenants = []string{"haikou", "sanya"}
	case noneToken:
	default:
		return authn.Principal{}, apierr.New(apierr.Unauthenticated, "the token is not valid")
	}
	return p, nil
}

func allowAll(_ context.Context, p authn.Principal, _ tenant.Name, _, _ string) (authz.Scope, error) {
	return authz.Scope{Level: authz.LevelTenant, Subject: p.Subject}, nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// options are those of a server on free ports.
func options(services ...rpcserver.Service) rpcserver.Options {
	return rpcserver.Options{
		Services:     services,
		Authenticate: authenticateForTest,
		Authorize:    allowAll,
		HTTP:         "127.0.0.1:0",
		GRPC:         "127.0.0.1:0",
		Limits:       rpcserver.DefaultLimits(),
		Drain:        rpcserver.Drain{Timeout: 10 * time.Second},
		Logger:       quiet(),
		Registerer:   prometheus.NewRegistry(),
	}
}

// running is a server that listens.
type running struct {
	*rpcserver.Server
	t    testing.TB
	stop func() error // drains and returns what Run returned
}

func start(t testing.TB, o rpcserver.Options) *running {
	t.Helper()
	server, err := rpcserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return &running{server, t, stop}
}

// conn is a connection to the gRPC door.
func (s *running) conn() *grpc.ClientConn {
	s.t.Helper()
	conn, err := grpc.NewClient(s.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// answer is a REST answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem is a problem document as a client reads it.
type problem struct {
	Type, Title, Detail, Instance string
	Status                        int
	Errors                        []struct{ Field, Message string }
}

func (a answer) problem(t testing.TB) problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("status %d with Content-Type %q, want a problem document; body %s", a.status, got, a.body)
	}
	var p problem
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		t.Errorf("problem document %s: %v", a.body, err)
	}
	if p.Status != a.status {
		t.Errorf("status %d in a document of status %d", p.Status, a.status)
	}
	return p
}

type headers map[string]string

// send sends a request with the good token, or with the headers given.
func (s *running) send(method, path, body string, more headers) answer {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.HTTPAddr()+path, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+goodToken)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range more {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	return s.do(r)
}

func (s *running) do(r *http.Request) answer {
	s.t.Helper()
	response, err := noRedirects.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, body}
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// raw sends bytes as they are and returns the status line's code.
func (s *running) raw(text string) string {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.HTTPAddr())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(answer)
}

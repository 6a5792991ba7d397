// Package rpcserver serves the platform's services at two doors, gRPC and REST, through one chain of interceptors, and
// says whether the process is alive and ready. README.md has the decisions.
package rpcserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"circle15.dev/internal/rpcserver/rest"
	"circle15.dev/internal/validate"
)

// Options are what a Server is made of.
type Options struct {
	Services []Service

	Authenticate Authenticator
	Authorize    Authorizer
	Quota        Quota // optional

	HTTP  string // address of the REST door
	GRPC  string // address of the gRPC door
	Admin string // address of AdminHandler

	AdminHandler http.Handler            // metrics and profiles; nil for no admin listener
	Pages        map[string]http.Handler // further pages of the REST door, for GET and HEAD, by their paths: "/issuer/keys"
	Checks       []Check                 // of readiness
	Limits       Limits
	Drain        Drain

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Tracing    bool // whether spans are exported
}

// Drain is how a server stops.
type Drain struct {
	Delay   time.Duration   // between turning unready and closing the listeners, for balancers to notice
	Timeout time.Duration   // for the requests in flight after that
	Hurry   <-chan struct{} // closed when the server is told again to stop, which ends the delay or what comes after; nil for never
}

// Server is the doors of one process.
type Server struct {
	options Options

	http, admin *http.Server
	grpc        *grpc.Server
	health      *health.Server
	inProcess   *channel // the REST door's connection
	draining    atomic.Bool

	listeners struct{ http, grpc, admin net.Listener }
}

// New builds the doors. It fails where a method has no authorization rule, a validation rule does not compile, or two
// methods have one route. Nothing listens yet.
func New(o Options) (*Server, error) {
	recorded := &recorder{}
	for _, s := range o.Services {
		s.RegisterGRPC(recorded)
	}
	methods, err := compileMethods(recorded.descs)
	if err != nil {
		return nil, err
	}
	if err := measure(methods, o.Registerer); err != nil {
		return nil, err
	}
	checks, err := validate.NewChecker(methods.inputs())
	if err != nil {
		return nil, fmt.Errorf("validation rules: %w", err)
	}
	admit := newAdmission(o.Authenticate)
	ch := &chain{
		methods: methods, steps: stepsOf(o, admit, checks), check: checks.Check,
		intake: newIntake(maxArriving, maxArrivingOfCaller, maxCallsOfCaller),
	}
	s := &Server{options: o, health: health.NewServer()}
	s.grpc = newGRPCServer(o, ch, s.health)
	s.inProcess = newChannel(ch)
	for i, desc := range recorded.descs {
		s.grpc.RegisterService(ch.grpcDesc(desc), recorded.implementations[i])
		s.inProcess.RegisterService(desc, recorded.implementations[i])
		s.health.SetServingStatus(desc.ServiceName, servingStatus)
	}
	gateway, err := newGateway(o, admit, recorded, s.inProcess)
	if err != nil {
		return nil, err
	}
	s.http = newHTTPServer(o, s.routes(gateway, methods))
	if o.AdminHandler != nil {
		s.admin = &http.Server{Handler: o.AdminHandler, ReadHeaderTimeout: o.Limits.ReadHeader, ErrorLog: errorLog(o.Logger)}
	}
	return s, nil
}

func newGateway(o Options, admit admission, recorded *recorder, inProcess *channel) (*rest.Handler, error) {
	var services []protoreflect.ServiceDescriptor
	for _, desc := range recorded.descs {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(desc.ServiceName))
		if err != nil {
			return nil, err
		}
		services = append(services, found.(protoreflect.ServiceDescriptor)) // compileMethods has seen that it is one
	}
	return rest.New(rest.Config{
		Services: services,
		Register: func(mux *runtime.ServeMux) error {
			for _, s := range o.Services {
				if err := s.RegisterGateway(context.Background(), mux, inProcess); err != nil {
					return fmt.Errorf("service %s: %w", s.Name(), err)
				}
			}
			return nil
		},
		Admit: func(ctx context.Context) error {
			_, err := admit(ctx)
			return err
		},
		Limits:     rest.Limits{Body: o.Limits.Body, Header: o.Limits.Header, URL: o.Limits.URL, Depth: o.Limits.Depth},
		Logger:     o.Logger,
		Registerer: o.Registerer,
	})
}

// recorder is a registrar that only remembers.
type recorder struct {
	descs           []*grpc.ServiceDesc
	implementations []any
}

// RegisterService implements grpc.ServiceRegistrar.
func (r *recorder) RegisterService(desc *grpc.ServiceDesc, implementation any) {
	r.descs = append(r.descs, desc)
	r.implementations = append(r.implementations, implementation)
}

// Listen binds the addresses, so that a taken one is known before anything else begins. Run calls it if need be.
func (s *Server) Listen(ctx context.Context) error {
	if s.listeners.http != nil {
		return nil
	}
	var err error
	if s.listeners.http, err = s.listen(ctx, "the REST door", s.options.HTTP, "http"); err != nil {
		return err
	}
	if s.listeners.grpc, err = s.listen(ctx, "the gRPC door", s.options.GRPC, "grpc"); err != nil {
		return errors.Join(err, s.listeners.http.Close())
	}
	if s.admin == nil {
		return nil
	}
	if s.listeners.admin, err = s.listen(ctx, "metrics and profiles", s.options.Admin, "admin"); err != nil {
		return errors.Join(err, s.listeners.http.Close(), s.listeners.grpc.Close())
	}
	return nil
}

func (s *Server) listen(ctx context.Context, what, address, setting string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return limitConnections(l.(*net.TCPListener), s.options.Limits.Connections), nil // a listener of "tcp" is one
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s cannot listen on %s: the address is in use; stop what uses it or change the setting %q",
			what, address, setting)
	default:
		return nil, fmt.Errorf("%s cannot listen on %s (setting %q): %w", what, address, setting, err)
	}
}

// CheckAddresses returns the error of Listen where a server with the addresses could not listen now; an empty admin is none.
func CheckAddresses(ctx context.Context, rest, grpc, admin string) error {
	s := &Server{options: Options{HTTP: rest, GRPC: grpc, Admin: admin}}
	if admin != "" {
		s.admin = &http.Server{} //nolint:gosec // it never serves
	}
	defer s.Close()
	return s.Listen(ctx)
}

// Handler is the REST door without its listener.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// HTTPAddr is where the REST door listens; after Listen.
func (s *Server) HTTPAddr() string { return s.listeners.http.Addr().String() }

// GRPCAddr is where the gRPC door listens; after Listen.
func (s *Server) GRPCAddr() string { return s.listeners.grpc.Addr().String() }

// AdminAddr is where the admin handler listens, empty for nowhere; after Listen.
func (s *Server) AdminAddr() string {
	if s.listeners.admin == nil {
		return ""
	}
	return s.listeners.admin.Addr().String()
}

// Run serves until ctx ends, then drains: it turns unready, waits for balancers to notice (Drain.Hurry ends that wait),
// lets the requests in flight end and closes. It returns an error where a door broke, which drains the others, or where
// requests had to be cut off.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(ctx); err != nil {
		return err
	}
	broken := make(chan error, 3)
	go func() { broken <- serveHTTP(s.http, s.listeners.http) }()
	go func() { broken <- s.grpc.Serve(s.listeners.grpc) }()
	if s.admin != nil {
		go func() { broken <- serveHTTP(s.admin, s.listeners.admin) }()
	}
	select {
	case <-ctx.Done():
		return s.drain(ctx, nil)
	case err := <-broken:
		return errors.Join(err, s.drain(ctx, ctx.Done()))
	}
}

// Close gives up the addresses of a Server that Listen has bound and Run never served; after Run it does nothing.
func (s *Server) Close() {
	for _, l := range []net.Listener{s.listeners.http, s.listeners.grpc, s.listeners.admin} {
		if l != nil {
			_ = l.Close() // closed already, after Run
		}
	}
}

func serveHTTP(server *http.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// drain stops the doors. The admin listener goes last, so that the drain can be watched. Where nobody has told the server
// to stop yet, told is closed when somebody does, which ends the delay too. Drain.Hurry ends one wait: once the delay is over
// it cuts off the requests in flight.
func (s *Server) drain(ctx context.Context, told <-chan struct{}) error {
	s.draining.Store(true)
	s.health.Shutdown()
	s.options.Logger.Info("draining", "delay", s.options.Drain.Delay, "timeout", s.options.Drain.Timeout)
	hurry := s.awaitBalancers(told)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.Drain.Timeout)
	defer cancel()
	go func() {
		select {
		case <-hurry:
			s.options.Logger.Info("cutting off the requests in flight: told again to stop")
			cancel()
		case <-ctx.Done():
		}
	}()
	grpcDone := make(chan error, 1)
	go func() { grpcDone <- s.drainGRPC(ctx) }()
	err := errors.Join(closeHTTP(ctx, s.http, "the REST door"), <-grpcDone)
	if s.admin != nil {
		err = errors.Join(err, s.admin.Close())
	}
	return err
}

// awaitBalancers waits for the delay, and returns what may hurry the wait after it.
func (s *Server) awaitBalancers(told <-chan struct{}) <-chan struct{} {
	if s.options.Drain.Delay == 0 {
		return s.options.Drain.Hurry
	}
	delay := time.NewTimer(s.options.Drain.Delay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-told:
	case <-s.options.Drain.Hurry:
		s.options.Logger.Info("draining without delay: told again to stop")
		return nil
	}
	return s.options.Drain.Hurry
}

func (s *Server) drainGRPC(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
		return errors.New("the gRPC door: requests in flight were cut off at the end of the drain")
	}
}

func closeHTTP(ctx context.Context, server *http.Server, what string) error {
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("%s: requests in flight were cut off at the end of the drain", what), server.Close())
	}
	return nil
}

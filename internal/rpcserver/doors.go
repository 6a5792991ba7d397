package rpcserver

import (
	"log"
	"log/slog"
	"math"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"
)

const servingStatus = grpc_health_v1.HealthCheckResponse_SERVING

// What one connection to the gRPC door may hold: messages that nobody reads yet, up to the window each. A window that gRPC
// may widen by itself would hold up to 16 MiB a stream.
const (
	maxStreams       = 100      // at once, the least that RFC 9113 (6.5.2) advises
	streamWindow     = 64 << 10 // bytes, gRPC's least; it widens for a message that is being read
	connectionWindow = 1 << 20  // bytes on their way; what arrives widens it again
)

// newGRPCServer is the gRPC door, with health and reflection, which are open to all. Its metrics are the chain's, so
// otelgrpc makes spans only.
func newGRPCServer(o Options, ch *chain, healthServer *health.Server) *grpc.Server {
	limits := o.Limits
	options := []grpc.ServerOption{
		grpc.StreamInterceptor(ch.stream(doorGRPC)),
		grpc.MaxRecvMsgSize(limits.Body),
		grpc.MaxHeaderListSize(uint32(min(limits.Header, math.MaxUint32))),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.InTapHandle(ch.limitStreams(limits)),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connectionWindow),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: limits.Idle,
			// Clients of a fixed name reconnect now and then, and so find new replicas.
			MaxConnectionAge:      30 * time.Minute,
			MaxConnectionAgeGrace: time.Minute,
			Time:                  time.Minute,
			Timeout:               20 * time.Second,
		}),
	}
	if o.Tracing {
		options = append(options, grpc.StatsHandler(otelgrpc.NewServerHandler(
			otelgrpc.WithMeterProvider(noop.NewMeterProvider()),
			// No health, no reflection, and no name of a method that a client made up.
			otelgrpc.WithFilter(func(rpc *stats.RPCTagInfo) bool { return ch.methods[rpc.FullMethodName] != nil }),
		)))
	}
	server := grpc.NewServer(options...)
	grpc_health_v1.RegisterHealthServer(open{server}, healthServer)
	reflection.RegisterV1(open{server})
	return server
}

// headerSlack is what net/http reads beyond our own limit, so that our answer to long headers, a problem document, is
// the usual one; in bytes.
const headerSlack = 32 << 10

func newHTTPServer(o Options, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            o.Limits.ReadHeader,
		ReadTimeout:                  o.Limits.ReadBody,
		WriteTimeout:                 o.Limits.ReadBody + o.Limits.Time + 30*time.Second,
		IdleTimeout:                  o.Limits.Idle,
		MaxHeaderBytes:               o.Limits.Header + o.Limits.URL + headerSlack,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     errorLog(o.Logger),
	}
}

// errorLog takes what net/http has to say, mostly about clients' broken connections.
func errorLog(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}

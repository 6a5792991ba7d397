package telemetry

import (
	"io"
	"log/slog"

	"google.golang.org/grpc/grpclog"
)

// SetDefault makes the logger that of the whole process: of packages that take none, and of gRPC's library, whose errors
// would else be plain text on standard error. It must come before any use of gRPC.
func SetDefault(logger *slog.Logger) {
	slog.SetDefault(logger)
	complaints := slog.NewLogLogger(logger.Handler(), slog.LevelError).Writer()
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, complaints))
}

// Command circle15-operator turns Tenant objects into tenants on PostgreSQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"circle15.dev/internal/telemetry"
	"circle15.dev/internal/version"
	"circle15.dev/operator/run"
)

func main() {
	switch err := operate(ctrl.SetupSignalHandler()); {
	case errors.Is(err, pflag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "circle15-operator:", err)
		os.Exit(1)
	}
}

func operate(ctx context.Context) (err error) {
	options, err := run.ParseFlags(os.Args[1:])
	if err != nil {
		return err
	}
	logger, err := telemetry.NewLogger(os.Stderr, "json", options.LogLevel)
	if err != nil {
		return err
	}
	slog.SetDefault(logger)
	ctrl.SetLogger(logr.FromSlogHandler(logger.Handler()))
	// Spans go where OTEL_EXPORTER_OTLP_ENDPOINT says; metrics are controller-runtime's registry.
	if os.Getenv("OTEL_SERVICE_NAME") == "" {
		if err := os.Setenv("OTEL_SERVICE_NAME", "circle15-operator"); err != nil {
			return err
		}
	}
	instruments, err := telemetry.Setup(ctx, version.Version, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, instruments.Shutdown(context.WithoutCancel(ctx))) }()
	kubernetes, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("no Kubernetes configuration: %w", err)
	}
	return run.Operator(ctx, kubernetes, options)
}

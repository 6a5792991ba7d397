package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"circle15.dev/internal/config"
	"circle15.dev/internal/issuer"
	"circle15.dev/internal/telemetry"
	"circle15.dev/services/platform"
)

func newServeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [registry | visits | cases | activities | reporting | iam | all]...",
		Short: "Serve the platform, or some of its services, on an existing PostgreSQL",
		Long: "Serve the platform's services over REST and gRPC until SIGTERM or SIGINT, then drain. A second signal ends what the drain\n" +
			"waits for, the delay before the listeners close (drain.delay) or after it the requests in flight; a third one ends the\n" +
			"process.\n\n" +
			"Settings come from the defaults, a file (--config), the environment and the flags, each before the one after it;\n" +
			"\"circle15 config\" shows what they come to. A database and an issuer of tokens must be set.",
		Example: "  CIRCLE15_DATABASE_URL=postgres://… circle15 serve --config circle15.yaml\n" +
			"  circle15 serve registry cases --http 0.0.0.0:8080",
		ValidArgs: append(platform.Names(), "all"),
		RunE: func(cmd *cobra.Command, services []string) error {
			c, err := config.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			ctx, hurry, release := stops(cmd.Context())
			defer release()
			return serve(ctx, hurry, c, services)
		},
	}
	config.AddFlags(cmd.Flags())
	return cmd
}

// collectAt is how much the heap may grow before it is collected, in percent. The platform holds little for long and
// allocates for every request, so 400 trades some 35 MiB for less time in the collector. GOGC overrides it.
const collectAt = 400

func serve(ctx context.Context, hurry <-chan struct{}, c config.Config, services []string) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	logger, err := telemetry.NewLogger(os.Stderr, c.Log.Format, c.Log.Level)
	if err != nil {
		return err
	}
	telemetry.SetDefault(logger) // what has no logger of its own logs there too, in the same format and from the same level up
	o := platform.Options{Config: c, Services: services, Replica: replicaName(), Hurry: hurry, Logger: logger}
	if c.BuiltinIssuer != "" {
		if o.Issuer, err = issuer.Load(c.BuiltinIssuer); err != nil {
			return fmt.Errorf("the built-in issuer in %s: %w", c.BuiltinIssuer, err)
		}
	}
	p, err := platform.New(ctx, o)
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// replicaName is the host's name, which in Kubernetes is the Pod's; where this is not the container's first process, others
// of the host may be of the same program, and the number of the process tells them apart.
func replicaName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "circle15-" + rand.Text()
	}
	if pid := os.Getpid(); pid != 1 {
		return fmt.Sprintf("%s-%d", host, pid)
	}
	return host
}

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the settings that the services would run with; secrets are not shown",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), c.YAML())
			return err
		},
	}
	config.AddFlags(cmd.Flags())
	return cmd
}

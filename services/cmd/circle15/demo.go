package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"circle15.dev/internal/config"
	"circle15.dev/internal/telemetry"
	"circle15.dev/services/demo/local"
)

func newDemoCommand() *cobra.Command {
	var reset bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run everything on this computer, with the demo data of Haikou",
		Long: "Run the whole platform on this computer: an embedded PostgreSQL in the data folder, the province hainan and the city\n" +
			"haikou, all services, and the demo data, imported through the API. A second start keeps the data. Ctrl-C stops it, and a\n" +
			"second one cuts off the requests that still run.",
		Example: "  circle15 demo\n" +
			"  circle15 demo --reset\n" +
			"  circle15 demo --data /var/tmp/circle15 --http 127.0.0.1:8081",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			logger, err := demoLogger(cmd, c)
			if err != nil {
				return err
			}
			telemetry.SetDefault(logger)
			ctx, hurry, release := stops(cmd.Context())
			defer release()
			return local.Run(ctx, local.Options{
				Config: c, Reset: reset, Program: os.Args[0], Out: cmd.OutOrStdout(), Logger: logger, Hurry: hurry,
			})
		},
	}
	config.AddFlags(cmd.Flags())
	cmd.Flags().BoolVar(&reset, "reset", false, "remove the data folder first, and begin anew")
	return cmd
}

// demoLogger keeps the terminal for the person who tries the demo: only warnings, unless a log level was asked for.
func demoLogger(cmd *cobra.Command, c config.Config) (*slog.Logger, error) {
	level := "warn"
	if cmd.Flags().Changed("log-level") || os.Getenv("CIRCLE15_LOG_LEVEL") != "" {
		level = c.Log.Level
	}
	return telemetry.NewLogger(cmd.ErrOrStderr(), "text", level)
}

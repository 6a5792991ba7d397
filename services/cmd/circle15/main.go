// Command circle15 is the platform: its services, its demo and its tools.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"circle15.dev/internal/version"
)

func main() {
	if err := newRootCommand().ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "circle15:", err)
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:           "circle15",
		Short:         "The service circle of a city: services, demo and tools",
		Version:       version.Version,
		SilenceUsage:  true, // an error is one clear sentence
		SilenceErrors: true, // printed by main
	},
		newServeCommand(), newDemoCommand(), newConfigCommand(), newTenantCommand(), newTokenCommand(), newIssuerCommand(),
		newDatabaseCommand(), newCheckCommand())
}

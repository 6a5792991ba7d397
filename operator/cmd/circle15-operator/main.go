// Command circle15-operator turns Tenant objects into tenants on PostgreSQL.
package main

import (
	"context"
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"circle15.dev/operator/run"
)

func main() {
	if err := operate(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "circle15-operator:", err)
		os.Exit(1)
	}
}

func operate(ctx context.Context) error {
	options, err := run.ParseFlags(os.Args[1:])
	if err != nil {
		return err
	}
	kubernetes, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("no Kubernetes configuration: %w", err)
	}
	return run.Operator(ctx, kubernetes, options)
}

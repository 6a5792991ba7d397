package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"circle15.dev/internal/tenant"
	"circle15.dev/operator/provision"
	"circle15.dev/services/demo/local"
)

// tenantOptions are the flags that every tenant command has.
type tenantOptions struct {
	databaseURL string
	data        string
	output      string
}

func newTenantCommand() *cobra.Command {
	var o tenantOptions
	cmd := group(&cobra.Command{
		Use:   "tenant",
		Short: "Create, list, show, suspend and delete tenants",
		Long: "Work on the tenants of a database cluster without Kubernetes. The commands act as the operator does, and may be\n" +
			"repeated: each looks at what exists and does what is missing.",
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if o.output != "table" && o.output != "json" {
				return fmt.Errorf("--output %q: want table or json", o.output)
			}
			return nil
		},
	},
		newTenantCreateCommand(&o), newTenantListCommand(&o), newTenantShowCommand(&o), newTenantUpgradeCommand(&o),
		newTenantDeleteCommand(&o),
		newTenantStateCommand(&o, "suspend", "Take the tenant's role from the services; they answer 423 until it is resumed",
			(*provision.Provisioner).Suspend),
		newTenantStateCommand(&o, "resume", "Undo suspend", (*provision.Provisioner).Resume))
	flags := cmd.PersistentFlags()
	flags.StringVar(&o.databaseURL, "operator-database-url", "",
		"database, as the operator (CIRCLE15_OPERATOR_DATABASE_URL; default the running demo's)")
	addDataFlag(flags, &o.data)
	flags.StringVarP(&o.output, "output", "o", "table", "table or json")
	return cmd
}

func newTenantListCommand(o *tenantOptions) *cobra.Command {
	var level, parent, state string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tenants by name",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := provision.Filter{Level: provision.Level(level), Parent: tenant.Name(parent), State: provision.State(state)}
			if err := checkFilter(f); err != nil {
				return err
			}
			return o.with(cmd, func(ctx context.Context, p *provision.Provisioner) error {
				tenants, err := p.List(ctx, f)
				if err != nil {
					return err
				}
				if len(tenants) == 0 && f.Parent != "" { // with children it may be on another cluster
					if _, err := p.Show(ctx, f.Parent); err != nil {
						return fmt.Errorf("--parent: %w", err)
					}
				}
				if o.output == "json" {
					return printJSON(cmd.OutOrStdout(), append([]provision.Tenant{}, tenants...)) // [] rather than null
				}
				return printTable(cmd.OutOrStdout(), tenants)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&level, "level", "", "only province, city or district")
	flags.StringVar(&parent, "parent", "", "only the tenants directly below this one")
	flags.StringVar(&state, "state", "", "only active, suspended, retained, provisioning or deleting")
	return cmd
}

// checkFilter refuses what no tenant can be.
func checkFilter(f provision.Filter) error {
	return cmp.Or(
		oneOf("--level", f.Level, provision.Province, provision.City, provision.District),
		oneOf("--state", f.State, provision.StateActive, provision.StateSuspended, provision.StateRetained, provision.StateProvisioning,
			provision.StateDeleting))
}

// shown is what "show" prints of a tenant.
type shown struct {
	provision.Tenant
	Migrations []provision.MigrationRecord `json:"migrations"`
	// Drift names the steps in which the tenant is not as this release makes it; Problem says why upgrade cannot mend it.
	Drift   []string `json:"drift"`
	Problem string   `json:"problem,omitempty"`
}

func newTenantShowCommand(o *tenantOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a tenant, its migrations, and how it differs from what it should be",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.with(cmd, func(ctx context.Context, p *provision.Provisioner) error {
				s, err := inspectTenant(ctx, p, tenant.Name(args[0]))
				if err != nil {
					return err
				}
				if o.output == "json" {
					return printJSON(cmd.OutOrStdout(), s)
				}
				return printShown(cmd.OutOrStdout(), s)
			})
		},
	}
}

func inspectTenant(ctx context.Context, p *provision.Provisioner, name tenant.Name) (shown, error) {
	t, err := p.Show(ctx, name)
	if err != nil {
		return shown{}, err
	}
	s := shown{Tenant: t, Drift: []string{}}
	if s.Migrations, err = p.Ledger(ctx, name); err != nil {
		return s, err
	}
	observed, err := p.Observe(ctx, name)
	if err != nil {
		return s, err
	}
	for _, o := range observed {
		s.Drift = append(s.Drift, o.Drift...)
		if o.Stalled != nil {
			s.Problem = o.Stalled.Message
		}
	}
	return s, nil
}

func newTenantStateCommand(
	o *tenantOptions, verb, short string, act func(*provision.Provisioner, context.Context, tenant.Name) (provision.Result, error),
) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.with(cmd, func(ctx context.Context, p *provision.Provisioner) error {
				r, err := act(p, ctx, tenant.Name(args[0]))
				if err != nil {
					return err
				}
				return o.printResult(cmd.OutOrStdout(), r)
			})
		},
	}
}

func newTenantUpgradeCommand(o *tenantOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "upgrade [NAME...]",
		Short: "Bring tenants, or all, to this release's schema and policies, and mend what was changed by hand",
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.with(cmd, func(ctx context.Context, p *provision.Provisioner) error {
				if len(args) == 0 {
					n, err := p.UpgradeAll(ctx, provision.UpgradeOptions{})
					_, printed := fmt.Fprintf(cmd.OutOrStdout(), "%d upgraded\n", n)
					return cmp.Or(err, printed)
				}
				for _, name := range args {
					r, err := p.Upgrade(ctx, tenant.Name(name))
					if err != nil {
						return err
					}
					if err := o.printResult(cmd.OutOrStdout(), r); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func newTenantDeleteCommand(o *tenantOptions) *cobra.Command {
	var retain bool
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Drop a tenant and its data, if its deletion policy is Delete",
		Long: "Drop a tenant's schema, role and data for ever. It is refused unless the tenant's deletion policy is Delete.\n" +
			"With --retain the data stay, out of use, and creating the tenant again adopts them.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.with(cmd, func(ctx context.Context, p *provision.Provisioner) error {
				name := tenant.Name(args[0])
				if retain {
					r, err := p.Retire(ctx, name)
					if err != nil {
						return err
					}
					return o.printResult(cmd.OutOrStdout(), r)
				}
				if err := p.Delete(ctx, name); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "tenant %s deleted\n", name)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&retain, "retain", false, "keep the data, out of use")
	return cmd
}

// with opens the cluster for one command.
func (o *tenantOptions) with(cmd *cobra.Command, act func(ctx context.Context, p *provision.Provisioner) error) error {
	url := cmp.Or(o.databaseURL, os.Getenv("CIRCLE15_OPERATOR_DATABASE_URL"))
	if url == "" {
		err := checkData(o.data)
		if err != nil {
			return err
		}
		if url, err = local.OperatorURL(o.data); err != nil {
			return fmt.Errorf("%w; or name a database with --operator-database-url", err)
		}
	}
	logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	p, err := provision.Open(cmd.Context(), provision.Config{OperatorURL: url, Logger: logger})
	if err != nil {
		return err
	}
	defer p.Close()
	return act(cmd.Context(), p)
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"circle15.dev/internal/divisions"
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
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "Create, list, show, suspend and delete tenants",
		Long: "Work on the tenants of a database cluster without Kubernetes. The commands act as the operator does, and may be\n" +
			"repeated: each looks at what exists and does what is missing.",
		Args: cobra.NoArgs,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if o.output != "table" && o.output != "json" {
				return fmt.Errorf("--output %q: want table or json", o.output)
			}
			return nil
		},
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&o.databaseURL, "operator-database-url", "",
		"database, as the operator (CIRCLE15_OPERATOR_DATABASE_URL; default the running demo's)")
	flags.StringVar(&o.data, "data", cmp.Or(os.Getenv("CIRCLE15_DATA"), ".circle15"), "data folder of the demo (CIRCLE15_DATA)")
	flags.StringVarP(&o.output, "output", "o", "table", "table or json")
	cmd.AddCommand(newTenantCreateCommand(&o), newTenantListCommand(&o), newTenantShowCommand(&o), newTenantUpgradeCommand(&o),
		newTenantDeleteCommand(&o),
		newTenantStateCommand(&o, "suspend", "Take the tenant's role from the services; they answer 423 until it is resumed",
			(*provision.Provisioner).Suspend),
		newTenantStateCommand(&o, "resume", "Undo suspend", (*provision.Provisioner).Resume))
	return cmd
}

// createOptions are the flags of "circle15 tenant create".
type createOptions struct {
	spec                                     provision.Spec
	level, parent, policy                    string
	grants                                   []string
	stations, staff, residents, requestsRate int32
}

func newTenantCreateCommand(o *tenantOptions) *cobra.Command {
	var c createOptions
	cmd := &cobra.Command{
		Use:   "create NAME --level LEVEL --division CODE [--parent NAME]",
		Short: "Create a tenant, adopt a retained one, or change an existing one",
		Example: "  circle15 tenant create hainan --level province --division 460000\n" +
			"  circle15 tenant create sanya --level city --parent hainan --division 460200 --grant idp-subject=bureau_admin",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := c.complete(cmd, args[0])
			if err != nil {
				return err
			}
			return o.with(cmd, func(ctx context.Context, p *provision.Provisioner) error {
				r, err := p.Create(ctx, spec)
				if err != nil {
					return err
				}
				return o.printResult(cmd.OutOrStdout(), r)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.level, "level", "", "province, city or district")
	flags.StringVar(&c.parent, "parent", "", "the tenant above: a city's province, a district's city")
	flags.StringVar(&c.spec.DivisionCode, "division", "", "division code, six digits (GB/T 2260)")
	flags.StringVar(&c.spec.DisplayNameZh, "name-zh", "", "Chinese name (default the division's)")
	flags.StringVar(&c.spec.DisplayNameEn, "name-en", "", "English name")
	flags.StringVar(&c.spec.StandardsPack, "standards", "", "standards pack (default the platform's)")
	flags.StringVar(&c.policy, "deletion-policy", string(provision.Retain), "Retain or Delete: whether delete may drop the data")
	flags.StringArrayVar(&c.grants, "grant", nil, "SUBJECT=ROLE: a role in the whole tenant for an OIDC subject; repeat it for several")
	flags.Int32Var(&c.stations, "max-stations", 0, "most stations (default unlimited)")
	flags.Int32Var(&c.staff, "max-staff", 0, "most staff (default unlimited)")
	flags.Int32Var(&c.residents, "max-residents", 0, "most residents (default unlimited)")
	flags.Int32Var(&c.requestsRate, "max-requests-per-second", 0, "most requests a second (default unlimited)")
	for _, name := range []string{"level", "division"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

// complete makes the spec out of the flags.
func (c *createOptions) complete(cmd *cobra.Command, name string) (provision.Spec, error) {
	s := c.spec
	s.Name, s.Level, s.Parent = tenant.Name(name), provision.Level(c.level), tenant.Name(c.parent)
	s.DeletionPolicy = provision.DeletionPolicy(c.policy)
	if d, known := divisions.Lookup(s.DivisionCode); known && s.DisplayNameZh == "" {
		s.DisplayNameZh = d.Name
	}
	for flag, quota := range map[string]struct {
		value int32
		field **int32
	}{
		"max-stations":            {c.stations, &s.Quotas.Stations},
		"max-staff":               {c.staff, &s.Quotas.Staff},
		"max-residents":           {c.residents, &s.Quotas.Residents},
		"max-requests-per-second": {c.requestsRate, &s.Quotas.RequestsPerSecond},
	} {
		if cmd.Flags().Changed(flag) {
			*quota.field = &quota.value
		}
	}
	for _, grant := range c.grants {
		subject, role, found := strings.Cut(grant, "=")
		if !found {
			return s, fmt.Errorf("--grant %q: want SUBJECT=ROLE", grant)
		}
		s.Policy.Grants = append(s.Policy.Grants, provision.Grant{Subject: subject, Role: role})
	}
	return s, nil
}

func newTenantListCommand(o *tenantOptions) *cobra.Command {
	var level, parent, state string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tenants by name",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd, func(ctx context.Context, p *provision.Provisioner) error {
				tenants, err := p.List(ctx, provision.Filter{
					Level: provision.Level(level), Parent: tenant.Name(parent), State: provision.State(state),
				})
				if err != nil {
					return err
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
		var err error
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

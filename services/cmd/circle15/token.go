package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"circle15.dev/internal/issuer"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/provision"
	"circle15.dev/services/demo/local"
)

// grantedByToken stands in role_grants.created_by of the grants that the command makes.
const grantedByToken = "circle15:token"

// tokenOptions are the flags of "circle15 token".
type tokenOptions struct {
	tenants       []string
	role, station string
	subject       string
	expires       time.Duration
	data          string
	databaseURL   string
}

func newTokenCommand() *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use:   "token --tenant NAME --role ROLE [--station CODE]",
		Short: "Print a token of the demo's built-in issuer",
		Long: "Print a token of the demo's built-in issuer, and give its subject the role in the tenant if it does not have it.\n" +
			"The demo must be running. Nothing but the token goes to standard output.",
		Example: "  circle15 token --tenant haikou --role social_worker --station 460107003\n" +
			"  circle15 token --tenant haikou --role bureau_admin --expires 1h\n" +
			"  circle15 token --tenant hainan --tenant haikou --role province_analyst",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := o.token(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.tenants, "tenant", nil, "tenant that the token is for; repeat it for several")
	flags.StringVar(&o.role, "role", "", "role of the subject, as in GET /v1/roles")
	flags.StringVar(&o.station, "station", "", "division code of the station (nine digits), for a role about a station's records")
	flags.StringVar(&o.subject, "subject", "", "subject of the token (default demo-ROLE or demo-ROLE-STATION)")
	flags.DurationVar(&o.expires, "expires", 12*time.Hour, "how long the token is valid, at most 720h")
	addDataFlag(flags, &o.data)
	flags.StringVar(&o.databaseURL, "operator-database-url", "",
		"database, as the operator (CIRCLE15_OPERATOR_DATABASE_URL; default the running demo's)")
	for _, name := range []string{"tenant", "role"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

// token mints, and makes sure that the subject has the role in every tenant.
func (o tokenOptions) token(ctx context.Context) (string, error) {
	names, err := parseTenants(o.tenants)
	if err != nil {
		return "", err
	}
	if err := checkData(o.data); err != nil {
		return "", err
	}
	i, err := issuer.Load(o.data)
	if errors.Is(err, issuer.ErrNone) {
		return "", fmt.Errorf("there is no demo in %s: start it with \"circle15 demo\", or name its folder with --data", o.data)
	}
	if err != nil {
		return "", err
	}
	subject := o.subjectOrDefault()
	token, err := i.Mint(issuer.Claims{Subject: subject, Name: subject, Tenants: names, Lifetime: o.expires})
	if err != nil {
		return "", err
	}
	return token, o.grant(ctx, names, subject)
}

func parseTenants(list []string) ([]tenant.Name, error) {
	var names []tenant.Name
	for _, s := range list {
		name, err := tenant.ParseName(s)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func (o tokenOptions) subjectOrDefault() string {
	switch {
	case o.subject != "":
		return o.subject
	case o.station != "":
		return "demo-" + o.role + "-" + o.station
	default:
		return "demo-" + o.role
	}
}

func (o tokenOptions) grant(ctx context.Context, names []tenant.Name, subject string) error {
	url, err := o.operatorURL()
	if err != nil {
		return err
	}
	p, err := provision.Open(ctx, provision.Config{OperatorURL: url, MaxConns: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer p.Close()
	grant := provision.RoleGrant{Subject: subject, Role: o.role, Station: o.station, GrantedBy: grantedByToken}
	// All are checked before any is made, so that a mistake grants nothing.
	for _, act := range []func(context.Context, tenant.Name, provision.RoleGrant) error{p.CheckGrant, p.GrantRole} {
		for _, name := range names {
			if err := act(ctx, name, grant); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o tokenOptions) operatorURL() (string, error) {
	if url := cmp.Or(o.databaseURL, os.Getenv("CIRCLE15_OPERATOR_DATABASE_URL")); url != "" {
		return url, nil
	}
	return local.OperatorURL(o.data)
}

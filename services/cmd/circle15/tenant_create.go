package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"circle15.dev/internal/divisions"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/provision"
)

// createOptions are the flags of "circle15 tenant create".
type createOptions struct {
	level, parent, division, nameZh, nameEn, standards, policy string
	grants, revokes                                            []string
	stations, staff, residents, requestsRate                   quotaFlag
}

func newTenantCreateCommand(o *tenantOptions) *cobra.Command {
	var c createOptions
	cmd := &cobra.Command{
		Use:   "create NAME --level LEVEL --division CODE [--parent NAME]",
		Short: "Create a tenant, adopt a retained one, or change an existing one",
		Long: "Create a tenant, or adopt a retained one. Of a tenant that is there already only what flags name is changed, and\n" +
			"what was changed is printed.",
		Example: "  circle15 tenant create hainan --level province --division 460000\n" +
			"  circle15 tenant create sanya --level city --parent hainan --division 460200 --grant idp-subject=bureau_admin",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := tenant.Name(args[0])
			return o.with(cmd, func(ctx context.Context, p *provision.Provisioner) error {
				var changed []string
				r, err := p.CreateFrom(ctx, name, func(recorded *provision.Spec) (provision.Spec, error) {
					spec, err := c.complete(cmd, name, recorded)
					if recorded != nil {
						changed = changes(*recorded, spec)
					}
					return spec, err
				})
				if err != nil {
					return inFlags(err)
				}
				return o.printResult(cmd.OutOrStdout(), r, changed...)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.level, "level", "", "province, city or district")
	flags.StringVar(&c.parent, "parent", "", "the tenant above: a city's province, a district's city")
	flags.StringVar(&c.division, "division", "", "division code, six digits (GB/T 2260)")
	flags.StringVar(&c.nameZh, "name-zh", "", "Chinese name (default the division's)")
	flags.StringVar(&c.nameEn, "name-en", "", "English name")
	flags.StringVar(&c.standards, "standards", "", "standards pack (default the platform's)")
	flags.StringVar(&c.policy, "deletion-policy", string(provision.Retain), "Retain or Delete: whether delete may drop the data")
	flags.StringArrayVar(&c.grants, "grant", nil, "SUBJECT=ROLE: a role in the whole tenant for an OIDC subject; repeat it for several")
	flags.StringArrayVar(&c.revokes, "revoke", nil, "SUBJECT=ROLE: take back a role that --grant gave; repeat it for several")
	flags.Var(&c.stations, "max-stations", "most stations")
	flags.Var(&c.staff, "max-staff", "most staff")
	flags.Var(&c.residents, "max-residents", "most residents")
	flags.Var(&c.requestsRate, "max-requests-per-second", "most requests a second")
	for _, name := range []string{"level", "division"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

// complete makes the spec out of what is recorded of the tenant, nil for a new one, and the flags that were given.
func (c *createOptions) complete(cmd *cobra.Command, name tenant.Name, recorded *provision.Spec) (provision.Spec, error) {
	s := provision.Spec{Name: name}
	if recorded != nil {
		s = *recorded
	}
	for flag, set := range map[string]func(){
		"level":                   func() { s.Level = provision.Level(c.level) },
		"parent":                  func() { s.Parent = tenant.Name(c.parent) },
		"division":                func() { s.DivisionCode = c.division },
		"name-zh":                 func() { s.DisplayNameZh = c.nameZh },
		"name-en":                 func() { s.DisplayNameEn = c.nameEn },
		"standards":               func() { s.StandardsPack = c.standards },
		"deletion-policy":         func() { s.DeletionPolicy = provision.DeletionPolicy(c.policy) },
		"max-stations":            func() { s.Quotas.Stations = c.stations.limit },
		"max-staff":               func() { s.Quotas.Staff = c.staff.limit },
		"max-residents":           func() { s.Quotas.Residents = c.residents.limit },
		"max-requests-per-second": func() { s.Quotas.RequestsPerSecond = c.requestsRate.limit },
	} {
		if cmd.Flags().Changed(flag) {
			set()
		}
	}
	if d, known := divisions.Lookup(s.DivisionCode); known && s.DisplayNameZh == "" {
		s.DisplayNameZh = d.Name
	}
	added, err := parseGrants("grant", c.grants)
	if err != nil {
		return s, err
	}
	revoked, err := parseGrants("revoke", c.revokes)
	if err != nil {
		return s, err
	}
	kept := without(s.Policy.Grants, revoked)
	s.Policy.Grants = slices.Concat(kept, without(added, kept))
	return s, nil
}

func parseGrants(flag string, list []string) ([]provision.Grant, error) {
	var grants []provision.Grant
	for _, text := range list {
		subject, role, found := strings.Cut(text, "=")
		if !found {
			return nil, fmt.Errorf("--%s %q: want SUBJECT=ROLE", flag, text)
		}
		grants = append(grants, provision.Grant{Subject: subject, Role: role})
	}
	return grants, nil
}

// without returns the grants that are not among the others.
func without(grants, others []provision.Grant) []provision.Grant {
	return slices.DeleteFunc(slices.Clone(grants), func(g provision.Grant) bool { return slices.Contains(others, g) })
}

// changes says how a tenant is to differ from what it was, one phrase for each thing that does.
func changes(was, now provision.Spec) []string {
	var list []string
	for _, c := range []struct{ what, was, now string }{
		{"Chinese name", was.DisplayNameZh, now.DisplayNameZh},
		{"English name", was.DisplayNameEn, now.DisplayNameEn},
		{"standards pack", was.StandardsPack, now.StandardsPack},
		{"deletion policy", string(was.DeletionPolicy), string(now.DeletionPolicy)},
		{"quotas", was.Quotas.String(), now.Quotas.String()},
	} {
		if c.was != c.now {
			list = append(list, fmt.Sprintf("%s from %q to %q", c.what, c.was, c.now))
		}
	}
	for _, g := range without(now.Policy.Grants, was.Policy.Grants) {
		list = append(list, g.Role+" given to "+g.Subject)
	}
	for _, g := range without(was.Policy.Grants, now.Policy.Grants) {
		list = append(list, g.Role+" taken from "+g.Subject)
	}
	return list
}

// quotaFlag is a quota on the command line; nil is unlimited.
type quotaFlag struct{ limit *int32 }

const unlimited = "unlimited"

// String is the quota as Set reads it.
func (q *quotaFlag) String() string {
	if q.limit == nil {
		return unlimited
	}
	return strconv.Itoa(int(*q.limit))
}

// Set reads a number or "unlimited".
func (q *quotaFlag) Set(text string) error {
	if text == unlimited {
		q.limit = nil
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return fmt.Errorf("want a number or %s", unlimited)
	}
	limit := int32(n)
	q.limit = &limit
	return nil
}

// Type is what the help calls the value.
func (q *quotaFlag) Type() string { return "number" }

package platform

import (
	"fmt"
	"slices"
	"strings"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/page"
	"circle15.dev/internal/rpcserver"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/activities"
	"circle15.dev/services/cases"
	"circle15.dev/services/iam"
	"circle15.dev/services/registry"
	"circle15.dev/services/reporting"
	"circle15.dev/services/visits"
)

// parts are what services are made of.
type parts struct {
	db       *tenantdb.DB
	pages    *page.Codec
	policies *authz.Policies
}

// makers make the services, in the order of the work.
var makers = []struct {
	name string
	make func(parts) rpcserver.Service
}{
	{"registry", func(p parts) rpcserver.Service { return registry.New(p.db, p.pages) }},
	{"visits", func(p parts) rpcserver.Service { return visits.New(p.db, p.pages) }},
	{"cases", func(p parts) rpcserver.Service { return cases.New(p.db, p.pages) }},
	{"activities", func(p parts) rpcserver.Service { return activities.New(p.db, p.pages) }},
	{"reporting", func(p parts) rpcserver.Service { return reporting.New(p.db, p.pages) }},
	{"iam", func(p parts) rpcserver.Service { return iam.New(p.db, p.pages, p.policies) }},
}

// Names are the names of all services.
func Names() []string {
	names := make([]string, 0, len(makers))
	for _, m := range makers {
		names = append(names, m.name)
	}
	return names
}

// choose checks the names; none, or "all", means all of them.
func choose(names []string) ([]string, error) {
	if len(names) == 0 || slices.Contains(names, "all") {
		if len(names) > 1 {
			return nil, fmt.Errorf("\"all\" goes alone, without %s", strings.Join(names, " "))
		}
		return Names(), nil
	}
	for _, name := range names {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("there is no service %q: want any of %s, or all", name, strings.Join(Names(), ", "))
		}
	}
	return names, nil
}

func (p parts) build(names []string) []rpcserver.Service {
	var services []rpcserver.Service
	for _, m := range makers {
		if slices.Contains(names, m.name) {
			services = append(services, m.make(p))
		}
	}
	return services
}

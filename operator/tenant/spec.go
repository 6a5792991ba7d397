package tenant

import (
	"context"
	"slices"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/provision"
)

// checkSpec stalls on what can be known to be wrong from the object alone and admission cannot know: rules about
// permissions that do not exist, grants that do not go with their roles, and more stations than the quota allows.
func checkSpec(_ context.Context, s *scope) error {
	if err := checkStationQuota(s); err != nil {
		return err
	}
	policy := &s.tenant.Spec.Policy
	for i, r := range policy.Rules {
		if !authz.Sensible(r.Resource, r.Action, authz.Level(r.Level)) {
			return stall("InvalidSpec", "spec.policy.rules[%d]: there is no permission %s:%s of level %s; see GET /v1/roles for the known ones",
				i, r.Resource, r.Action, r.Level)
		}
	}
	rules := append(authz.StandardRules(), provisionRules(policy.Rules)...)
	for i, g := range policy.Grants {
		byStation := slices.ContainsFunc(rules, func(r authz.Rule) bool {
			return r.Role == g.Role && (r.Level == authz.LevelOwn || r.Level == authz.LevelStation)
		})
		switch {
		case byStation && g.Station == "":
			return stall("InvalidSpec", "spec.policy.grants[%d]: the role %s is about the records of a station; name one in station", i, g.Role)
		case !byStation && g.Station != "":
			return stall("InvalidSpec", "spec.policy.grants[%d]: the role %s is not about a station; leave station out", i, g.Role)
		}
	}
	return nil
}

// checkStationQuota refuses a new tenant whose own stations are too many, before anything is made. Of a tenant that has
// stations already, those still to be created are checked when it comes to that: a quota that is lowered closes none.
func checkStationQuota(s *scope) error {
	spec := &s.tenant.Spec
	most, from := spec.Quotas.Stations, spec.Stations.FromDivisions
	if s.before.ReadyTime != nil || most == nil || from == "" || from == v1alpha1.StationsNone {
		return nil
	}
	if n := len(stationsOf(spec.DivisionCode, from)); n > int(*most) {
		return stall(string(provision.QuotaExceeded), "spec.stations.fromDivisions: %s of %s has %d stations, and spec.quotas.stations is %d; "+
			"raise the quota, or ask for fewer stations", from, spec.DivisionCode, n, *most)
	}
	return nil
}

// provisionSpec is what the tenant's object asks of its database cluster.
func provisionSpec(t *v1alpha1.Tenant) provision.Spec {
	spec := provision.Spec{
		Name: tenant.Name(t.Name), DisplayNameZh: t.Spec.DisplayName.Zh, DisplayNameEn: t.Spec.DisplayName.En,
		Level: provision.Level(t.Spec.Level), Parent: tenant.Name(t.Spec.Parent), DivisionCode: t.Spec.DivisionCode,
		Cluster: t.Status.Cluster, StandardsPack: t.Spec.StandardsPack, DeletionPolicy: provision.DeletionPolicy(t.Spec.DeletionPolicy),
		Quotas: provision.Quotas{
			Stations: t.Spec.Quotas.Stations, Staff: t.Spec.Quotas.Staff, Residents: t.Spec.Quotas.Residents,
			RequestsPerSecond: t.Spec.Quotas.RequestsPerSecond,
		},
		Suspend: &t.Spec.Suspend,
	}
	for _, r := range t.Spec.Policy.Roles {
		spec.Policy.Roles = append(spec.Policy.Roles, authz.Role{Name: r.Name, TitleZH: r.DisplayName.Zh, TitleEN: r.DisplayName.En})
	}
	for _, g := range t.Spec.Policy.Grants {
		if g.Station == "" {
			spec.Policy.Grants = append(spec.Policy.Grants, provision.Grant{Subject: g.Subject, Role: g.Role})
		}
	}
	spec.Policy.Rules = provisionRules(t.Spec.Policy.Rules)
	return spec
}

// stationGrants are the grants that wait for the tenant's stations.
func stationGrants(t *v1alpha1.Tenant) []provision.StationGrant {
	var grants []provision.StationGrant
	for _, g := range t.Spec.Policy.Grants {
		if g.Station != "" {
			grants = append(grants, provision.StationGrant{Subject: g.Subject, Role: g.Role, Station: g.Station})
		}
	}
	return grants
}

func provisionRules(rules []v1alpha1.Rule) []authz.Rule {
	converted := make([]authz.Rule, len(rules))
	for i, rule := range rules {
		converted[i] = authz.Rule{Role: rule.Role, Resource: rule.Resource, Action: rule.Action, Level: authz.Level(rule.Level)}
	}
	return converted
}

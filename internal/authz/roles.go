package authz

import "slices"

// The standard roles. Their duties are kept apart as MLPS level 3 asks (GB/T 22239): system, security and audit
// administrators are three people, and none of them can do the others' work.
var standardRoles = []struct {
	Role
	allow []allowance
}{
	{Role{"province_admin", "省级管理员", "Province administrator"}, []allowance{
		{LevelTenant, "stations", read},
		{LevelAggregate, "reports", summary},
	}},
	{Role{"province_analyst", "省级分析员", "Province analyst"}, []allowance{
		{LevelAggregate, "reports", summary},
	}},
	{Role{"bureau_admin", "民政局管理员", "Bureau administrator"}, []allowance{
		{LevelTenant, "stations", write},
		{LevelTenant, "staff", write},
		{LevelTenant, "communities", write},
		{LevelTenant, "households", write},
		{LevelTenant, "residents", write},
		{LevelTenant, "needs", []string{"get", "list", "create", "update", "meet", "reopen", "void"}},
		{LevelTenant, "serviceFiles", []string{"get", "list", "create", "update", "void"}},
		{LevelTenant, "volunteerTeams", []string{"get", "list", "create", "update", "void"}},
		{LevelTenant, "volunteers", []string{"get", "list", "create", "update", "void"}},
		{LevelTenant, "cases", []string{"get", "list", "create", "update", "advance", "evaluate", "reopen", "void"}},
		{LevelTenant, "caseSessions", []string{"get", "list", "create", "update", "void"}},
		{LevelTenant, "referrals", []string{"get", "list", "create", "update", "void"}},
		{LevelTenant, "followUps", []string{"get", "list", "create", "update", "void"}},
		{LevelTenant, "visits", []string{"get", "list", "plan", "record", "update", "complete", "cancel", "void", "sync"}},
		{LevelTenant, "activities", []string{"get", "list", "create", "update", "hold", "cancel", "void"}},
		{LevelTenant, "groups", []string{"get", "list", "create", "update", "advance", "void"}},
		{LevelTenant, "groupSessions", []string{"get", "list", "create", "update", "void"}},
		{LevelTenant, "reports", []string{"summary", "drilldown"}},
		{LevelTenant, "roles", read},
	}},
	{Role{"security_admin", "安全管理员", "Security administrator"}, []allowance{
		{LevelTenant, "roles", []string{"get", "list", "create", "update", "delete"}},
		{LevelTenant, "roleGrants", []string{"get", "list", "create", "delete"}},
	}},
	{Role{"auditor", "审计员", "Auditor"}, []allowance{
		{LevelTenant, "auditEvents", []string{"list"}},
		{LevelTenant, "roles", read},
		{LevelTenant, "roleGrants", read},
	}},
	{Role{"bureau_analyst", "民政局分析员", "Bureau analyst"}, []allowance{
		{LevelTenant, "reports", []string{"summary", "drilldown"}},
		{LevelTenant, "stations", read},
		{LevelTenant, "communities", read},
		{LevelTenant, "volunteerTeams", read},
		{LevelTenant, "activities", read},
	}},
	{Role{"station_head", "社工站负责人", "Station head"}, append(workOfAStation(LevelStation), []allowance{
		{LevelStation, "communities", []string{"create", "update"}},
		{LevelStation, "volunteerTeams", []string{"create", "update", "void"}},
		{LevelStation, "volunteers", []string{"create", "update", "void"}},
	}...)},
	{Role{"social_worker", "社会工作者", "Social worker"}, workOfAStation(LevelOwn)},
	{Role{"volunteer_coordinator", "志愿者协调员", "Volunteer coordinator"}, []allowance{
		{LevelStation, "stations", read},
		{LevelStation, "staff", read},
		{LevelStation, "communities", read},
		{LevelStation, "volunteerTeams", []string{"get", "list", "create", "update", "void"}},
		{LevelStation, "volunteers", []string{"get", "list", "create", "update", "void"}},
		{LevelStation, "activities", []string{"get", "list", "create", "update", "hold", "cancel"}},
		{LevelOwn, "activities", void},
		{LevelStation, "groups", []string{"get", "list", "create", "update", "advance"}},
		{LevelOwn, "groups", void},
		{LevelStation, "groupSessions", write},
		{LevelOwn, "groupSessions", void},
		{LevelStation, "reports", summary},
	}},
	{Role{"integrator", "系统对接账号", "Integrator"}, []allowance{
		{LevelTenant, "stations", write},
		{LevelTenant, "staff", write},
		{LevelTenant, "communities", write},
		{LevelTenant, "households", write},
		{LevelTenant, "residents", write},
		{LevelTenant, "needs", []string{"get", "list", "create", "update", "meet", "reopen"}},
		{LevelTenant, "serviceFiles", write},
		{LevelTenant, "volunteerTeams", write},
		{LevelTenant, "volunteers", write},
		{LevelTenant, "visits", []string{"get", "list", "plan", "record", "update", "complete", "cancel", "sync"}},
		{LevelTenant, "reports", summary},
	}},
}

// allowance is a few rules at once: the actions on one resource that a role may take.
type allowance struct {
	level    Level
	resource string
	actions  []string
}

var (
	read    = []string{"get", "list"}
	write   = []string{"get", "list", "create", "update"}
	void    = []string{"void"}
	summary = []string{"summary"}
)

// workOfAStation is the daily work of a station's people; voiding a record reaches as far as the level.
func workOfAStation(voiding Level) []allowance {
	return []allowance{
		{LevelStation, "stations", read},
		{LevelStation, "staff", read},
		{LevelStation, "communities", read},
		{LevelStation, "households", write},
		{LevelStation, "residents", write},
		{LevelStation, "needs", []string{"get", "list", "create", "update", "meet", "reopen"}},
		{voiding, "needs", void},
		{LevelStation, "serviceFiles", write},
		{voiding, "serviceFiles", void},
		{LevelStation, "volunteerTeams", read},
		{LevelStation, "volunteers", read},
		{LevelStation, "cases", []string{"get", "list", "create", "update", "advance", "evaluate", "reopen"}},
		{voiding, "cases", void},
		{LevelStation, "caseSessions", write},
		{voiding, "caseSessions", void},
		{LevelStation, "referrals", write},
		{voiding, "referrals", void},
		{LevelStation, "followUps", write},
		{voiding, "followUps", void},
		{LevelStation, "visits", []string{"get", "list", "plan", "record", "update", "complete", "cancel", "sync"}},
		{voiding, "visits", void},
		{LevelStation, "activities", []string{"get", "list", "create", "update", "hold", "cancel"}},
		{voiding, "activities", void},
		{LevelStation, "groups", []string{"get", "list", "create", "update", "advance"}},
		{voiding, "groups", void},
		{LevelStation, "groupSessions", write},
		{voiding, "groupSessions", void},
		{LevelStation, "reports", []string{"summary", "drilldown"}},
	}
}

// administrators are the system, security and audit administrators.
var administrators = []string{"bureau_admin", "security_admin", "auditor"}

// ApartFrom returns the roles that no holder of the role may have beside it: of the three administrators the two others.
// Nil for any other role.
func ApartFrom(role string) []string {
	if !slices.Contains(administrators, role) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(administrators), func(other string) bool { return other == role })
}

// StandardRoles are the roles that every tenant has. A tenant cannot change them, but may add its own.
func StandardRoles() []Role {
	roles := make([]Role, 0, len(standardRoles))
	for _, r := range standardRoles {
		roles = append(roles, r.Role)
	}
	return roles
}

// StandardRules are the rules of the standard roles.
func StandardRules() []Rule {
	var rules []Rule
	for _, r := range standardRoles {
		for _, a := range r.allow {
			for _, action := range a.actions {
				rules = append(rules, Rule{r.Name, a.resource, action, a.level})
			}
		}
		rules = append(rules, Rule{r.Name, "standards", "get", LevelTenant})
	}
	return rules
}

// everyonesRules hold for every principal of a tenant, whatever its roles: asking who one is.
func everyonesRules() []Rule {
	return []Rule{{Everyone, "me", "get", LevelTenant}}
}

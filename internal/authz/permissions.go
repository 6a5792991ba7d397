package authz

import "slices"

// Permission is an action on a resource, as an RPC's authorization rule names it.
type Permission struct{ Resource, Action string }

func (p Permission) String() string { return p.Resource + ":" + p.Action }

// The resources that are not of one station: a rule on them reaches the whole tenant or does not exist.
var ofTheTenant = []string{"auditEvents", "me", "roleGrants", "roles", "standards"}

// The resources by which roles are made and given, and their use is watched.
var administration = []string{"auditEvents", "roleGrants", "roles"}

// catalog holds every permission there is. A test holds it against the authorization rules of all RPCs, so that a rule
// can be checked in a process that does not serve the RPC it is about.
var catalog = []struct {
	resource string
	actions  []string
}{
	{"stations", []string{"get", "list", "create", "update"}},
	{"staff", []string{"get", "list", "create", "update"}},
	{"communities", []string{"get", "list", "create", "update"}},
	{"households", []string{"get", "list", "create", "update"}},
	{"residents", []string{"get", "list", "create", "update"}},
	{"needs", []string{"get", "list", "create", "update", "meet", "reopen", "void"}},
	{"serviceFiles", []string{"get", "list", "create", "update", "void"}},
	{"volunteerTeams", []string{"get", "list", "create", "update", "void"}},
	{"volunteers", []string{"get", "list", "create", "update", "void"}},
	{"cases", []string{"get", "list", "create", "update", "advance", "evaluate", "reopen", "void"}},
	{"caseSessions", []string{"get", "list", "create", "update", "void"}},
	{"referrals", []string{"get", "list", "create", "update", "void"}},
	{"followUps", []string{"get", "list", "create", "update", "void"}},
	{"visits", []string{"get", "list", "plan", "record", "update", "complete", "cancel", "sync", "void"}},
	{"activities", []string{"get", "list", "create", "update", "hold", "cancel", "void"}},
	{"groups", []string{"get", "list", "create", "update", "advance", "void"}},
	{"groupSessions", []string{"get", "list", "create", "update", "void"}},
	{"reports", []string{"summary", "drilldown"}},
	{"standards", []string{"get"}},
	{"me", []string{"get"}},
	{"roles", []string{"get", "list", "create", "update", "delete"}},
	{"roleGrants", []string{"get", "list", "create", "delete"}},
	{"auditEvents", []string{"list"}},
}

// Permissions are all permissions, in the order of the platform's areas.
func Permissions() []Permission {
	var all []Permission
	for _, c := range catalog {
		for _, action := range c.actions {
			all = append(all, Permission{c.resource, action})
		}
	}
	return all
}

// Known says whether a rule on the resource and action, each possibly Any, covers at least one permission.
func Known(resource, action string) bool {
	return len(covered(resource, action)) > 0
}

// Sensible says whether a rule of the level can mean anything for some permission that it covers: sums exist only of
// reports, the rows behind them do not tell who recorded them, and what is not of one station is the whole tenant's.
func Sensible(resource, action string, level Level) bool {
	return slices.ContainsFunc(covered(resource, action), func(p Permission) bool {
		switch {
		case slices.Contains(ofTheTenant, p.Resource):
			return level == LevelTenant
		case level == LevelAggregate:
			return p == Permission{"reports", "summary"}
		case level == LevelOwn && p == Permission{"reports", "drilldown"}:
			return false
		default:
			return level.Valid()
		}
	})
}

// Reserved says whether a rule on the resource, possibly Any, covers what the standard roles alone may do: with it a role
// of the tenant's own could make itself any other, or read the trail of those who watch it.
func Reserved(resource string) bool {
	return resource == Any || slices.Contains(administration, resource)
}

func covered(resource, action string) []Permission {
	return slices.DeleteFunc(Permissions(), func(p Permission) bool {
		return (resource != Any && resource != p.Resource) || (action != Any && action != p.Action)
	})
}

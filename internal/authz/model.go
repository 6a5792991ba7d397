package authz

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"

	"circle15.dev/internal/tenant"
)

// conf is the casbin model: RBAC with domains. The rules are loaded widest first, so that the first that allows is the
// one whose level counts.
const conf = `
[request_definition]
r = subject, tenant, resource, action
[policy_definition]
p = role, tenant, resource, action, level
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.tenant == p.tenant && (p.resource == "*" || r.resource == p.resource) && (p.action == "*" || r.action == p.action) && ` +
	`(p.role == "role:*" || g(r.subject, p.role, r.tenant))
`

// casbin takes a subject for the holder of the role of the same name, so the two live in different name spaces.
func subjectName(subject string) string { return "subject:" + subject }
func roleName(role string) string       { return "role:" + role }

// newEnforcer returns casbin's own answer to the rules; holdings are pairs of a subject and a role.
func newEnforcer(t tenant.Name, rules []Rule, holdings [][2]string) (*casbin.Enforcer, error) {
	m, err := model.NewModelFromString(conf)
	if err != nil {
		return nil, fmt.Errorf("casbin model: %w", err)
	}
	e, err := casbin.NewEnforcer(m)
	if err != nil {
		return nil, fmt.Errorf("casbin enforcer: %w", err)
	}
	widestFirst := slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return !r.Level.Valid() })
	slices.SortStableFunc(widestFirst, func(a, b Rule) int { return cmp.Compare(b.Level.rank(), a.Level.rank()) })
	for _, r := range widestFirst {
		if _, err := e.AddPolicy(roleName(r.Role), t.String(), r.Resource, r.Action, string(r.Level)); err != nil {
			return nil, fmt.Errorf("casbin rule: %w", err)
		}
	}
	for _, h := range holdings {
		if _, err := e.AddGroupingPolicy(subjectName(h[0]), roleName(h[1]), t.String()); err != nil {
			return nil, fmt.Errorf("casbin grant: %w", err)
		}
	}
	return e, nil
}

// ask is the widest level at which casbin allows the request; none where it does not.
func ask(e *casbin.Enforcer, t tenant.Name, subject, resource, action string) (level Level, allowed bool, err error) {
	allowed, why, err := e.EnforceEx(subjectName(subject), t.String(), resource, action)
	if err != nil {
		return "", false, fmt.Errorf("casbin: %w", err)
	}
	if !allowed {
		return "", false, nil
	}
	return Level(why[len(why)-1]), true, nil
}

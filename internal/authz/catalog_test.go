package authz_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "circle15.dev/api/activities/v1" // linked for their authorization rules, as the rest
	_ "circle15.dev/api/cases/v1"
	_ "circle15.dev/api/iam/v1"
	optionsv1 "circle15.dev/api/options/v1"
	_ "circle15.dev/api/registry/v1"
	_ "circle15.dev/api/reporting/v1"
	_ "circle15.dev/api/visits/v1"
	"circle15.dev/internal/authz"
)

// ofRPCs are the permissions that the authorization rules of all RPCs name.
func ofRPCs(t *testing.T) map[authz.Permission]bool {
	t.Helper()
	named := map[authz.Permission]bool{}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			if !strings.HasPrefix(string(service.FullName()), "circle15.") {
				continue
			}
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				rule, ok := proto.GetExtension(method.Options(), optionsv1.E_Authorization).(*optionsv1.Authorization)
				if !ok || rule.GetResource() == "" || rule.GetAction() == "" {
					t.Errorf("%s has no authorization rule", method.FullName())
					continue
				}
				named[authz.Permission{Resource: rule.GetResource(), Action: rule.GetAction()}] = true
			}
		}
		return true
	})
	return named
}

func TestThePermissionsAreThoseOfTheRPCs(t *testing.T) {
	rpcs := ofRPCs(t)
	want, got := make([]string, 0, len(rpcs)), make([]string, 0, len(rpcs))
	for p := range rpcs {
		want = append(want, p.String())
	}
	for _, p := range authz.Permissions() {
		got = append(got, p.String())
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-in the protos +in the catalog:\n%s", diff)
	}
}

func TestEveryPermissionIsHeldBySomeStandardRole(t *testing.T) {
	held := map[authz.Permission]bool{{Resource: "me", Action: "get"}: true} // everyone's
	for _, r := range authz.StandardRules() {
		held[authz.Permission{Resource: r.Resource, Action: r.Action}] = true
	}
	for _, p := range authz.Permissions() {
		if !held[p] {
			t.Errorf("%s is out of reach", p)
		}
	}
}

func TestTheStandardRulesAreSensibleAndAmongThePermissions(t *testing.T) {
	roles := map[string]bool{}
	for _, r := range authz.StandardRoles() {
		if r.TitleZH == "" || r.TitleEN == "" || roles[r.Name] {
			t.Errorf("role %q is without titles or named twice", r.Name)
		}
		roles[r.Name] = true
	}
	type key struct{ role, resource, action string }
	seen := map[key]bool{}
	for _, r := range authz.StandardRules() {
		k := key{r.Role, r.Resource, r.Action}
		if !roles[r.Role] || seen[k] || r.Resource == authz.Any || r.Action == authz.Any ||
			!authz.Known(r.Resource, r.Action) || !authz.Sensible(r.Resource, r.Action, r.Level) {
			t.Errorf("bad rule %+v", r)
		}
		seen[k] = true
	}
}

func TestTheThreeAdministratorsCannotDoEachOthersWork(t *testing.T) {
	work := map[string][]string{
		"bureau_admin":   {"stations:update", "staff:update", "cases:update"},
		"security_admin": {"roles:update", "roleGrants:create", "roleGrants:delete"},
		"auditor":        {"auditEvents:list"},
	}
	can := map[string]map[string]bool{}
	for _, r := range authz.StandardRules() {
		if can[r.Role] == nil {
			can[r.Role] = map[string]bool{}
		}
		can[r.Role][r.Resource+":"+r.Action] = true
	}
	for role := range work {
		for of, permissions := range work {
			for _, p := range permissions {
				if can[role][p] != (role == of) {
					t.Errorf("%s may %s: %v", role, p, can[role][p])
				}
			}
		}
	}
}

func TestARuleMustMeanSomething(t *testing.T) {
	for _, tc := range []struct {
		resource, action string
		level            authz.Level
		known, sensible  bool
	}{
		{"cases", "get", authz.LevelOwn, true, true},
		{"cases", authz.Any, authz.LevelStation, true, true},
		{authz.Any, "get", authz.LevelTenant, true, true},
		{authz.Any, authz.Any, authz.LevelStation, true, true},
		{"reports", "summary", authz.LevelAggregate, true, true},
		{"reports", "drilldown", authz.LevelAggregate, true, false},
		{"reports", "drilldown", authz.LevelOwn, true, false},
		{"reports", authz.Any, authz.LevelOwn, true, true},
		{"cases", "get", authz.LevelAggregate, true, false},
		{"roleGrants", "create", authz.LevelStation, true, false},
		{"cases", "get", "everything", true, false},
		{"cases", "hold", authz.LevelTenant, false, false},
		{"files", "get", authz.LevelTenant, false, false},
		{authz.Any, "burn", authz.LevelTenant, false, false},
	} {
		known, sensible := authz.Known(tc.resource, tc.action), authz.Sensible(tc.resource, tc.action, tc.level)
		if known != tc.known || sensible != tc.sensible {
			t.Errorf("%s:%s %s: known %v, sensible %v", tc.resource, tc.action, tc.level, known, sensible)
		}
	}
}

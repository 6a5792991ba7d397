package iam_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
)

func rule(resource, action string, level iamv1.Level) *iamv1.Rule {
	return &iamv1.Rule{Resource: resource, Action: action, Level: level}
}

func reader(rules ...*iamv1.Rule) *iamv1.Role {
	if rules == nil {
		rules = []*iamv1.Rule{rule("cases", "get", iamv1.Level_LEVEL_STATION), rule("activities", "list", iamv1.Level_LEVEL_TENANT)}
	}
	return &iamv1.Role{Name: "case_reader", TitleZh: "个案查阅员", TitleEn: "Case reader", Rules: rules}
}

func (s *scene) createRole(role *iamv1.Role) *iamv1.Role {
	s.Helper()
	return ok(s.client.CreateRole(s.as("guard"), &iamv1.CreateRoleRequest{Role: role}))(s.T)
}

// madeEarlier is the role case_reader with a rule on every action that an earlier release let a tenant make.
func (s *scene) madeEarlier(resource, level string) {
	s.Helper()
	s.exec(`INSERT INTO {tenant}.roles (name, title_zh, title_en) VALUES ('case_reader', '查阅员', 'Reader')`)
	s.exec(`INSERT INTO {tenant}.role_rules (role, resource, action, level) VALUES ('case_reader', $1, '*', $2)`, resource, level)
}

func TestTheStandardRolesAreListedAndCannotBeChanged(t *testing.T) {
	s := setup(t)
	list := ok(s.client.ListRoles(s.as("chief"), &iamv1.ListRolesRequest{}))(t)
	rules := 0
	for _, role := range list.GetRoles() {
		rules += len(role.GetRules())
		if !role.GetStandard() || role.GetTitleZh() == "" {
			t.Errorf("got %v", role)
		}
		_, err := s.client.UpdateRole(s.as("guard"), &iamv1.UpdateRoleRequest{Role: &iamv1.Role{Name: role.GetName(), TitleEn: "Mine"}})
		refused(t, err, apierr.Conflict, "")
		_, err = s.client.DeleteRole(s.as("guard"), &iamv1.DeleteRoleRequest{Name: role.GetName()})
		refused(t, err, apierr.Conflict, "")
	}
	if len(list.GetRoles()) != len(authz.StandardRoles()) || rules != len(authz.StandardRules()) {
		t.Errorf("got %d roles with %d rules", len(list.GetRoles()), rules)
	}
}

func TestRolesAreListedPageByPage(t *testing.T) {
	s := setup(t)
	var names []string
	req := &iamv1.ListRolesRequest{PageSize: 4}
	for {
		page := ok(s.client.ListRoles(s.as("guard"), req))(t)
		for _, role := range page.GetRoles() {
			names = append(names, role.GetName())
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	want := []string{
		"auditor", "bureau_admin", "bureau_analyst", "integrator", "province_admin", "province_analyst", "security_admin",
		"social_worker", "station_head", "volunteer_coordinator",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestATenantsOwnRoleDecidesLikeAnyOther(t *testing.T) {
	s := setup(t)
	s.createRole(reader())
	s.grant("wu", "case_reader", s.station)
	s.await("wu", "cases:get station", true)

	updated := ok(s.client.UpdateRole(s.as("guard"), &iamv1.UpdateRoleRequest{Role: reader(rule("cases", authz.Any, iamv1.Level_LEVEL_OWN))}))(t)
	if len(updated.GetRules()) != 1 {
		t.Errorf("got %v", updated)
	}
	s.await("wu", "cases:get station", false)
	s.await("wu", "cases:advance own", true)
	s.await("wu", "activities:list tenant", false)
}

func TestAStationsRuleOnEverythingDoesNotReachRolesAndGrants(t *testing.T) {
	s := setup(t)
	s.madeEarlier(authz.Any, "station")
	s.grant("wu", "case_reader", s.station)
	s.await("wu", "cases:void station", true)
	_, err := s.client.ListRoles(s.as("wu"), &iamv1.ListRolesRequest{})
	refused(t, err, apierr.Denied, "")
	_, err = s.client.CreateRoleGrant(s.as("wu"), create(&iamv1.RoleGrant{Subject: "friend", Role: "security_admin"}))
	refused(t, err, apierr.Denied, "")
	_, err = s.client.ListAuditEvents(s.as("wu"), &iamv1.ListAuditEventsRequest{})
	refused(t, err, apierr.Denied, "")
}

func TestARoleIsReadAsItWasWritten(t *testing.T) {
	s := setup(t)
	created := s.createRole(reader())
	got := ok(s.client.GetRole(s.as("auditor"), &iamv1.GetRoleRequest{Name: "case_reader"}))(t)
	if diff := cmp.Diff(created, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	_, err := s.client.CreateRole(s.as("guard"), &iamv1.CreateRoleRequest{Role: reader()})
	refused(t, err, apierr.AlreadyExists, "role.name")
	_, err = s.client.GetRole(s.as("auditor"), &iamv1.GetRoleRequest{Name: "nobody"})
	refused(t, err, apierr.NotFound, "")
}

func TestAnUpdateChangesOnlyWhatItsMaskNames(t *testing.T) {
	s := setup(t)
	created := s.createRole(reader())
	updated := ok(s.client.UpdateRole(s.as("guard"), &iamv1.UpdateRoleRequest{
		Role:       &iamv1.Role{Name: "case_reader", TitleEn: "Reader of cases", TitleZh: "ignored"},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title_en"}},
	}))(t)
	want := proto.CloneOf(created)
	want.TitleEn, want.Etag = "Reader of cases", updated.GetEtag()
	if diff := cmp.Diff(want, updated, protocmp.Transform()); diff != "" || updated.GetEtag() == created.GetEtag() {
		t.Error(diff, updated.GetEtag())
	}
	stale := &iamv1.Role{Name: "case_reader", TitleEn: "Lost", Etag: created.GetEtag()}
	_, err := s.client.UpdateRole(s.as("guard"), &iamv1.UpdateRoleRequest{Role: stale})
	refused(t, err, apierr.StaleETag, "")
	_, err = s.client.DeleteRole(s.as("guard"), &iamv1.DeleteRoleRequest{Name: "case_reader", Etag: created.GetEtag()})
	refused(t, err, apierr.StaleETag, "")
	_, err = s.client.UpdateRole(s.as("guard"), &iamv1.UpdateRoleRequest{
		Role: &iamv1.Role{Name: "case_reader"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title_zh"}},
	})
	refused(t, err, apierr.Invalid, "role.titleZh")
}

func TestARuleOfAnEarlierReleaseStaysUntilItIsTakenOut(t *testing.T) {
	s := setup(t)
	s.madeEarlier(authz.Any, "tenant")
	s.grant("wu", "case_reader", "")
	s.await("wu", "cases:void tenant", true)
	role := ok(s.client.UpdateRole(s.as("guard"), &iamv1.UpdateRoleRequest{
		Role: &iamv1.Role{Name: "case_reader", TitleEn: "Everything"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title_en"}},
	}))(t)
	if len(role.GetRules()) != 1 || role.GetRules()[0].GetResource() != authz.Any {
		t.Errorf("got %v", role)
	}
	ok(s.client.UpdateRole(s.as("guard"), &iamv1.UpdateRoleRequest{Role: reader()}))(t)
	_, err := s.client.UpdateRole(s.as("guard"), &iamv1.UpdateRoleRequest{Role: reader(rule(authz.Any, authz.Any, iamv1.Level_LEVEL_TENANT))})
	refused(t, err, apierr.Invalid, "role.rules[0].resource")
}

func TestNobodyChangesARoleThatTheyHold(t *testing.T) {
	s := setup(t)
	s.madeEarlier("roles", "tenant")
	s.grant("wu", "case_reader", "")
	s.await("wu", "roles:update tenant", true)
	_, err := s.client.UpdateRole(s.as("wu"), &iamv1.UpdateRoleRequest{
		Role: reader(rule("cases", authz.Any, iamv1.Level_LEVEL_TENANT)),
	})
	refused(t, err, apierr.Denied, "")
}

func TestARoleIsDeletedOnceNobodyHoldsIt(t *testing.T) {
	s := setup(t)
	s.createRole(reader())
	grant := s.grant("wu", "case_reader", s.station)
	_, err := s.client.DeleteRole(s.as("guard"), &iamv1.DeleteRoleRequest{Name: "case_reader"})
	refused(t, err, apierr.Conflict, "")
	ok(s.client.DeleteRoleGrant(s.as("guard"), &iamv1.DeleteRoleGrantRequest{Id: grant.GetId()}))(t)
	ok(s.client.DeleteRole(s.as("guard"), &iamv1.DeleteRoleRequest{Name: "case_reader"}))(t)
	_, err = s.client.DeleteRole(s.as("guard"), &iamv1.DeleteRoleRequest{Name: "case_reader"})
	refused(t, err, apierr.NotFound, "")
}

func TestRulesMayOnlyNameWhatExists(t *testing.T) {
	s := setup(t)
	fine := rule("cases", "get", iamv1.Level_LEVEL_TENANT)
	for name, tc := range map[string]struct {
		role  *iamv1.Role
		field string
	}{
		"unknown resource":      {reader(fine, rule("dragons", "get", iamv1.Level_LEVEL_TENANT)), "role.rules[1].resource"},
		"unknown action":        {reader(rule("cases", "burn", iamv1.Level_LEVEL_TENANT)), "role.rules[0].action"},
		"action of another":     {reader(rule("stations", "void", iamv1.Level_LEVEL_TENANT)), "role.rules[0].action"},
		"sums of cases":         {reader(rule("cases", "get", iamv1.Level_LEVEL_AGGREGATE)), "role.rules[0].level"},
		"packs of a station":    {reader(rule("standards", "get", iamv1.Level_LEVEL_STATION)), "role.rules[0].level"},
		"everything":            {reader(fine, rule(authz.Any, "get", iamv1.Level_LEVEL_STATION)), "role.rules[1].resource"},
		"roles":                 {reader(rule("roles", "create", iamv1.Level_LEVEL_TENANT)), "role.rules[0].resource"},
		"grants":                {reader(rule("roleGrants", authz.Any, iamv1.Level_LEVEL_TENANT)), "role.rules[0].resource"},
		"the audit trail":       {reader(rule("auditEvents", "list", iamv1.Level_LEVEL_TENANT)), "role.rules[0].resource"},
		"no level":              {reader(rule("cases", "get", iamv1.Level_LEVEL_UNSPECIFIED)), "role.rules[0].level"},
		"level out of range":    {reader(rule("cases", "get", 9)), "role.rules[0].level"},
		"the same twice":        {reader(fine, fine), "role.rules[1]"},
		"resource with a quote": {reader(rule("cases'", "get", iamv1.Level_LEVEL_TENANT)), "role.rules[0].resource"},
		"no rule":               {&iamv1.Role{Name: "empty", TitleZh: "空", TitleEn: "Empty"}, "role.rules"},
		"no title":              {&iamv1.Role{Name: "empty", TitleEn: "Empty", Rules: reader().GetRules()}, "role.titleZh"},
		"everyone's name":       {&iamv1.Role{Name: "*", TitleZh: "众", TitleEn: "All", Rules: reader().GetRules()}, "role.name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.client.CreateRole(s.as("guard"), &iamv1.CreateRoleRequest{Role: tc.role})
			refused(t, err, apierr.Invalid, tc.field)
		})
	}
}

func TestATenantsOwnRolesAreBounded(t *testing.T) {
	s := setup(t)
	s.exec(`INSERT INTO {tenant}.roles (name, title_zh, title_en) SELECT 'extra_' || n, '其他', 'Extra' FROM generate_series(1, 100) n`)
	_, err := s.client.CreateRole(s.as("guard"), &iamv1.CreateRoleRequest{Role: reader()})
	refused(t, err, apierr.Conflict, "")
}

func TestRolesAreServedOverREST(t *testing.T) {
	s := setup(t)
	body := `{"name":"case_reader","titleZh":"个案查阅员","titleEn":"Case reader",` +
		`"rules":[{"resource":"cases","action":"get","level":"LEVEL_STATION"}]}`
	var role struct{ Name, TitleEn, Etag string }
	if code := s.call("POST", "/v1/roles", "guard", body, &role); code != 200 {
		t.Fatalf("created with %d", code)
	}
	if code := s.call("PATCH", "/v1/roles/case_reader", "guard", `{"titleEn":"Reader"}`, &role); code != 200 || role.TitleEn != "Reader" {
		t.Errorf("changed with %d %+v", code, role)
	}
	if code := s.call("PATCH", "/v1/roles/case_reader", "chief", `{"titleEn":"Mine"}`, nil); code != 403 {
		t.Errorf("the bureau administrator's change: %d", code)
	}
	var problem struct{ Errors []struct{ Field string } }
	body = `{"rules":[{"resource":"dragons","action":"get","level":"LEVEL_STATION"}]}`
	if code := s.call("PATCH", "/v1/roles/case_reader", "guard", body, &problem); code != 400 {
		t.Errorf("an unknown resource: %d %+v", code, problem)
	}
	if code := s.call("DELETE", "/v1/roles/case_reader", "guard", "", nil); code/100 != 2 {
		t.Errorf("deleted with %d", code)
	}
}

package iam_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	iamv1 "circle15.dev/api/iam/v1"
)

func TestWhoAmINamesTheCallersRolesAndWhatTheyPermit(t *testing.T) {
	s := setup(t)
	grant := s.grant("lin", "social_worker", s.station)
	s.await("lin", "cases:get station", true)

	me := ok(s.client.WhoAmI(s.as("lin"), &iamv1.WhoAmIRequest{}))(t)
	if me.GetSubject() != "lin" || me.GetDisplayName() != "名 lin" || me.GetTenant() != s.tenant.String() {
		t.Errorf("got %v", me)
	}
	if len(me.GetRoleGrants()) != 1 || me.GetRoleGrants()[0].GetId() != grant.GetId() || me.GetRoleGrants()[0].GetStationId() != s.station {
		t.Errorf("got grants %v", me.GetRoleGrants())
	}
	for _, p := range me.GetPermissions() {
		var want []string
		if p.GetLevel() == iamv1.Level_LEVEL_STATION || p.GetLevel() == iamv1.Level_LEVEL_OWN {
			want = []string{s.station}
		}
		if diff := cmp.Diff(want, p.GetStationIds()); diff != "" {
			t.Errorf("%s:%s: %s", p.GetResource(), p.GetAction(), diff)
		}
	}
	held := s.permissions("lin")
	for permission, want := range map[string]bool{
		"cases:void own": true, "me:get tenant": true, "standards:get tenant": true, "roles:get tenant": false, "cases:get tenant": false,
	} {
		if held[permission] != want {
			t.Errorf("%s: %v", permission, held[permission])
		}
	}
}

func TestSomeoneWithoutARoleMayOnlyAskWhoTheyAre(t *testing.T) {
	s := setup(t)
	if diff := cmp.Diff(map[string]bool{"me:get tenant": true}, s.permissions("stranger")); diff != "" {
		t.Error(diff)
	}
}

func TestWhoAmIIsServedOverREST(t *testing.T) {
	s := setup(t)
	var me struct {
		Subject, Tenant string
		RoleGrants      []struct{ Role string }
	}
	if code := s.call("GET", "/v1/me", "auditor", "", &me); code != 200 || me.Subject != "auditor" || me.RoleGrants[0].Role != "auditor" {
		t.Errorf("got %d %+v", code, me)
	}
}

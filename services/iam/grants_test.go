package iam_test

import (
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/ids"
)

func create(g *iamv1.RoleGrant) *iamv1.CreateRoleGrantRequest {
	return &iamv1.CreateRoleGrantRequest{RoleGrant: g}
}

func TestAGrantCountsAtOnceAndItsRevocationToo(t *testing.T) {
	s := setup(t)
	grant := s.grant("wu", "station_head", s.station)
	if grant.GetCreatedBy() != "guard" || grant.GetCreateTime() == nil {
		t.Errorf("got %v", grant)
	}
	s.await("wu", "cases:void station", true)
	if got := ok(s.client.GetRoleGrant(s.as("guard"), &iamv1.GetRoleGrantRequest{Id: grant.GetId()}))(t); !proto.Equal(got, grant) {
		t.Errorf("got %v, want %v", got, grant)
	}
	ok(s.client.DeleteRoleGrant(s.as("guard"), &iamv1.DeleteRoleGrantRequest{Id: grant.GetId()}))(t)
	s.await("wu", "cases:void station", false)
	_, err := s.client.DeleteRoleGrant(s.as("guard"), &iamv1.DeleteRoleGrantRequest{Id: grant.GetId()})
	refused(t, err, apierr.NotFound, "")
	_, err = s.client.GetRoleGrant(s.as("guard"), &iamv1.GetRoleGrantRequest{Id: grant.GetId()})
	refused(t, err, apierr.NotFound, "")
}

func TestAGrantOfTheProvinceIsTakenBackByTheProvince(t *testing.T) {
	s := setup(t)
	given := s.grant("wu", "auditor", "")
	for _, by := range []string{authz.ByOperator, authz.ByOperatorAtStation} {
		s.exec(`UPDATE {tenant}.role_grants SET created_by = $1 WHERE id = $2`, by, given.GetId())
		_, err := s.client.DeleteRoleGrant(s.as("guard"), &iamv1.DeleteRoleGrantRequest{Id: given.GetId()})
		refused(t, err, apierr.Conflict, "")
		if got := ok(s.client.GetRoleGrant(s.as("guard"), &iamv1.GetRoleGrantRequest{Id: given.GetId()}))(t); got.GetCreatedBy() != by {
			t.Errorf("got %v", got)
		}
	}
}

func TestNobodyGrantsARoleToThemselves(t *testing.T) {
	s := setup(t)
	_, err := s.client.CreateRoleGrant(s.as("guard"), create(&iamv1.RoleGrant{Subject: "guard", Role: "auditor"}))
	refused(t, err, apierr.Denied, "")
}

func TestOnlyTheSecurityAdministratorGrants(t *testing.T) {
	s := setup(t)
	for _, subject := range []string{"chief", "auditor", "stranger"} {
		_, err := s.client.CreateRoleGrant(s.as(subject), create(&iamv1.RoleGrant{Subject: "wu", Role: "auditor"}))
		refused(t, err, apierr.Denied, "")
	}
}

func TestNobodyHoldsTwoOfTheThreeAdministratorsRoles(t *testing.T) {
	s := setup(t)
	s.grant("keeper", "security_admin", "")
	for subject, others := range map[string][]string{
		"chief": {"security_admin", "auditor"}, "keeper": {"bureau_admin", "auditor"}, "auditor": {"bureau_admin", "security_admin"},
	} {
		for _, role := range others {
			_, err := s.client.CreateRoleGrant(s.as("guard"), create(&iamv1.RoleGrant{Subject: subject, Role: role}))
			refused(t, err, apierr.Conflict, "roleGrant.role")
		}
	}
	s.grant("chief", "station_head", s.station) // which is none of the three
	s.exec(`UPDATE {tenant}.role_grants SET expires_at = now() WHERE subject = 'auditor'`)
	s.grant("auditor", "bureau_admin", "")
}

func TestOfTwoAdministratorsRolesGivenAtOnceASubjectGetsOne(t *testing.T) {
	s := setup(t)
	for i := range 10 {
		subject, guard := "wu-"+strconv.Itoa(i), s.as("guard")
		answers := make(chan error)
		for _, role := range []string{"bureau_admin", "auditor"} {
			go func() {
				_, err := s.client.CreateRoleGrant(guard, create(&iamv1.RoleGrant{Subject: subject, Role: role}))
				answers <- err
			}()
		}
		one, other := <-answers, <-answers
		if one != nil {
			one, other = other, one
		}
		if one != nil {
			t.Fatal(one)
		}
		refused(t, other, apierr.Conflict, "roleGrant.role")
	}
}

func TestAGrantThatMakesNoSenseIsRefusedByItsField(t *testing.T) {
	s := setup(t)
	for name, tc := range map[string]struct {
		grant *iamv1.RoleGrant
		field string
	}{
		"no subject":         {&iamv1.RoleGrant{Role: "auditor"}, "roleGrant.subject"},
		"subject of a line":  {&iamv1.RoleGrant{Subject: "a\nb", Role: "auditor"}, "roleGrant.subject"},
		"subject before":     {&iamv1.RoleGrant{Subject: " wu", Role: "auditor"}, "roleGrant.subject"},
		"subject after":      {&iamv1.RoleGrant{Subject: "wu\u3000", Role: "auditor"}, "roleGrant.subject"},
		"subject of a space": {&iamv1.RoleGrant{Subject: " ", Role: "auditor"}, "roleGrant.subject"},
		"unknown role":       {&iamv1.RoleGrant{Subject: "wu", Role: "emperor"}, "roleGrant.role"},
		"everyone's role":    {&iamv1.RoleGrant{Subject: "wu", Role: "*"}, "roleGrant.role"},
		"station missing":    {&iamv1.RoleGrant{Subject: "wu", Role: "social_worker"}, "roleGrant.stationId"},
		"station too much":   {&iamv1.RoleGrant{Subject: "wu", Role: "auditor", StationId: s.station}, "roleGrant.stationId"},
		"station unknown":    {&iamv1.RoleGrant{Subject: "wu", Role: "social_worker", StationId: ids.New().String()}, "roleGrant.stationId"},
		"station malformed":  {&iamv1.RoleGrant{Subject: "wu", Role: "social_worker", StationId: "binjiang"}, "roleGrant.stationId"},
		"id malformed":       {&iamv1.RoleGrant{Id: "1", Subject: "wu", Role: "auditor"}, "roleGrant.id"},
		"already expired": {
			&iamv1.RoleGrant{Subject: "wu", Role: "auditor", ExpireTime: timestamppb.New(time.Now().Add(-time.Second))}, "roleGrant.expireTime",
		},
		"expiry beyond time": {
			&iamv1.RoleGrant{Subject: "wu", Role: "auditor", ExpireTime: &timestamppb.Timestamp{Seconds: 1 << 60}}, "roleGrant.expireTime",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.client.CreateRoleGrant(s.as("guard"), create(tc.grant))
			refused(t, err, apierr.Invalid, tc.field)
		})
	}
}

func TestAGrantIsGivenOnceAndAgainAfterItsEnd(t *testing.T) {
	s := setup(t)
	first := s.grant("wu", "social_worker", s.station)
	again := create(&iamv1.RoleGrant{Subject: "wu", Role: "social_worker", StationId: s.station})
	_, err := s.client.CreateRoleGrant(s.as("guard"), again)
	refused(t, err, apierr.AlreadyExists, "")
	s.exec(`UPDATE {tenant}.role_grants SET expires_at = now() WHERE id = $1`, first.GetId())
	ok(s.client.CreateRoleGrant(s.as("guard"), again))(t)
}

func TestAGrantEndsByItself(t *testing.T) {
	s := setup(t)
	given := create(&iamv1.RoleGrant{Subject: "wu", Role: "auditor", ExpireTime: timestamppb.New(time.Now().Add(time.Hour))})
	grant := ok(s.client.CreateRoleGrant(s.as("guard"), given))(t)
	s.await("wu", "auditEvents:list tenant", true)
	// Only now, so that it cannot end before it was seen, however slow the machine.
	end := time.Now().Add(300 * time.Millisecond)
	s.exec(`UPDATE {tenant}.role_grants SET expires_at = $2 WHERE id = $1`, grant.GetId(), end)
	s.await("wu", "auditEvents:list tenant", false)
	if time.Now().Before(end) {
		t.Error("it ended early")
	}
}

func TestARepeatedRequestGivesTheSameGrant(t *testing.T) {
	s := setup(t)
	req := create(&iamv1.RoleGrant{Subject: "wu", Role: "auditor"})
	req.RequestId = "once"
	first, second := ok(s.client.CreateRoleGrant(s.as("guard"), req))(t), ok(s.client.CreateRoleGrant(s.as("guard"), req))(t)
	if !proto.Equal(first, second) {
		t.Errorf("got %v and %v", first, second)
	}
}

func TestTheGrantsOfOneSubjectAreBounded(t *testing.T) {
	s := setup(t)
	s.exec(`INSERT INTO {tenant}.roles (name, title_zh, title_en) SELECT 'extra_' || n, '其他', 'Extra' FROM generate_series(1, 100) n`)
	s.exec(`INSERT INTO {tenant}.role_grants (id, subject, role, created_by)
		SELECT gen_random_uuid(), 'wu', 'extra_' || n, 'test' FROM generate_series(1, 100) n`)
	_, err := s.client.CreateRoleGrant(s.as("guard"), create(&iamv1.RoleGrant{Subject: "wu", Role: "auditor"}))
	refused(t, err, apierr.Conflict, "")
}

func TestGrantsAreListedPageByPage(t *testing.T) {
	s := setup(t)
	for i := range 5 {
		s.grant("worker-"+strconv.Itoa(i), "social_worker", s.station)
	}
	seen := map[string]bool{}
	req := &iamv1.ListRoleGrantsRequest{PageSize: 2, Role: "social_worker"}
	for pages := 1; ; pages++ {
		page := ok(s.client.ListRoleGrants(s.as("auditor"), req))(t)
		for _, g := range page.GetRoleGrants() {
			seen[g.GetSubject()] = true
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			if len(seen) != 5 || pages != 3 {
				t.Errorf("%d grants on %d pages", len(seen), pages)
			}
			break
		}
	}
	for name, tc := range map[string]struct {
		req  *iamv1.ListRoleGrantsRequest
		want int
	}{
		"all":        {&iamv1.ListRoleGrantsRequest{}, 8},
		"a subject":  {&iamv1.ListRoleGrantsRequest{Subject: "worker-3"}, 1},
		"a station":  {&iamv1.ListRoleGrantsRequest{StationId: s.station}, 5},
		"no station": {&iamv1.ListRoleGrantsRequest{StationId: ids.New().String()}, 0},
	} {
		if got := ok(s.client.ListRoleGrants(s.as("guard"), tc.req))(t); len(got.GetRoleGrants()) != tc.want {
			t.Errorf("%s: %d grants, want %d", name, len(got.GetRoleGrants()), tc.want)
		}
	}
	_, err := s.client.ListRoleGrants(s.as("guard"), &iamv1.ListRoleGrantsRequest{PageToken: "forged"})
	refused(t, err, apierr.Invalid, "pageToken")
}

func TestAGrantOfAnotherTenantDoesNotExist(t *testing.T) {
	a, b := setup(t), setup(t)
	grant := a.grant("wu", "auditor", "")
	_, err := b.client.GetRoleGrant(b.as("guard"), &iamv1.GetRoleGrantRequest{Id: grant.GetId()})
	refused(t, err, apierr.NotFound, "")
	_, err = b.client.DeleteRoleGrant(b.as("guard"), &iamv1.DeleteRoleGrantRequest{Id: grant.GetId()})
	refused(t, err, apierr.NotFound, "")
	_, err = b.client.CreateRoleGrant(b.as("guard"), create(&iamv1.RoleGrant{Subject: "wu", Role: "social_worker", StationId: a.station}))
	refused(t, err, apierr.Invalid, "roleGrant.stationId")
}

func TestGrantsAreServedOverREST(t *testing.T) {
	s := setup(t)
	var grant struct{ ID, Role string }
	body := `{"subject":"wu","role":"social_worker","stationId":"` + s.station + `"}`
	if code := s.call("POST", "/v1/roleGrants", "guard", body, &grant); code != 200 || grant.Role != "social_worker" {
		t.Fatalf("created with %d %+v", code, grant)
	}
	if code := s.call("GET", "/v1/roleGrants/"+grant.ID, "auditor", "", &grant); code != 200 {
		t.Errorf("read with %d", code)
	}
	if code := s.call("DELETE", "/v1/roleGrants/"+grant.ID, "auditor", "", nil); code != 403 {
		t.Errorf("the auditor's delete: %d", code)
	}
	if code := s.call("DELETE", "/v1/roleGrants/"+grant.ID, "guard", "", nil); code/100 != 2 {
		t.Errorf("deleted with %d", code)
	}
	if code := s.call("GET", "/v1/roleGrants/"+grant.ID, "guard", "", nil); code != 404 {
		t.Errorf("read after the end with %d", code)
	}
}

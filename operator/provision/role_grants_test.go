package provision_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

func TestARoleIsGrantedOnceAndForGood(t *testing.T) {
	platform, name := testenv.Provisioned(t), testenv.NewTenant(t)
	stations := []provision.Station{{DivisionCode: "460107003", DisplayName: "滨江街道社工站"}}
	if _, err := platform.Provisioner.EnsureStations(t.Context(), name, time.Now(), stations); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), platform.SuperuserURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	held := func() []string {
		rows, err := conn.Query(t.Context(), `SELECT concat_ws(' ', g.subject, g.role, s.division_code, g.created_by, g.expires_at)
			FROM `+name.Schema()+`.role_grants g LEFT JOIN `+name.Schema()+`.stations s ON s.id = g.station_id ORDER BY 1`)
		if err != nil {
			t.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	want := []string{"lin social_worker 460107003 demo", "zhou bureau_admin demo"}
	for range 2 {
		for _, g := range []provision.RoleGrant{
			{Subject: "lin", Role: "social_worker", Station: "460107003", GrantedBy: "demo"},
			{Subject: "zhou", Role: "bureau_admin", GrantedBy: "demo"},
		} {
			if err := platform.Provisioner.GrantRole(t.Context(), name, g); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, held()); diff != "" {
			t.Error(diff)
		}
		if _, err := conn.Exec(t.Context(), `UPDATE `+name.Schema()+`.role_grants SET expires_at = now()`); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheAuditTrailTellsWhatWasDoneToThePolicy(t *testing.T) {
	p, name := testenv.Provisioned(t).Provisioner, testenv.NewTenant(t)
	conn := superuser(t)
	policy := func(grants ...provision.Grant) {
		t.Helper()
		if _, err := p.EnsureGrants(t.Context(), name, provision.Policy{Grants: grants}); err != nil {
			t.Fatal(err)
		}
	}
	zhang, wang := provision.Grant{Subject: "zhang", Role: "bureau_admin"}, provision.Grant{Subject: "wang", Role: "auditor"}
	for _, c := range []struct {
		act  func()
		want []string
	}{
		{func() { policy(zhang) }, []string{"circle15:operator GiveRole", "circle15:operator WritePolicy"}},
		{func() { policy(zhang) }, []string{}},
		{func() { policy(wang) }, []string{"circle15:operator GiveRole", "circle15:operator TakeRole", "circle15:operator WritePolicy"}},
		{func() {
			for range 2 { // the second changes nothing
				if err := p.GrantRole(t.Context(), name, provision.RoleGrant{Subject: "lin", Role: "auditor", GrantedBy: "demo"}); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{"demo GiveRole"}},
	} {
		before := value[int64](t, conn, `SELECT coalesce(max(id), 0) FROM `+name.Schema()+`.audit_events`)
		c.act()
		got := list(t, conn, `SELECT subject || replace(method, 'circle15.provision/', ' ') FROM `+name.Schema()+`.audit_events
			WHERE id > $1 AND outcome = 'OK' AND (resource_id <> '') = (method <> 'circle15.provision/WritePolicy') ORDER BY 1`, before)
		if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestARoleThatCannotBeGrantedIsRefused(t *testing.T) {
	provisioner, name := testenv.Provisioned(t).Provisioner, testenv.NewTenant(t)
	if err := provisioner.GrantRole(t.Context(), name, provision.RoleGrant{Subject: "zhou", Role: "bureau_admin", GrantedBy: "test"}); err != nil {
		t.Fatal(err)
	}
	for title, g := range map[string]provision.RoleGrant{
		"no subject":       {Role: "auditor"},
		"two duties":       {Subject: "zhou", Role: "auditor"},
		"unknown role":     {Subject: "lin", Role: "emperor"},
		"station missing":  {Subject: "lin", Role: "social_worker"},
		"station unknown":  {Subject: "lin", Role: "social_worker", Station: "460107003"},
		"station too much": {Subject: "lin", Role: "auditor", Station: "460107003"},
	} {
		if err := provisioner.GrantRole(t.Context(), name, g); provision.ReasonOf(err) != provision.InvalidSpec {
			t.Errorf("%s: %v", title, err)
		}
	}
	err := provisioner.GrantRole(t.Context(), "nowhere", provision.RoleGrant{Subject: "lin", Role: "auditor"})
	if provision.ReasonOf(err) != provision.NotFound {
		t.Errorf("no tenant: %v", err)
	}
}

package provision_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/divisions"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

// policyRows are the roles, rules and grants of a tenant, as text.
func policyRows(t testing.TB, name tenant.Name) []string {
	t.Helper()
	schema := name.Schema()
	return list(t, superuser(t), `SELECT concat_ws(' ', 'role', name, title_zh, title_en, standard) FROM `+schema+`.roles
		UNION ALL SELECT concat_ws(' ', 'rule', role, resource, action, level) FROM `+schema+`.role_rules
		UNION ALL SELECT concat_ws(' ', 'grant', g.subject, g.role, s.division_code, g.expires_at, g.created_by)
			FROM `+schema+`.role_grants g LEFT JOIN `+schema+`.stations s ON s.id = g.station_id ORDER BY 1`)
}

// governed is a tenant with an overlay, a station, and a role granted there.
func governed(t testing.TB) (tenant.Name, provision.Station) {
	t.Helper()
	var code string
	name := testenv.NewTenant(t, func(s *provision.Spec) {
		code = s.DivisionCode
		s.Policy = provision.Policy{
			Roles:  []authz.Role{{Name: "street_office", TitleZH: "街道办", TitleEN: "Street office"}},
			Rules:  []authz.Rule{{Role: "street_office", Resource: "stations", Action: "list", Level: authz.LevelTenant}},
			Grants: []provision.Grant{{Subject: "zhang.wei", Role: "bureau_admin"}},
		}
	})
	p := testenv.Provisioned(t).Provisioner
	station := provision.Station{DivisionCode: divisions.Children(code)[0].Code, DisplayName: "社工站"}
	if _, err := p.EnsureStations(t.Context(), name, time.Now(), []provision.Station{station}); err != nil {
		t.Fatal(err)
	}
	err := p.EnsureStationGrants(t.Context(), name, []provision.StationGrant{{Subject: "li.na", Role: "station_head", Station: station.DivisionCode}})
	if err != nil {
		t.Fatal(err)
	}
	return name, station
}

func TestAPolicyChangedByHandIsSeenAndRepaired(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	for damage, sql := range map[string]string{
		"a rule that is gone":                    `DELETE FROM {schema}.role_rules WHERE role = 'social_worker' AND resource = 'visits'`,
		"a rule that reaches further":            `UPDATE {schema}.role_rules SET level = 'tenant' WHERE role = 'social_worker' AND resource = 'residents'`,
		"a rule added to a standard role":        `INSERT INTO {schema}.role_rules VALUES ('volunteer_coordinator', 'grants', 'create', 'tenant')`,
		"all rules gone":                         `DELETE FROM {schema}.role_rules`,
		"all rules truncated":                    `TRUNCATE {schema}.role_rules`,
		"the whole policy truncated":             `TRUNCATE {schema}.roles CASCADE`,
		"a standard role gone with its rules":    `DELETE FROM {schema}.roles WHERE name = 'auditor'`,
		"a standard role that others may change": `UPDATE {schema}.roles SET standard = false WHERE name = 'bureau_admin'`,
		"a role of another name":                 `UPDATE {schema}.roles SET title_zh = '坏' WHERE name = 'bureau_admin'`,
		"a rule of the overlay gone":             `DELETE FROM {schema}.role_rules WHERE role = 'street_office'`,
		"a role of the overlay gone":             `DELETE FROM {schema}.roles WHERE name = 'street_office'`,
		"a grant gone":                           `DELETE FROM {schema}.role_grants WHERE subject = 'zhang.wei'`,
		"a grant with an end":                    `UPDATE {schema}.role_grants SET expires_at = now() WHERE subject = 'zhang.wei'`,
		"a grant to another":                     `UPDATE {schema}.role_grants SET subject = 'intruder' WHERE subject = 'zhang.wei'`,
		"a grant in the operator's name":         `INSERT INTO {schema}.role_grants (id, subject, role, created_by) VALUES (gen_random_uuid(), 'x', 'bureau_admin', 'circle15:operator')`,
		"a grant at a station gone":              `DELETE FROM {schema}.role_grants WHERE subject = 'li.na'`,
		"a grant at a station moved to all":      `UPDATE {schema}.role_grants SET station_id = NULL WHERE subject = 'li.na'`,
		"a grant at a station to another":        `UPDATE {schema}.role_grants SET subject = 'intruder' WHERE subject = 'li.na'`,
	} {
		t.Run(damage, func(t *testing.T) {
			name, _ := governed(t)
			want := policyRows(t, name)
			wantNoDrift(t, p, name)
			exec(t, superuser(t), name, sql)
			if cmp.Diff(want, policyRows(t, name)) == "" {
				t.Fatal("the damage does not show")
			}
			wantDrift(t, p, name, "policies")
			if _, err := p.Upgrade(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, policyRows(t, name)); diff != "" {
				t.Error(diff)
			}
			wantNoDrift(t, p, name)
		})
	}
}

func TestWhatATenantsAdministratorsAddIsNoDrift(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	name, station := governed(t)
	exec(t, superuser(t), name, `
		INSERT INTO {schema}.roles (name, title_zh, title_en) VALUES ('own_role', '自定', 'Own');
		INSERT INTO {schema}.role_rules VALUES ('own_role', 'stations', 'list', 'tenant'), ('street_office', 'staff', 'list', 'tenant');
		INSERT INTO {schema}.role_grants (id, subject, role, created_by) VALUES (gen_random_uuid(), 'wang.fang', 'own_role', 'zhang.wei');
		INSERT INTO {schema}.role_grants (id, subject, role, station_id, expires_at, created_by)
		SELECT gen_random_uuid(), 'wang.fang', 'social_worker', id, now() + interval '1 day', 'zhang.wei' FROM {schema}.stations`)
	want := policyRows(t, name)
	wantNoDrift(t, p, name)
	exec(t, superuser(t), name, `DELETE FROM {schema}.role_rules WHERE role = 'social_worker'`)
	wantDrift(t, p, name, "policies")
	if _, err := p.Upgrade(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	rows := policyRows(t, name)
	for _, row := range want {
		if !slices.Contains(rows, row) {
			t.Errorf("the repair took away %q", row)
		}
	}
	// The station's head keeps the role when the station closes, and it is not looked for at a station that is no more.
	exec(t, superuser(t), name, `UPDATE {schema}.stations SET closed_date = opened_date WHERE division_code = '`+station.DivisionCode+`'`)
	wantNoDrift(t, p, name)
	exec(t, superuser(t), name, `DELETE FROM {schema}.role_grants WHERE subject = 'li.na'`)
	wantNoDrift(t, p, name)
}

// A scan reads the policies of those tenants alone whose policies have changed since the last one.
func TestAPolicyIsLookedAtOnceForEachChange(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	name := testenv.NewTenant(t)
	unchecked := func() int {
		return value[int](t, superuser(t), `SELECT count(*)::int FROM circle15.policy_versions WHERE schema_name = $1 AND version <> checked`, name.Schema())
	}
	if unchecked() != 0 {
		t.Error("a new tenant's policy, which has just been written, is to be looked at")
	}
	exec(t, superuser(t), name, `INSERT INTO {schema}.role_grants (id, subject, role, created_by) VALUES (gen_random_uuid(), 'x', 'auditor', 'y')`)
	if unchecked() != 1 {
		t.Error("a change does not show in the control schema")
	}
	wantNoDrift(t, p, name)
	if unchecked() != 0 {
		t.Error("what was found good is to be looked at again")
	}
	exec(t, superuser(t), name, `DELETE FROM {schema}.role_rules WHERE role = 'auditor'`)
	for range 2 { // nothing is forgotten before it is mended
		wantDrift(t, p, name, "policies")
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

// tenantCommand runs "circle15 tenant" and returns what it printed.
func tenantCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newTenantCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func mustTenantCommand(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tenantCommand(t, args...)
	if err != nil {
		t.Fatalf("circle15 tenant %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func wantOutput(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("got %q, want %q in it", got, part)
		}
	}
}

func TestATenantIsCreatedListedShownSuspendedAndDeletedFromTheCommandLine(t *testing.T) {
	t.Setenv("CIRCLE15_OPERATOR_DATABASE_URL", testenv.Provisioned(t).OperatorURL)
	spec := testenv.NextSpec(t)
	name, code, parent := string(spec.Name), spec.DivisionCode, string(spec.Parent)
	create := []string{
		"create", name, "--level", "city", "--division", code, "--parent", parent, "--max-stations", "43", "--grant", "li=bureau_admin",
	}

	wantOutput(t, mustTenantCommand(t, create...), "tenant "+name+" active", "register", "policies")
	wantOutput(t, mustTenantCommand(t, create...), "unchanged")
	wantOutput(t, mustTenantCommand(t, "list", "--parent", parent), "NAME", name, code, "active")
	wantOutput(t, mustTenantCommand(t, "show", name), spec.Name.Schema(), "stations 43", "0001 initial", "Retain")

	var listed []provision.Tenant
	if err := json.Unmarshal([]byte(mustTenantCommand(t, "list", "-o", "json")), &listed); err != nil || len(listed) < 2 {
		t.Errorf("%d tenants listed, error %v", len(listed), err)
	}
	var one shown
	if err := json.Unmarshal([]byte(mustTenantCommand(t, "show", name, "-o", "json")), &one); err != nil {
		t.Fatal(err)
	}
	if one.Name != spec.Name || *one.Quotas.Stations != 43 || one.DisplayNameZh == "" || len(one.Migrations) == 0 || len(one.Drift) != 0 {
		t.Errorf("got %+v", one)
	}

	wantOutput(t, mustTenantCommand(t, "suspend", name), "suspended")
	wantOutput(t, mustTenantCommand(t, "list", "--state", "suspended"), name)
	wantOutput(t, mustTenantCommand(t, "resume", name), "active")
	wantOutput(t, mustTenantCommand(t, "upgrade", name), "unchanged")
	wantOutput(t, mustTenantCommand(t, "upgrade"), "0 upgraded")

	if _, err := tenantCommand(t, "delete", name); provision.ReasonOf(err) != provision.PolicyForbids {
		t.Errorf("deleting with the policy Retain: %v", err)
	}
	wantOutput(t, mustTenantCommand(t, "delete", name, "--retain"), "retained")
	mustTenantCommand(t, slices.Concat(create, []string{"--deletion-policy", "Delete"})...)
	wantOutput(t, mustTenantCommand(t, "delete", name), "deleted")
	if _, err := tenantCommand(t, "show", name); provision.ReasonOf(err) != provision.NotFound {
		t.Errorf("showing a deleted tenant: %v", err)
	}
}

func TestCreatingATenantAgainChangesOnlyWhatFlagsName(t *testing.T) {
	t.Setenv("CIRCLE15_OPERATOR_DATABASE_URL", testenv.Provisioned(t).OperatorURL)
	spec := testenv.NextSpec(t)
	name := string(spec.Name)
	place := []string{"create", name, "--level", "city", "--division", spec.DivisionCode}
	again := func(flags ...string) string {
		t.Helper()
		return mustTenantCommand(t, slices.Concat(place, flags)...)
	}
	shows := func() (s shown) {
		t.Helper()
		if err := json.Unmarshal([]byte(mustTenantCommand(t, "show", name, "-o", "json")), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	again("--parent", string(spec.Parent), "--name-zh", "某市", "--name-en", "Some City", "--deletion-policy", "Delete",
		"--max-stations", "43", "--max-staff", "129", "--grant", "li=bureau_admin", "--grant", "wang=security_admin")
	made := shows()

	wantOutput(t, again(), "unchanged")
	if diff := cmp.Diff(made.Tenant, shows().Tenant, cmpopts.IgnoreUnexported(provision.Tenant{})); diff != "" {
		t.Errorf("without a flag: %s", diff)
	}
	wantOutput(t, again("--max-staff", "200", "--max-stations", "unlimited", "--grant", "zhao=auditor", "--grant", "li=bureau_admin"),
		`changed: quotas from "stations 43, staff 129" to "staff 200"`, "changed: auditor given to zhao\n")
	wantOutput(t, again("--revoke", "wang=security_admin", "--name-en", ""),
		"changed: security_admin taken from wang\n", `changed: English name from "Some City" to ""`)
	staff := int32(200)
	want := made.Tenant
	want.DisplayNameEn, want.Quotas = "", provision.Quotas{Staff: &staff}
	want.Policy.Grants = []provision.Grant{{Subject: "li", Role: "bureau_admin"}, {Subject: "zhao", Role: "auditor"}}
	ignore := cmpopts.IgnoreFields(provision.Tenant{}, "UpdatedAt")
	if diff := cmp.Diff(want, shows().Tenant, cmpopts.IgnoreUnexported(provision.Tenant{}), ignore); diff != "" {
		t.Errorf("with some flags: %s", diff)
	}
	mustTenantCommand(t, "delete", name)
}

func TestWrongTenantCommandsSayWhatIsWrong(t *testing.T) {
	url := testenv.Provisioned(t).OperatorURL
	spec := testenv.NextSpec(t)
	for want, args := range map[string][]string{
		"want table or json":                                  {"list", "-o", "xml"},
		"there is no tenant atlantis":                         {"show", "atlantis"},
		`required flag(s) "division", "level"`:                {"create", "x1"},
		"want SUBJECT=ROLE":                                   {"create", "x1", "--level", "province", "--division", "460000", "--grant", "li"},
		"want a number or unlimited":                          {"create", "x1", "--max-staff", "many"},
		"lower-case letters":                                  {"create", "X", "--level", "province", "--division", "460000"},
		"is not a division of the table":                      {"create", "x1", "--level", "city", "--parent", string(spec.Parent), "--division", "999999", "--name-zh", "无"},
		`--division: "999998" is not a division of the table`: {"create", "x1", "--level", "city", "--parent", string(spec.Parent), "--division", "999998"},
		"--max-staff: must not be negative":                   {"create", "x1", "--level", "province", "--division", "460000", "--max-staff", "-1"},
		"--grant: ":                                           {"create", "x1", "--level", "province", "--division", "460000", "--grant", "li=emperor"},
		`--level "planet": want province, city or`:            {"list", "--level", "planet"},
		`--state "odd": want active`:                          {"list", "--state", "odd"},
		"--parent: there is no tenant nowhere":                {"list", "--parent", "nowhere"},
		"there is no demo in":                                 {"list", "--operator-database-url=", "--data", t.TempDir()},
	} {
		t.Run(want, func(t *testing.T) {
			t.Setenv("CIRCLE15_OPERATOR_DATABASE_URL", url)
			if strings.Contains(want, "demo") {
				t.Setenv("CIRCLE15_OPERATOR_DATABASE_URL", "")
			}
			_, err := tenantCommand(t, args...)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
		})
	}
}

package provision_test

import (
	"strings"
	"testing"

	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

func TestIsolationIsProvenAndEveryKindOfLeakIsNamed(t *testing.T) {
	platform := testenv.Provisioned(t)
	one, other := testenv.NewTenant(t), testenv.NewTenant(t)
	p := platform.Provisioner
	if err := p.ProveIsolation(t.Context(), one); err != nil {
		t.Fatalf("a new tenant is not isolated: %v", err)
	}
	admin := superuser(t)
	for what, leak := range map[string]struct{ do, undo, named string }{
		"a schema": {
			"GRANT USAGE ON SCHEMA " + other.Schema() + " TO " + one.Role(),
			"REVOKE USAGE ON SCHEMA " + other.Schema() + " FROM " + one.Role(), "schema " + other.Schema(),
		},
		"a schema through PUBLIC": {
			"GRANT USAGE ON SCHEMA " + other.Schema() + " TO PUBLIC",
			"REVOKE USAGE ON SCHEMA " + other.Schema() + " FROM PUBLIC", "schema " + other.Schema(),
		},
		"a role that reaches nothing yet": {
			"CREATE ROLE idle_group; GRANT idle_group TO " + one.Role(), "DROP ROLE idle_group", "role idle_group",
		},
		"a table of the control schema": {
			"GRANT SELECT ON circle15.tenants TO " + one.Role(), "REVOKE SELECT ON circle15.tenants FROM " + one.Role(), "table circle15.tenants",
		},
	} {
		exec(t, admin, one, leak.do)
		err := p.ProveIsolation(t.Context(), one)
		if provision.ReasonOf(err) != provision.NotIsolated || !strings.Contains(err.Error(), leak.named) {
			t.Errorf("%s: got %v, want a refusal that names %s", what, err, leak.named)
		}
		exec(t, admin, one, leak.undo)
	}
	if err := p.ProveIsolation(t.Context(), one); err != nil {
		t.Errorf("not isolated after all leaks were closed: %v", err)
	}
}

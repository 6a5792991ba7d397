package provision_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"circle15.dev/internal/tenant"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

func observe(t testing.TB, p *provision.Provisioner, name tenant.Name) *provision.Observation {
	t.Helper()
	observations, err := p.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range observations {
		if o.Name == name {
			return o
		}
	}
	t.Fatalf("%s was not observed", name)
	return nil
}

func wantDrift(t testing.TB, p *provision.Provisioner, name tenant.Name, steps ...string) {
	t.Helper()
	o := observe(t, p, name)
	if o.Stalled != nil {
		t.Errorf("%s is stalled: %v", name, o.Stalled)
	}
	if diff := cmp.Diff(steps, o.Drift); diff != "" {
		t.Errorf("drift of %s: %s; missing %v, wrong grants %v", name, diff, o.Missing, o.WrongGrants)
	}
}

func wantNoDrift(t testing.TB, p *provision.Provisioner, name tenant.Name) {
	t.Helper()
	wantDrift(t, p, name)
}

func TestWhatWasChangedByHandIsSeenAndRepaired(t *testing.T) {
	platform := testenv.Provisioned(t)
	p := platform.Provisioner
	other := testenv.NewTenant(t)
	exec(t, superuser(t), "x", "CREATE ROLE stranger")
	t.Cleanup(func() { exec(t, superuser(t), "x", "DROP OWNED BY stranger; DROP ROLE stranger") })
	for damage, c := range map[string]struct {
		sql   string
		drift string
	}{
		"a role that may log in":             {"ALTER ROLE {schema} LOGIN CREATEROLE", "role"},
		"a role without its group":           {"SET ROLE circle15_operator; REVOKE circle15_tenants FROM {schema}; RESET ROLE", "role"},
		"a role in another tenant's":         {"SET ROLE circle15_operator; GRANT " + other.Role() + " TO {schema}; RESET ROLE", "role"},
		"a stranger in the role":             {"SET ROLE circle15_operator; GRANT {schema} TO stranger; RESET ROLE", "membership"},
		"the services without the role":      {"SET ROLE circle15_operator; REVOKE {schema} FROM circle15_app; RESET ROLE", "membership"},
		"no usage of the schema":             {"REVOKE USAGE ON SCHEMA {schema} FROM {schema}", "grants"},
		"PUBLIC in the schema":               {"GRANT USAGE ON SCHEMA {schema} TO PUBLIC", "grants"},
		"a stranger in a table":              {"GRANT SELECT ON {schema}.residents TO stranger", "grants"},
		"a stranger in a column":             {"GRANT SELECT (name) ON {schema}.residents TO stranger", "grants"},
		"a grant that is gone":               {"REVOKE INSERT ON {schema}.visits FROM {schema}", "grants"},
		"a writable audit":                   {"GRANT UPDATE ON {schema}.audit_events TO {schema}", "grants"},
		"an audit with a time of choice":     {"GRANT INSERT (at) ON {schema}.audit_events TO {schema}", "grants"},
		"an audit as by an earlier release":  {"GRANT INSERT ON {schema}.audit_events TO {schema}", "grants"},
		"a function for everybody":           {"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO PUBLIC", "grants"},
		"an index that is gone":              {"DROP INDEX {schema}.visits_station, {schema}.residents_identity_number_key", "objects grants"},
		"an index that is invalid":           {"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{schema}.needs_station'::regclass", "objects grants"},
		"a constraint that is gone":          {"ALTER TABLE {schema}.cases DROP CONSTRAINT cases_stage_known", "objects grants"},
		"a primary key that is gone":         {"ALTER TABLE {schema}.visits DROP CONSTRAINT visits_pkey CASCADE", "objects grants"},
		"a trigger that is gone":             {"DROP TRIGGER role_rules_bump ON {schema}.role_rules", "objects grants"},
		"a trigger that is off":              {"ALTER TABLE {schema}.role_rules DISABLE TRIGGER role_rules_bump", "objects grants"},
		"a function and its triggers":        {"DROP FUNCTION {schema}.bump_policy_version() CASCADE", "objects grants"},
		"a function with another body":       {"CREATE OR REPLACE FUNCTION {schema}.bump_policy_version() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", "objects grants"},
		"a function without its path":        {"ALTER FUNCTION {schema}.bump_policy_version() RESET search_path", "objects grants"},
		"a function that lies about itself":  {"ALTER FUNCTION {schema}.bump_policy_version() IMMUTABLE", "objects grants"},
		"a default that is gone":             {"ALTER TABLE {schema}.cases ALTER COLUMN revision DROP DEFAULT", "objects grants"},
		"another default":                    {"ALTER TABLE {schema}.cases ALTER COLUMN revision SET DEFAULT 7", "objects grants"},
		"a check that checks nothing":        {"ALTER TABLE {schema}.cases DROP CONSTRAINT cases_stage_known, ADD CONSTRAINT cases_stage_known CHECK (stage <> '')", "objects grants"},
		"a reference to elsewhere":           {"ALTER TABLE {schema}.cases DROP CONSTRAINT cases_household_id_fkey, ADD CONSTRAINT cases_household_id_fkey FOREIGN KEY (household_id) REFERENCES {schema}.stations", "objects grants"},
		"a reference that deletes rows":      {"ALTER TABLE {schema}.cases DROP CONSTRAINT cases_household_id_fkey, ADD CONSTRAINT cases_household_id_fkey FOREIGN KEY (household_id) REFERENCES {schema}.households ON DELETE CASCADE", "objects grants"},
		"an index on part of the rows":       {"DROP INDEX {schema}.needs_station; CREATE INDEX needs_station ON {schema}.needs (station_id, id) WHERE revision > 3", "objects grants"},
		"a trigger that never fires":         {"DROP TRIGGER role_rules_bump ON {schema}.role_rules; CREATE TRIGGER role_rules_bump AFTER INSERT OR UPDATE OR DELETE ON {schema}.role_rules FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION {schema}.bump_policy_version()", "objects grants"},
		"a trigger that does something else": {"DROP TRIGGER role_rules_bump ON {schema}.role_rules; CREATE TRIGGER role_rules_bump AFTER INSERT OR UPDATE OR DELETE ON {schema}.role_rules FOR EACH STATEMENT EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()", "objects grants"},
		"the role dropped and its grants":    {"REVOKE {schema} FROM circle15_app; DROP OWNED BY {schema}; DROP ROLE {schema}", "role grants membership"},
	} {
		t.Run(damage, func(t *testing.T) {
			name := testenv.NewTenant(t)
			want := snapshot(t, name)
			exec(t, superuser(t), name, c.sql)
			if cmp.Diff(want, snapshot(t, name)) == "" {
				t.Fatal("the damage does not show")
			}
			wantDrift(t, p, name, strings.Fields(c.drift)...)
			if _, err := p.Upgrade(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sortedACLs(want), sortedACLs(snapshot(t, name))); diff != "" {
				t.Error(diff)
			}
			wantNoDrift(t, p, name)
		})
	}
}

// sortedACLs puts the entries of access lists in order: a repair may grant in another order.
func sortedACLs(lines []string) []string {
	sorted := slices.Clone(lines)
	for i, line := range sorted {
		if open, end := strings.LastIndex(line, "{circle15"), strings.LastIndex(line, "}"); open >= 0 && end > open {
			entries := strings.Split(line[open+1:end], ",")
			slices.Sort(entries)
			sorted[i] = line[:open+1] + strings.Join(entries, ",") + line[end:]
		}
	}
	return sorted
}

func TestLostRowsStallATenantInsteadOfBeingMadeUp(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	for damage, sql := range map[string]string{
		"a table":  "DROP TABLE {schema}.residents CASCADE",
		"a column": "ALTER TABLE {schema}.residents DROP COLUMN phone",
		"a type":   "ALTER TABLE {schema}.residents ALTER COLUMN phone TYPE varchar(3)",
	} {
		t.Run(damage, func(t *testing.T) {
			name := testenv.NewTenant(t)
			exec(t, superuser(t), name, sql)
			o := observe(t, p, name)
			if o.Stalled == nil || o.Stalled.Reason != provision.DataLost || !strings.Contains(o.Stalled.Message, "residents") {
				t.Errorf("got %v", o.Stalled)
			}
			_, err := p.Upgrade(t.Context(), name)
			wantReason(t, err, provision.DataLost)
			if _, err := p.Suspend(t.Context(), name); err != nil { // what can be done is done
				t.Error(err)
			}
		})
	}
}

func TestAnObjectOfOthersIsReportedAndLeftAlone(t *testing.T) {
	p, name := testenv.Provisioned(t).Provisioner, testenv.NewTenant(t)
	exec(t, superuser(t), name, "CREATE TABLE {schema}.notes (i int)")
	o := observe(t, p, name)
	if len(o.Drift) != 0 || len(o.Unknown) != 2 { // the table and its column
		t.Errorf("drift %v, unknown %v", o.Drift, o.Unknown)
	}
	if _, err := p.Upgrade(t.Context(), name); err != nil {
		t.Error(err)
	}
	if n := value[int](t, superuser(t), `SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename = 'notes'`, name.Schema()); n != 1 {
		t.Error("the table is gone")
	}
}

func TestARightThatTheOperatorMayNotTakeBackIsAPermanentError(t *testing.T) {
	p, name := testenv.Provisioned(t).Provisioner, testenv.NewTenant(t)
	exec(t, superuser(t), name, "ALTER ROLE {schema} SUPERUSER")
	wantDrift(t, p, name, "role")
	_, err := p.Upgrade(t.Context(), name)
	wantReason(t, err, provision.PermissionDenied)
	exec(t, superuser(t), name, "ALTER ROLE {schema} NOSUPERUSER")
}

func TestAGrantThatTheOperatorMayNotTakeBackIsAPermanentError(t *testing.T) {
	platform := testenv.Provisioned(t)
	super := superuser(t)
	if value[int](t, super, `SELECT current_setting('server_version_num')::int`) < 160000 {
		t.Skip("before PostgreSQL 16 every CREATEROLE role takes any membership back")
	}
	name := testenv.NewTenant(t)
	exec(t, super, name, "CREATE ROLE intruder; GRANT {schema} TO intruder")
	defer exec(t, super, name, "DROP ROLE intruder")
	wantDrift(t, platform.Provisioner, name, "membership")
	_, err := platform.Provisioner.Upgrade(t.Context(), name)
	wantReason(t, err, provision.PermissionDenied)
}

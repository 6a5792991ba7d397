package provision

import (
	"slices"
	"strings"

	"github.com/google/uuid"
)

// goal is what an operation wants of a tenant.
type goal struct {
	spec     Spec
	tenantID uuid.UUID
	state    State // StateActive, StateSuspended or StateRetained
}

// plan collects what the steps need done: DDL, sent first and as one batch of text, then statements with parameters.
type plan struct {
	ref        *reference // for the steps that compare; else nil
	ddl        strings.Builder
	statements []statement
	did        []string // labels of the steps that had something to do
}

func (w *plan) exec(ddl ...string) {
	for _, s := range ddl {
		w.ddl.WriteString(s)
		w.ddl.WriteString(";\n")
	}
}

func (w *plan) bind(statements ...statement) { w.statements = append(w.statements, statements...) }

// step compares a goal with what exists and writes what is missing into the plan; nothing, where nothing is. A step
// may rely on the ones before it, done in the same transaction or an earlier one.
type step struct {
	label string
	plan  func(p *Provisioner, w *plan, g goal, have *Observation) error
}

// steps in their order. A tenant is usable only after the last one.
var steps = []step{
	{"register", planRegister},
	{"role", planRole},
	{"schema", planSchema},
	{"migrate", planMigrate},
	{"objects", planObjects},
	{"grants", planGrants},
	{"policies", planPolicies},
	{"membership", planMembership},
	{"state", planState},
}

// compares says whether the step looks at the difference from the reference.
func (s step) compares() bool { return s.label == "objects" || s.label == "grants" }

// Steps are the labels of the steps that make a tenant, in order.
func Steps() []string {
	labels := make([]string, len(steps))
	for i, s := range steps {
		labels[i] = s.label
	}
	return labels
}

// planRegister writes the control row.
func planRegister(_ *Provisioner, w *plan, g goal, have *Observation) error {
	switch {
	case have.Tenant == nil:
		w.bind(insertTenant(g.spec, g.tenantID))
	case !sameRecord(have.Tenant, g.spec):
		w.bind(updateTenant(g.spec))
	}
	return nil
}

func sameRecord(t *Tenant, s Spec) bool {
	return t.DisplayNameZh == s.DisplayNameZh && t.DisplayNameEn == s.DisplayNameEn && t.DeletionPolicy == s.DeletionPolicy &&
		t.StandardsPack == s.StandardsPack && sameQuota(t.Quotas.Stations, s.Quotas.Stations) && sameQuota(t.Quotas.Staff, s.Quotas.Staff) &&
		sameQuota(t.Quotas.Residents, s.Quotas.Residents) && sameQuota(t.Quotas.RequestsPerSecond, s.Quotas.RequestsPerSecond)
}

func sameQuota(a, b *int32) bool { return a == b || a != nil && b != nil && *a == *b }

// planRole makes the tenant's role: no login, no right but those granted to it, member of the tenants' group alone.
func planRole(p *Provisioner, w *plan, g goal, have *Observation) error {
	role := ident(g.spec.Name.Role())
	switch {
	case !have.RoleExists:
		w.exec("CREATE ROLE "+role+" NOLOGIN", "COMMENT ON ROLE "+role+" IS "+p.markOf(g, 0))
	case !have.RolePlain:
		w.exec("ALTER ROLE " + role + " " + strings.Join(have.roleAlter, " "))
	}
	if !slices.ContainsFunc(have.RoleGroups, func(m Membership) bool { return m.Role == TenantsRole }) {
		w.exec("GRANT " + ident(TenantsRole) + " TO " + role)
	}
	for _, group := range have.RoleGroups {
		if group.Role != TenantsRole {
			w.exec(p.revokeMembership(group.Role, g.spec.Name.Role(), group.Grantor))
		}
	}
	return nil
}

// markOf is the ownership mark of the goal's tenant as an SQL string.
func (p *Provisioner) markOf(g goal, version int) string {
	return literal(mark{Installation: p.installation, Tenant: g.tenantID, Version: version}.comment())
}

// planSchema makes the schema with its ownership mark. A schema that the control schema knows to have been migrated held
// rows: an empty one in its place would look as if they were there.
func planSchema(p *Provisioner, w *plan, g goal, have *Observation) error {
	switch {
	case have.SchemaExists:
		return nil
	case have.Tenant != nil && have.Tenant.SchemaVersion > 0:
		return refuse(DataLost, "the schema of tenant %s is gone with its data: restore it from a backup, "+
			"or drop the tenant (deletion policy %s) and create it again, empty", g.spec.Name, Delete)
	}
	schema := ident(g.spec.Name.Schema())
	w.exec("CREATE SCHEMA "+schema, "COMMENT ON SCHEMA "+schema+" IS "+p.markOf(g, 0))
	return nil
}

// planMigrate runs the migrations that the schema lacks and records them in the ledger and in the mark.
func planMigrate(p *Provisioner, w *plan, g goal, have *Observation) error {
	version, latest := have.schemaVersion(), p.tenants.latest()
	if version > latest {
		return refuse(SchemaTooNew, "the schema of tenant %s has version %d, made by a newer release; this program knows %d",
			g.spec.Name, version, latest)
	}
	if version > 0 && (have.Tenant == nil || have.Tenant.SchemaVersion != version) { // the control row was lost and is made again
		w.bind(recordVersions(g.spec, 1, version)...)
	}
	if version == latest {
		return nil
	}
	schema := ident(g.spec.Name.Schema())
	w.exec(migrationDDL(g.spec.Name.Schema(), p.tenants.upgrade(version))...)
	w.exec("COMMENT ON SCHEMA " + schema + " IS " + p.markOf(g, latest))
	w.bind(recordVersions(g.spec, version+1, latest)...)
	return nil
}

// migrationDDL runs migrations in a schema. Names resolve there, after pg_catalog; temporary objects come last.
func migrationDDL(schema string, migrations []migration) []string {
	ddl := []string{"SET LOCAL search_path = " + ident(schema) + ", pg_temp"}
	for _, m := range migrations {
		ddl = append(ddl, m.sql)
	}
	return append(ddl, "SET LOCAL search_path = pg_catalog, pg_temp")
}

func recordVersions(s Spec, first, last int) []statement {
	return []statement{
		{`INSERT INTO circle15.tenant_migrations (tenant, version) SELECT $1, v FROM generate_series($2::int, $3::int) AS v
			ON CONFLICT DO NOTHING`, []any{string(s.Name), first, last}},
		{`UPDATE circle15.tenants SET schema_version = $2, updated_at = now() WHERE name = $1`, []any{string(s.Name), last}},
	}
}

// planObjects makes again what was dropped by hand and can be made from nothing: indexes, constraints, functions, triggers.
func planObjects(_ *Provisioner, w *plan, g goal, have *Observation) error {
	return planRepair(w, g.spec.Name, have.Missing)
}

// planPolicies writes the standard roles and rules and the tenant's own, when either has changed, or rows of them have;
// where the control schema has lost the policy's version, it is told again.
func planPolicies(p *Provisioner, w *plan, g goal, have *Observation) error {
	var before Policy
	var atStations []StationGrant
	if have.Tenant != nil {
		before, atStations = have.Tenant.Policy, have.Tenant.StationGrants
		if have.Tenant.policyDigest == g.spec.Policy.digest() && len(have.PolicyRows) == 0 {
			if have.Policies.Version == 0 && have.schemaVersion() == p.tenants.latest() {
				w.bind(tellPolicyVersion(g.spec.Name.Schema()))
			}
			return nil
		}
	}
	if have.SchemaExists {
		w.bind(writePolicy(g.spec, before, atStations)...)
	} else {
		w.bind(writeFirstPolicy(g.spec)...)
	}
	return nil
}

// planMembership lets the services become the tenant's role, or no longer.
func planMembership(p *Provisioner, w *plan, g goal, have *Observation) error {
	role, wanted := g.spec.Name.Role(), g.state == StateActive
	for _, member := range have.RoleMembers {
		if member.Role != AppRole || !wanted {
			w.exec(p.revokeMembership(role, member.Role, member.Grantor))
		}
	}
	isApp := func(m Membership) bool { return m.Role == AppRole }
	if wanted && (!slices.ContainsFunc(have.RoleMembers, isApp) || have.AppInherits) {
		w.exec(p.grantMembership(role, AppRole))
	}
	return nil
}

// grantMembership allows SET ROLE without inheriting the role's rights: on PostgreSQL 15 by the member's NOINHERIT, from
// 16 on by the membership's own options.
func (p *Provisioner) grantMembership(role, member string) string {
	ddl := "GRANT " + ident(role) + " TO " + ident(member)
	if p.serverVersion >= 160000 {
		ddl += " WITH INHERIT FALSE, SET TRUE"
	}
	return ddl
}

// revokeMembership names the grantor from PostgreSQL 16 on: there, without it, another grantor's grant would silently stay.
func (p *Provisioner) revokeMembership(role, member, grantor string) string {
	ddl := "REVOKE " + ident(role) + " FROM " + ident(member)
	if p.serverVersion >= 160000 {
		ddl += " GRANTED BY " + ident(grantor)
	}
	return ddl
}

// planState makes the tenant usable, or not, last of all.
func planState(_ *Provisioner, w *plan, g goal, have *Observation) error {
	if have.Tenant == nil || have.Tenant.State != g.state {
		w.bind(setState(g.spec.Name, g.state))
	}
	return nil
}

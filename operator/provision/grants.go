package provision

import (
	"slices"
	"strings"
)

// What the tenant's role may do with its tables: everything with rows (never TRUNCATE, REFERENCES or TRIGGER), but for
// these. A migration that renames or adds such a table edits these lists.
var (
	appendOnlyTables = []string{"audit_events", "service_facts"} // SELECT and INSERT: what happened stays
	readOnlyTables   = []string{"policy_version"}                // moved by a trigger alone
)

// aggregateFunctions may be executed by circle15_aggregate: they return sums and never a row of a person.
var aggregateFunctions = []string{"work_summary"}

// planGrants gives the tenant's role and the aggregate role what they need in the schema, and takes away the rest.
func planGrants(p *Provisioner, w *plan, g goal, have *Observation) error {
	migrated := have.schemaVersion() < p.tenants.latest()
	if !migrated && len(have.WrongGrants) == 0 && len(have.Missing) == 0 {
		return nil
	}
	schema, role := g.spec.Name.Schema(), g.spec.Name.Role()
	if have.SchemaExists {
		w.exec(revokeDDL(schema, append([]string{role, AppRole, AggregateRole, TenantsRole}, have.Grantees...))...)
	}
	w.exec(grantDDL(schema, role)...)
	return nil
}

func revokeDDL(schema string, from []string) []string {
	slices.Sort(from)
	grantees := "PUBLIC"
	for _, role := range slices.Compact(from) {
		if role != OperatorRole {
			grantees += ", " + ident(role)
		}
	}
	return []string{
		"REVOKE ALL ON SCHEMA " + ident(schema) + " FROM " + grantees,
		"REVOKE ALL ON ALL TABLES IN SCHEMA " + ident(schema) + " FROM " + grantees,
		"REVOKE ALL ON ALL SEQUENCES IN SCHEMA " + ident(schema) + " FROM " + grantees,
		"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA " + ident(schema) + " FROM " + grantees,
	}
}

// grantDDL assumes that nothing is granted yet. PUBLIC has nothing either: new schemas and tables give it nothing, and
// Bootstrap took the execution of new functions from it.
func grantDDL(schema, role string) []string {
	in := " IN SCHEMA " + ident(schema) + " TO " + ident(role)
	ddl := []string{
		"GRANT USAGE ON SCHEMA " + ident(schema) + " TO " + ident(role) + ", " + ident(AggregateRole),
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES" + in,
		"GRANT USAGE ON ALL SEQUENCES" + in,
		"GRANT EXECUTE ON ALL FUNCTIONS" + in,
		"REVOKE UPDATE, DELETE ON " + tables(schema, appendOnlyTables) + " FROM " + ident(role),
		"REVOKE INSERT, UPDATE, DELETE ON " + tables(schema, readOnlyTables) + " FROM " + ident(role),
	}
	return append(ddl, aggregateGrantDDL(schema))
}

// aggregateGrantDDL looks the functions up by name, because their parameters may change from release to release.
func aggregateGrantDDL(schema string) string {
	names := make([]string, len(aggregateFunctions))
	for i, name := range aggregateFunctions {
		names[i] = literal(name)
	}
	return `DO $grant$ DECLARE f regprocedure; BEGIN
	FOR f IN SELECT oid FROM pg_catalog.pg_proc WHERE pronamespace = ` + literal(schema) + `::regnamespace AND proname IN (` + strings.Join(names, ", ") + `) LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO ` + AggregateRole + `', f);
	END LOOP; END $grant$`
}

func tables(schema string, names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = ident(schema, name)
	}
	return strings.Join(quoted, ", ")
}

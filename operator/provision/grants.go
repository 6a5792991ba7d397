package provision

import (
	"slices"
	"strings"
)

// What the tenant's role may do with its tables: everything with rows (never TRUNCATE, REFERENCES or TRIGGER), but for
// these. A migration that renames or adds such a table edits these lists.
var (
	// SELECT and INSERT: what happened stays.
	appendOnlyTables = []string{"audit_events", "household_stays", "resident_stays", "service_facts"}
	readOnlyTables   = []string{"policy_version"} // moved by a trigger alone
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
		w.exec(revokeDDL(schema, w.ref.names, append([]string{role, AppRole, AggregateRole, TenantsRole}, have.Grantees...))...)
	}
	w.exec(grantDDL(schema, role, w.ref.names)...)
	return nil
}

// objectNames are what a schema of this release holds. Grants name every object: "ALL TABLES IN SCHEMA" reads the whole
// of pg_class several times over, which among 3,000 tenants takes longer than making a tenant.
type objectNames struct {
	tables    []string
	sequences []string
	functions []string // with the types of their parameters, quoted: `work_summary(date, date)`
}

func (n objectNames) in(schema string) (tables, sequences, functions string) {
	qualified := make([]string, len(n.functions))
	for i, f := range n.functions {
		qualified[i] = ident(schema) + "." + f
	}
	return qualify(schema, n.tables), qualify(schema, n.sequences), strings.Join(qualified, ", ")
}

// having are those of the tables that a schema of this release has: the lists above are of the newest.
func (n objectNames) having(tables []string) []string {
	return slices.DeleteFunc(slices.Clone(tables), func(table string) bool { return !slices.Contains(n.tables, table) })
}

func qualify(schema string, names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = ident(schema, name)
	}
	return strings.Join(quoted, ", ")
}

func revokeDDL(schema string, names objectNames, from []string) []string {
	from = slices.DeleteFunc(from, func(role string) bool { return role == OperatorRole })
	slices.Sort(from)
	from = slices.Compact(from)
	quoted := append(make([]string, 0, 1+len(from)), "PUBLIC")
	for _, role := range from {
		quoted = append(quoted, ident(role))
	}
	grantees := strings.Join(quoted, ", ")
	tables, sequences, functions := names.in(schema)
	ddl := []string{"REVOKE ALL ON SCHEMA " + ident(schema) + " FROM " + grantees, "REVOKE ALL ON TABLE " + tables + " FROM " + grantees}
	if sequences != "" {
		ddl = append(ddl, "REVOKE ALL ON SEQUENCE "+sequences+" FROM "+grantees)
	}
	if functions != "" {
		ddl = append(ddl, "REVOKE ALL ON FUNCTION "+functions+" FROM "+grantees)
	}
	return ddl
}

// grantDDL assumes that nothing is granted yet. PUBLIC has nothing either: new schemas and tables give it nothing, and
// Bootstrap took the execution of new functions from it.
func grantDDL(schema, role string, names objectNames) []string {
	tables, sequences, functions := names.in(schema)
	to := " TO " + ident(role)
	ddl := []string{
		"GRANT USAGE ON SCHEMA " + ident(schema) + " TO " + ident(role) + ", " + ident(AggregateRole),
		"GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE " + tables + to,
		"REVOKE UPDATE, DELETE ON TABLE " + qualify(schema, names.having(appendOnlyTables)) + " FROM " + ident(role),
		"REVOKE INSERT, UPDATE, DELETE ON TABLE " + qualify(schema, names.having(readOnlyTables)) + " FROM " + ident(role),
	}
	if sequences != "" {
		ddl = append(ddl, "GRANT USAGE ON SEQUENCE "+sequences+to)
	}
	if functions != "" {
		ddl = append(ddl, "GRANT EXECUTE ON FUNCTION "+functions+to)
	}
	for _, f := range names.functions {
		if name, _, _ := strings.Cut(f, "("); slices.Contains(aggregateFunctions, name) {
			ddl = append(ddl, "GRANT EXECUTE ON FUNCTION "+ident(schema)+"."+f+" TO "+ident(AggregateRole))
		}
	}
	return ddl
}

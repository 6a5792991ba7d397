package provision

import (
	"slices"
	"strings"
)

// What the tenant's role may do with its tables: everything with rows (never TRUNCATE, REFERENCES or TRIGGER), but for
// these. A migration that renames or adds such a table, or a column of an append-only one, edits these lists.
var (
	// SELECT, and INSERT of the columns: what happened stays, and the server alone says when it did and in which order.
	appendOnlyTables = map[string][]string{
		"audit_events":    {"subject", "method", "resource_id", "outcome", "trace_id"},
		"household_stays": {"household_id", "station_id", "last_date"},
		"resident_stays":  {"resident_id", "household_id", "last_date"},
		"service_facts": {
			"measure", "fact_date", "station_id", "staff_id", "domain", "household_id", "resident_id", "amount", "source_type", "source_id",
			"reverses",
		},
	}
	readOnlyTables = []string{"policy_version"} // moved by a trigger alone
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
	to := " TO " + ident(role)
	ddl := []string{"GRANT USAGE ON SCHEMA " + ident(schema) + " TO " + ident(role) + ", " + ident(AggregateRole)}
	ordinary := make([]string, 0, len(names.tables))
	for _, table := range names.tables {
		switch only, isAppendOnly := appendOnlyTables[table]; {
		case isAppendOnly:
			ddl = append(ddl, "GRANT SELECT, INSERT ("+strings.Join(only, ", ")+") ON TABLE "+ident(schema, table)+to)
		case slices.Contains(readOnlyTables, table):
			ddl = append(ddl, "GRANT SELECT ON TABLE "+ident(schema, table)+to)
		default:
			ordinary = append(ordinary, table)
		}
	}
	ddl = append(ddl, "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "+qualify(schema, ordinary)+to)
	_, sequences, functions := names.in(schema)
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

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"circle15.dev/internal/divisions"
	"circle15.dev/operator/provision"
)

// printResult prints the tenant and what was done; as a table also what was changed of it, where there is something.
func (o *tenantOptions) printResult(w io.Writer, r provision.Result, changed ...string) error {
	if o.output == "json" {
		return printJSON(w, r.Tenant)
	}
	did := "unchanged"
	if len(r.Did) > 0 {
		did = "done: " + strings.Join(r.Did, ", ")
	}
	lines := []string{fmt.Sprintf("tenant %s %s (schema version %d; %s)", r.Tenant.Name, r.Tenant.State, r.Tenant.SchemaVersion, did)}
	for _, c := range changed {
		lines = append(lines, "changed: "+c)
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// printTable puts the Chinese name last, where its double-width characters disturb no column.
func printTable(w io.Writer, tenants []provision.Tenant) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(table, "NAME\tLEVEL\tPARENT\tDIVISION\tSTATE\tVERSION\tDISPLAY NAME"); err != nil {
		return err
	}
	for _, t := range tenants {
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n",
			t.Name, t.Level, cmp.Or(string(t.Parent), "-"), t.DivisionCode, t.State, t.SchemaVersion, t.DisplayNameZh); err != nil {
			return err
		}
	}
	return table.Flush()
}

func printShown(w io.Writer, s shown) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) string { return name + ":\t" + cmp.Or(value, "-") }
	lines := []string{
		line("Name", string(s.Name)),
		line("Display name", strings.TrimSpace(s.DisplayNameZh+" "+s.DisplayNameEn)),
		line("Level", string(s.Level)),
		line("Parent", string(s.Parent)),
		line("Division", s.DivisionCode+" "+divisions.Path(s.DivisionCode)),
		line("State", string(s.State)),
		line("Schema", s.Schema),
		line("Schema version", fmt.Sprint(s.SchemaVersion)),
		line("Deletion policy", string(s.DeletionPolicy)),
		line("Quotas", s.Quotas.String()),
		line("Created", s.CreatedAt.Format("2006-01-02 15:04:05 MST")),
		line("Drift", strings.Join(s.Drift, ", ")),
		line("Problem", s.Problem),
	}
	if _, err := fmt.Fprintln(table, strings.Join(lines, "\n")); err != nil {
		return err
	}
	for _, m := range s.Migrations {
		text := fmt.Sprintf("%04d %s, %s", m.Version, m.Name, m.AppliedAt.Format("2006-01-02 15:04:05 MST"))
		if _, err := fmt.Fprintln(table, line("Migration", text)); err != nil {
			return err
		}
	}
	return table.Flush()
}

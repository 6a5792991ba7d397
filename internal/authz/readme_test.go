package authz_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"circle15.dev/internal/authz"
)

var update = flag.Bool("update", false, "write the table of roles into README.md")

const (
	tableBegin = "<!-- The table is written by: go test ./internal/authz -run README -update -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

func TestTheREADMEShowsTheStandardRoles(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), tableBegin)
	table, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatal("README.md has no place for the table")
	}
	want := rolesTable()
	if *update {
		if err := os.WriteFile("README.md", []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("run with -update: %s", diff)
	}
}

// rolesTable has a row for the actions of a resource that all roles may take alike.
func rolesTable() string {
	level := map[string]authz.Level{}
	for _, r := range authz.StandardRules() {
		level[r.Role+" "+r.Resource+":"+r.Action] = r.Level
	}
	var b strings.Builder
	b.WriteString("| resource | actions |")
	for _, r := range authz.StandardRoles() {
		fmt.Fprintf(&b, " %s |", r.Name)
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(authz.StandardRoles())) + "\n")

	type row struct{ resource, actions, cells string }
	var rows []row
	for _, p := range authz.Permissions() {
		var cells strings.Builder
		for _, r := range authz.StandardRoles() {
			if p.Resource == "me" {
				cells.WriteString(" everyone |")
				continue
			}
			fmt.Fprintf(&cells, " %s |", level[r.Name+" "+p.String()])
		}
		if last := len(rows) - 1; last >= 0 && rows[last].resource == p.Resource && rows[last].cells == cells.String() {
			rows[last].actions += " " + p.Action
			continue
		}
		rows = append(rows, row{p.Resource, p.Action, cells.String()})
	}
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s |%s\n", r.resource, r.actions, r.cells)
	}
	return b.String()
}

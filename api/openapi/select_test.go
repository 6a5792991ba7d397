package openapi_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"circle15.dev/api/openapi"
)

func TestASelectionOfAllIsTheDescription(t *testing.T) {
	got, err := openapi.Select(func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(openapi.YAML), string(got)); diff != "" {
		t.Errorf("(-generated +selected)\n%s", diff)
	}
}

func TestASelectionHasWhatItsOperationsNeedAndNoMore(t *testing.T) {
	text, err := openapi.Select(func(id string) bool { return id == "GetWorkSummary" || id == "GetVisit" })
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths      map[string]map[string]any
		Tags       []struct{ Name string }
		Groups     []struct{ Name string } `yaml:"x-tagGroups"`
		Components map[string]map[string]any
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	routes := 0
	for path, methods := range doc.Paths {
		if routes += len(methods); methods["get"] == nil {
			t.Errorf("%s has %v", path, methods)
		}
	}
	if routes != 2 || len(doc.Tags) != 2 || len(doc.Groups) != 2 {
		t.Errorf("%d routes, tags %v, groups %v; want two of each", routes, doc.Tags, doc.Groups)
	}
	var schemas []string
	for name := range doc.Components["schemas"] {
		schemas = append(schemas, name)
	}
	slices.Sort(schemas)
	want := []string{"Problem", "Visit", "WorkGroup", "WorkMeasures", "WorkSummary"}
	for _, name := range want {
		if !slices.Contains(schemas, name) {
			t.Errorf("there is no schema %s", name)
		}
	}
	if slices.Contains(schemas, "Case") || slices.Contains(schemas, "ListVisitsResponse") {
		t.Errorf("schemas %v", schemas)
	}
	for kind, names := range map[string][]string{"securitySchemes": {"bearer"}, "parameters": {"Circle15-Tenant"}, "responses": {"Problem"}} {
		for _, name := range names {
			if doc.Components[kind][name] == nil {
				t.Errorf("there is no %s of %s", name, kind)
			}
		}
	}
	if doc.Components["parameters"]["Idempotency-Key"] != nil {
		t.Error("two reads have an idempotency key")
	}
}

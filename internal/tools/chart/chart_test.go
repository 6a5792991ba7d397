// Package chart tests what the chart renders. It stands with the chart's tools because it renders with Helm's own
// library, which the platform does not depend on.
package chart

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

const (
	root    = "../../.."
	release = "circle15"
)

// object is what the tests read of a rendered object.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Rules []struct {
			HTTP struct { // of an Ingress
				Paths []struct {
					Path     string
					PathType string `yaml:"pathType"`
					Backend  struct{ Service struct{ Name string } }
				}
			}
			Matches     []struct{ Path struct{ Type, Value string } } // of an HTTPRoute
			BackendRefs []struct{ Name string }                       `yaml:"backendRefs"`
		}
	}
}

// render renders the chart with the values, a YAML document.
func render(t *testing.T, values string) ([]object, error) {
	t.Helper()
	chart, err := loader.Load(filepath.Join(root, "charts", "circle15"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	all, err := chartutil.ToRenderValues(chart, set, chartutil.ReleaseOptions{Name: release, Namespace: "check", Revision: 1}, nil)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	var objects []object
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for document := range strings.SplitSeq(files[name], "\n---\n") {
			var o object
			if err := yaml.Unmarshal([]byte(document), &o); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			objects = append(objects, o)
		}
	}
	return objects, nil
}

func mustRender(t *testing.T, values string) []object {
	t.Helper()
	objects, err := render(t, values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// named is the only object of the kind and name.
func named(t *testing.T, objects []object, kind, name string) object {
	t.Helper()
	for _, o := range objects {
		if o.Kind == kind && o.Metadata.Name == name {
			return o
		}
	}
	t.Fatalf("no %s %s is rendered", kind, name)
	return object{}
}

// routing is the Services by prefixes of paths.
type routing map[string]string

// of is the Service of the longest prefix that matches the path segment by segment, as Ingress ("Prefix") and HTTPRoute
// ("PathPrefix") define it.
func (r routing) of(path string) string {
	for prefix := path; prefix != ""; prefix = prefix[:strings.LastIndexByte(prefix, '/')] {
		if service, ok := r[prefix]; ok {
			return service
		}
	}
	return r["/"]
}

func ingressRouting(t *testing.T, objects []object) routing {
	t.Helper()
	r := routing{}
	for _, rule := range named(t, objects, "Ingress", release).Spec.Rules {
		for _, p := range rule.HTTP.Paths {
			if p.PathType != "Prefix" {
				t.Errorf("the path %s has the type %s, want Prefix", p.Path, p.PathType)
			}
			r[p.Path] = p.Backend.Service.Name
		}
	}
	return r
}

func httpRouting(t *testing.T, objects []object) routing {
	t.Helper()
	r := routing{}
	for _, rule := range named(t, objects, "HTTPRoute", release).Spec.Rules {
		for _, m := range rule.Matches {
			if m.Path.Type != "PathPrefix" || len(rule.BackendRefs) != 1 {
				t.Errorf("the path %s has the type %s and %d backends, want PathPrefix and one", m.Path.Value, m.Path.Type, len(rule.BackendRefs))
				continue
			}
			r[m.Path.Value] = rule.BackendRefs[0].Name
		}
	}
	return r
}

// parameter is one in a path; the protos and the OpenAPI document name them differently.
var parameter = regexp.MustCompile(`\{[^}]+\}`)

// binding is a REST route in a proto.
var binding = regexp.MustCompile(`\b(?:get|put|post|delete|patch): "(/[^"]+)"`)

// contract is the service of every REST route, from the protos: a folder is a service.
func contract(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "proto", "circle15", "*", "v1", "*.proto"))
	if err != nil {
		t.Fatal(err)
	}
	routes := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range binding.FindAllStringSubmatch(string(text), -1) {
			routes[parameter.ReplaceAllString(found[1], "{}")] = filepath.Base(filepath.Dir(filepath.Dir(file)))
		}
	}
	return routes
}

// published are the paths of the OpenAPI document.
func published(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "api", "openapi", "circle15.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Paths map[string]yaml.Node }
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(document.Paths))
}

const allRoutes = `
services: {layout: perService}
ingress: {enabled: true}
httpRoute: {enabled: true, parentRefs: [{name: front}]}
`

func TestEveryRouteReachesTheServiceThatServesIt(t *testing.T) {
	objects := mustRender(t, allRoutes)
	owners := contract(t)
	paths := published(t)
	if len(paths) < 50 {
		t.Fatalf("the contract has %d paths only", len(paths))
	}
	for door, routing := range map[string]routing{"Ingress": ingressRouting(t, objects), "HTTPRoute": httpRouting(t, objects)} {
		for _, path := range paths {
			owner, known := owners[parameter.ReplaceAllString(path, "{}")]
			if !known {
				t.Errorf("no proto has the route %s", path)
			}
			asked := parameter.ReplaceAllString(path, "0199e9d2-5b1c-7d3e-8f00-000000000001")
			if got, want := routing.of(asked), release+"-"+owner; got != want {
				t.Errorf("the %s sends %s to %s, want %s", door, path, got, want)
			}
		}
		for _, page := range []string{"/", "/docs", "/openapi.yaml", "/issuer/keys"} {
			if got := routing.of(page); got != release+"-iam" {
				t.Errorf("the %s sends %s to %s, want %s-iam", door, page, got, release)
			}
		}
	}
}

func TestRoutesLeadToServicesThatExistInPathsThatEveryControllerTakes(t *testing.T) {
	// Some Ingress controllers refuse other characters in a path of the type Prefix.
	plain := regexp.MustCompile(`^/[A-Za-z0-9/_-]*$`)
	for _, layout := range []string{"single", "perService"} {
		objects := mustRender(t, strings.Replace(allRoutes, "perService", layout, 1))
		for _, routing := range []routing{ingressRouting(t, objects), httpRouting(t, objects)} {
			for path, service := range routing {
				if !plain.MatchString(path) {
					t.Errorf("the path %q is not plain", path)
				}
				named(t, objects, "Service", service)
				deployment := service
				if layout == "single" {
					deployment += "-services"
				}
				named(t, objects, "Deployment", deployment)
			}
		}
	}
}

func TestARouteWithoutAGatewayIsRefused(t *testing.T) {
	if _, err := render(t, "httpRoute: {enabled: true}"); err == nil || !strings.Contains(err.Error(), "httpRoute.parentRefs is empty") {
		t.Errorf("got %v, want a refusal that names httpRoute.parentRefs", err)
	}
}

func TestAMisspeltValueIsRefused(t *testing.T) {
	for _, values := range []string{"services: {layuot: single}", "services: {layout: several}", "services: {replicas: two}", "ingres: {}"} {
		if _, err := render(t, values); err == nil {
			t.Errorf("%s: accepted", values)
		}
	}
}

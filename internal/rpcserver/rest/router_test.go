package rest

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	registryv1 "circle15.dev/api/registry/v1"
)

// newRouter is a router of the routes, "GET /v1/needs/{id}".
func newRouter(t testing.TB, routes ...string) *router {
	t.Helper()
	var out router
	for _, text := range routes {
		method, template, _ := strings.Cut(text, " ")
		segments, verb, err := parseTemplate(template)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.add(&route{httpMethod: method, template: template, segments: segments, verb: verb, rpc: someRPC()}); err != nil {
			t.Fatal(err)
		}
	}
	return &out
}

func someRPC() protoreflect.MethodDescriptor {
	return registryv1.File_circle15_registry_v1_registry_proto.Services().Get(0).Methods().Get(0)
}

func TestAPathLeadsToItsRoute(t *testing.T) {
	r := newRouter(t,
		"GET /v1/visits", "POST /v1/visits", "POST /v1/visits:sync", "GET /v1/visits/{id}", "POST /v1/visits/{id}:complete",
		"GET /v1/groups/{group_id}/sessions", "GET /v1/reports/workSummary", "GET /v1/reports/{name}", "GET /v1/reports/{name}/rows",
		"GET /v1/reports/workSummary/{measure}/sourceRows",
	)
	for path, want := range map[string]struct {
		template string
		params   map[string]string
	}{
		"/v1/visits":                   {"/v1/visits", map[string]string{}},
		"/v1/visits:sync":              {"/v1/visits:sync", map[string]string{}},
		"/v1/visits/7":                 {"/v1/visits/{id}", map[string]string{"id": "7"}},
		"/v1/visits/7:complete":        {"/v1/visits/{id}:complete", map[string]string{"id": "7"}},
		"/v1/visits/a%3Ab":             {"/v1/visits/{id}", map[string]string{"id": "a:b"}},
		"/v1/visits/a%2Fb":             {"/v1/visits/{id}", map[string]string{"id": "a/b"}},
		"/v1/visits/%E4%BD%A0":         {"/v1/visits/{id}", map[string]string{"id": "你"}},
		"/v1/groups/7/sessions":        {"/v1/groups/{group_id}/sessions", map[string]string{"group_id": "7"}},
		"/v1/reports/workSummary":      {"/v1/reports/workSummary", map[string]string{}},
		"/v1/reports/other":            {"/v1/reports/{name}", map[string]string{"name": "other"}},
		"/v1/reports/workSummary/rows": {"/v1/reports/{name}/rows", map[string]string{"name": "workSummary"}},
		"/v1/reports/workSummary/cases/sourceRows": {
			"/v1/reports/workSummary/{measure}/sourceRows", map[string]string{"measure": "cases"},
		},
		"/":                      {},
		"":                       {},
		"/v1":                    {},
		"/v1/":                   {},
		"/v1/visits/":            {},
		"/v1//visits":            {},
		"/v1/visits:other":       {},
		"/v1/visits:":            {},
		"/v1/visits/7:other":     {},
		"/v1/visits/:complete":   {},
		"/v1/visits/7/more":      {},
		"/v1/groups//sessions":   {},
		"/v1/groups/7/sessions/": {},
		"/v2/visits":             {},
	} {
		u := &url.URL{RawPath: path}
		u.Path, _ = url.PathUnescape(path)
		found, ok := r.find(u)
		if ok != (want.template != "") {
			t.Errorf("%s: found %v", path, ok)
		}
		if !ok {
			continue
		}
		var rt *route
		for _, rt = range found.methods {
			break
		}
		if rt.template != want.template {
			t.Errorf("%s: %s, want %s", path, rt.template, want.template)
		}
		if diff := cmp.Diff(want.params, rt.params(found.values)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", path, diff)
		}
	}
}

func TestTwoMethodsCannotHaveOneRoute(t *testing.T) {
	r := newRouter(t, "GET /v1/visits/{id}")
	segments, verb, _ := parseTemplate("/v1/visits/{name}")
	if err := r.add(&route{httpMethod: "GET", template: "/v1/visits/{name}", segments: segments, verb: verb, rpc: someRPC()}); err == nil {
		t.Error("GET /v1/visits/{id} and GET /v1/visits/{name} were both taken")
	}
}

func TestATemplateOfAnotherShapeDoesNotStart(t *testing.T) {
	for _, template := range []string{"", "v1", "/v1/{name=visits/*}", "/v1/**", "/v1/*", "/v1//x", "/v1/{a}{b}", "/v1/{a", "/v1/a}", "/v1/{name=**}"} {
		if segments, verb, err := parseTemplate(template); err == nil {
			t.Errorf("%q: %v, %q", template, segments, verb)
		}
	}
}

func TestEveryParameterValueComesThroughThePath(t *testing.T) {
	r := newRouter(t, "GET /v1/visits/{id}", "POST /v1/visits/{id}:complete")
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringN(1, -1, 200).Draw(t, "id")
		suffix := rapid.SampledFrom([]string{"", ":complete"}).Draw(t, "suffix")
		escaped := strings.ReplaceAll(url.PathEscape(id), ":", "%3A")
		u, err := url.Parse("/v1/visits/" + escaped + suffix)
		if err != nil {
			t.Fatal(err)
		}
		found, ok := r.find(u)
		if !ok || len(found.values) != 1 || found.values[0] != id {
			t.Fatalf("%q came as %v, %v", id, found.values, ok)
		}
	})
}

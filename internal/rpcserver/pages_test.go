package rpcserver_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "circle15.dev/api/activities/v1"
	_ "circle15.dev/api/cases/v1"
	_ "circle15.dev/api/iam/v1"
	"circle15.dev/api/openapi"
	_ "circle15.dev/api/reporting/v1"
	_ "circle15.dev/api/visits/v1"
)

var paramPattern = regexp.MustCompile(`\{[^}]*\}`)

func TestTheDescriptionHasEveryRouteAndNoOther(t *testing.T) {
	described, routes := describedRoutes(t, openapi.YAML), routesOfTheProtos("")
	if diff := cmp.Diff(routes, described); diff != "" || len(routes) < 50 {
		t.Errorf("%d routes (-protos +description)\n%s", len(routes), diff)
	}
}

func TestAProcessDescribesTheServicesThatItRuns(t *testing.T) {
	s := start(t, options(echoing()))
	got := s.send("GET", "/openapi.yaml", "", headers{"Authorization": ""})
	if got.status != 200 || got.header.Get("Content-Type") != "application/yaml" {
		t.Fatalf("status %d, headers %v", got.status, got.header)
	}
	if diff := cmp.Diff(routesOfTheProtos("circle15.registry.v1.RegistryService"), describedRoutes(t, got.body)); diff != "" {
		t.Errorf("(-protos +description)\n%s", diff)
	}
}

// describedRoutes are the routes of a description, as "GET /v1/stations/{}", each of which must be described whole.
func describedRoutes(t *testing.T, text []byte) map[string]bool {
	t.Helper()
	var doc struct {
		OpenAPI string `yaml:"openapi"`
		Paths   map[string]map[string]struct {
			OperationID string         `yaml:"operationId"`
			Responses   map[string]any `yaml:"responses"`
			RequestBody *struct {
				Content map[string]struct {
					Example any `yaml:"example"`
				} `yaml:"content"`
			} `yaml:"requestBody"`
		} `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, operation := range methods {
			described[strings.ToUpper(method)+" "+paramPattern.ReplaceAllString(path, "{}")] = true
			if operation.Responses["401"] == nil || operation.Responses["default"] == nil {
				t.Errorf("%s does not describe its problems", operation.OperationID)
			}
			if operation.RequestBody != nil && operation.RequestBody.Content["application/json"].Example == nil {
				t.Errorf("%s has no example of a request", operation.OperationID)
			}
		}
	}
	return described
}

// routesOfTheProtos are the routes of a service, or without a name of all, as "GET /v1/stations/{}".
func routesOfTheProtos(service protoreflect.FullName) map[string]bool {
	routes := map[string]bool{}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			if service != "" && f.Services().Get(i).FullName() != service {
				continue
			}
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				rule, _ := proto.GetExtension(methods.Get(j).Options(), annotations.E_Http).(*annotations.HttpRule)
				for method, path := range map[string]string{
					"GET": rule.GetGet(), "POST": rule.GetPost(), "PATCH": rule.GetPatch(), "DELETE": rule.GetDelete(), "PUT": rule.GetPut(),
				} {
					if path != "" {
						routes[method+" "+paramPattern.ReplaceAllString(path, "{}")] = true
					}
				}
			}
		}
		return true
	})
	return routes
}

func TestTheAPIPageNeedsNothingOfAnotherHost(t *testing.T) {
	s := start(t, options(echoing()))
	for path, mediaType := range map[string]string{
		"/docs": "text/html; charset=utf-8", "/docs/init.js": "text/javascript; charset=utf-8", "/docs/redoc.js": "text/javascript; charset=utf-8",
	} {
		got := s.send("GET", path, "", headers{"Authorization": ""})
		if got.status != 200 || got.header.Get("Content-Type") != mediaType || len(got.body) == 0 {
			t.Errorf("%s: status %d, headers %v, %d bytes", path, got.status, got.header, len(got.body))
		}
		policy := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "http") || strings.Contains(policy, "*") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if path != "/docs/redoc.js" && strings.Contains(string(got.body), "//") {
			t.Errorf("%s names another host: %s", path, got.body)
		}
	}
	plain := s.send("GET", "/docs/redoc.js", "", headers{"Accept-Encoding": "identity"})
	if plain.header.Get("Content-Encoding") != "" || len(plain.body) < 500_000 {
		t.Errorf("uncompressed: %v, %d bytes", plain.header, len(plain.body))
	}
	if got := s.send("GET", "/", "", nil); got.status != 302 || got.header.Get("Location") != "/docs" {
		t.Errorf("the root: status %d to %q", got.status, got.header.Get("Location"))
	}
}

func TestAroundAPageOfAnotherPartThereAreProblemsAsElsewhere(t *testing.T) {
	o := options(echoing())
	o.Pages = map[string]http.Handler{"/issuer/keys": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("{}"))
	})}
	s := start(t, o)
	if got := s.send("GET", "/issuer/keys", "", nil); got.status != 200 || string(got.body) != "{}" {
		t.Errorf("the page: status %d: %s", got.status, got.body)
	}
	for _, path := range []string{"/issuer", "/issuer/", "/issuer/nothing", "/issuer//keys", "/issuer/keys/", "/issuer/../issuer/keys"} {
		if got := s.send("GET", path, "", nil); got.status != 404 || !strings.HasSuffix(got.problem(t).Type, "/not-found") {
			t.Errorf("%s: status %d", path, got.status)
		}
	}
	if got := s.send("POST", "/issuer/keys", "{}", nil); got.status != 405 || !strings.HasSuffix(got.problem(t).Type, "/method-not-allowed") {
		t.Errorf("writing: status %d", got.status)
	}
}

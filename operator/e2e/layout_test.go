//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
)

// everyServiceRunsByItself moves the release to a Deployment for each service, scaled by its load, and calls all of them
// as its Ingress routes.
func everyServiceRunsByItself(i *installation, chart, token string) {
	i.t.Helper()
	services := []string{"registry", "cases", "visits", "activities", "reporting", "iam"}
	i.helm(chart, "services.layout=perService", "services.autoscaling.enabled=true", "services.autoscaling.minReplicas=2", "ingress.enabled=true")
	for _, service := range services {
		name := release + "-" + service
		kubectl(i.t, "-n", namespace, "get", "poddisruptionbudget/"+name, "horizontalpodautoscaler/"+name)
		kubectl(i.t, "-n", namespace, "wait", "deployment/"+name, "--for=jsonpath={.status.availableReplicas}=2", "--timeout=90s")
	}
	routes := i.ingress()
	for _, c := range []struct {
		method, path, service string
		status                int
	}{
		{"GET", "/v1/stations", "registry", 200},
		{"GET", "/v1/cases", "cases", 200},
		{"GET", "/v1/visits", "visits", 200},
		{"POST", "/v1/visits:sync", "visits", 400}, // without visits
		{"GET", "/v1/activities", "activities", 200},
		{"GET", "/v1/groups", "activities", 200},
		{"GET", "/v1/reports/workSummary?from=2021-05-01&to=2021-10-01", "reporting", 200},
		{"GET", "/v1/me", "iam", 200},
		{"GET", "/v1/roles", "iam", 200},
	} {
		backend := routes.of(c.path)
		if want := release + "-" + c.service; backend != want {
			i.t.Errorf("the Ingress sends %s to %s, want %s", c.path, backend, want)
		}
		i.reach(backend)
		var body any
		if c.method == "POST" {
			body = map[string]any{}
		}
		i.expect(c.status, c.method, c.path, token, body)
	}
	i.t.Log("\n" + run(i.t, "", "helm", "test", release, "-n", namespace))
}

// routes are the Services of an Ingress by the prefixes of their paths.
type routes map[string]string

func (i *installation) ingress() routes {
	i.t.Helper()
	var found struct {
		Spec struct {
			Rules []struct {
				HTTP struct {
					Paths []struct {
						Path    string
						Backend struct{ Service struct{ Name string } }
					}
				}
			}
		}
	}
	out := kubectl(i.t, "-n", namespace, "get", "ingress", release, "-o", "json")
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		i.t.Fatal(err)
	}
	all := routes{}
	for _, rule := range found.Spec.Rules {
		for _, path := range rule.HTTP.Paths {
			all[path.Path] = path.Backend.Service.Name
		}
	}
	return all
}

// of is the Service of the longest prefix that matches the path segment by segment, as Kubernetes defines "Prefix".
func (r routes) of(path string) string {
	path, _, _ = strings.Cut(path, "?")
	for prefix := path; ; {
		if service, ok := r[prefix]; ok {
			return service
		}
		slash := strings.LastIndexByte(prefix, '/')
		if slash <= 0 {
			return r["/"]
		}
		prefix = prefix[:slash]
	}
}

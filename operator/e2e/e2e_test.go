//go:build e2e

package e2e

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const tenants = `
apiVersion: circle15.dev/v1alpha1
kind: Tenant
metadata: {name: hainan}
spec: {level: province, displayName: {zh: 海南省, en: Hainan}, divisionCode: "460000"}
---
apiVersion: circle15.dev/v1alpha1
kind: Tenant
metadata: {name: haikou}
spec:
  level: city
  parent: hainan
  displayName: {zh: 海口市, en: Haikou}
  divisionCode: "460100"
  stations: {fromDivisions: streets}
  policy: {grants: [{subject: haikou-bureau, role: bureau_admin}]}
---
apiVersion: circle15.dev/v1alpha1
kind: Tenant
metadata: {name: sanya}
spec:
  level: city
  parent: hainan
  displayName: {zh: 三亚市, en: Sanya}
  divisionCode: "460200"
  stations: {fromDivisions: townships}
  policy: {grants: [{subject: sanya-bureau, role: bureau_admin}]}
`

// TestAProvinceOnboardsTwoCitiesAndWorksWithThem is the life of an installation, step by step: each step builds on the
// one before it, as it does for the people who run one.
func TestAProvinceOnboardsTwoCitiesAndWorksWithThem(t *testing.T) {
	i := prepare(t)
	t.Cleanup(func() {
		_, _ = try("", "kubectl", "delete", "tenants", "--all", "--wait=false")
		_, _ = try("", "kubectl", "delete", "databaseclusters", "--all", "--wait=false")
		out, _ := try("", "kubectl", "get", "tenants,databaseclusters", "-o", "name")
		for name := range strings.FieldsSeq(out) { // the operator may be gone
			_, _ = try("", "kubectl", "patch", name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
		}
		_, _ = try("", "kubectl", "delete", "crd", "tenants.circle15.dev", "databaseclusters.circle15.dev", "--ignore-not-found")
	})
	packaged := t.TempDir()
	run(t, "", "helm", "package", filepath.Join("..", "..", "charts", "circle15"), "-d", packaged)
	chart := one(t, filepath.Join(packaged, "*.tgz"))
	i.helm(chart)
	i.reach(release)
	out := run(t, tenants, "kubectl", "apply", "-f", "-")
	t.Log(out)
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "tenant/hainan", "tenant/haikou", "tenant/sanya")
	t.Log("\n" + kubectl(t, "get", "tenants"))
	t.Log("\n" + run(t, "", "helm", "test", release, "-n", namespace))

	haikou, sanya := i.token("haikou-bureau", "haikou"), i.token("sanya-bureau", "sanya")
	station := bothCitiesAreServedApart(i, haikou, sanya)
	everyPodAcknowledgesAPolicy(i)
	aSuspendedCityIsRefusedAtOnce(i, sanya)
	anUpgradeUnderLoadFailsNoRequest(i, chart, haikou, station)
	podsComeAndGo(i, haikou, station)
	aChangedBinaryRunsWithoutANewPod(i, chart)
	everyServiceRunsByItself(i, chart, haikou)
	uninstallKeepsTheSchemas(i)
}

// bothCitiesAreServedApart returns the path of one of Haikou's stations.
func bothCitiesAreServedApart(i *installation, haikou, sanya string) string {
	i.t.Helper()
	ours := i.expect(200, "GET", query("/v1/stations", url.Values{"pageSize": {"100"}}), haikou, nil)["stations"].([]any)
	if len(ours) != 21 {
		i.t.Errorf("Haikou has %d stations, want 21", len(ours))
	}
	path := "/v1/stations/" + ours[0].(map[string]any)["id"].(string)
	i.expect(200, "GET", path, haikou, nil)
	i.expect(404, "GET", path, sanya, nil)
	theirs := i.expect(200, "GET", query("/v1/stations", url.Values{"pageSize": {"500"}}), sanya, nil)["stations"].([]any)
	for _, s := range theirs {
		if code := s.(map[string]any)["divisionCode"].(string); !strings.HasPrefix(code, "4602") {
			i.t.Errorf("Sanya sees station %s", code)
		}
	}
	i.expect(403, "GET", "/v1/stations", i.token("haikou-bureau", "sanya"), nil)
	summary := i.expect(200, "GET", "/v1/reports/workSummary?from=2020-01-01&to="+time.Now().UTC().Add(8*time.Hour).Format(time.DateOnly), haikou, nil)
	if n := summary["total"].(map[string]any)["stations"]; n != float64(21) {
		i.t.Errorf("the report counts %v stations, want 21", n)
	}
	return path
}

func aSuspendedCityIsRefusedAtOnce(i *installation, sanya string) {
	i.t.Helper()
	kubectl(i.t, "patch", "tenant", "sanya", "--type=merge", "-p", `{"spec":{"suspend":true}}`)
	kubectl(i.t, "wait", "--for=condition=Suspended", "--timeout=30s", "tenant/sanya")
	i.eventually("423", func() error {
		if status, _, err := i.call("GET", "/v1/stations", sanya, nil); err != nil || status != 423 {
			return fmt.Errorf("answered %d, %w", status, errNotYet)
		}
		return nil
	})
	kubectl(i.t, "patch", "tenant", "sanya", "--type=merge", "-p", `{"spec":{"suspend":false}}`)
	kubectl(i.t, "wait", "--for=condition=Ready", "--timeout=30s", "tenant/sanya")
	i.eventually("200 again", func() error {
		if status, _, err := i.call("GET", "/v1/stations", sanya, nil); err != nil || status != 200 {
			return fmt.Errorf("answered %d, %w", status, errNotYet)
		}
		return nil
	})
}

// anUpgradeUnderLoadFailsNoRequest rolls every Pod of the services while clients call them.
func anUpgradeUnderLoadFailsNoRequest(i *installation, chart, token, path string) {
	i.t.Helper()
	var calls, failures atomic.Int64
	var firstFailure atomic.Value
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				status, answer, err := i.call("GET", path, token, nil)
				calls.Add(1)
				if err != nil || status != 200 {
					failures.Add(1)
					firstFailure.CompareAndSwap(nil, fmt.Sprintf("%d %v %v", status, answer, err))
				}
			}
		})
	}
	i.helm(chart, "services.podAnnotations.rolled=again")
	kubectl(i.t, "-n", namespace, "rollout", "status", "deployment/"+release+"-services", "--timeout=120s")
	close(stop)
	clients.Wait()
	i.t.Logf("%d requests during the upgrade, %d failed", calls.Load(), failures.Load())
	if failures.Load() > 0 || calls.Load() == 0 {
		i.t.Errorf("%d of %d requests failed during the upgrade, the first with: %v", failures.Load(), calls.Load(), firstFailure.Load())
	}
}

// podsComeAndGo scales to zero and back, and deletes a Pod and the operator.
func podsComeAndGo(i *installation, token, path string) {
	i.t.Helper()
	deployment := "deployment/" + release + "-services"
	kubectl(i.t, "-n", namespace, "scale", deployment, "--replicas=0")
	kubectl(i.t, "-n", namespace, "wait", "--for=delete", "pod", "-l", "circle15.dev/services=true", "--timeout=90s")
	kubectl(i.t, "-n", namespace, "scale", deployment, "--replicas=2")
	kubectl(i.t, "-n", namespace, "rollout", "status", deployment, "--timeout=90s")
	i.eventually("an answer after scaling back", func() error {
		if status, _, err := i.call("GET", path, token, nil); err != nil || status != 200 {
			return fmt.Errorf("answered %d, %w", status, errNotYet)
		}
		return nil
	})
	kubectl(i.t, "-n", namespace, "delete", "pod", "-l", "app.kubernetes.io/component=operator", "--wait=true")
	kubectl(i.t, "-n", namespace, "rollout", "status", "deployment/"+release+"-operator", "--timeout=90s")
	// The new operator works: drift made by hand is repaired, and Ready tenants stayed Ready.
	kubectl(i.t, "patch", "tenant", "haikou", "--type=merge", "-p", `{"spec":{"displayName":{"en":"Haikou City"}}}`)
	i.eventually("the new operator at work", func() error {
		name, err := scalar(i, `SELECT display_name_en FROM circle15.tenants WHERE name = 'haikou'`)
		if err != nil || name != "Haikou City" {
			return fmt.Errorf("%q: %w", name, errNotYet)
		}
		return nil
	})
}

func uninstallKeepsTheSchemas(i *installation) {
	i.t.Helper()
	run(i.t, "", "helm", "uninstall", release, "-n", namespace, "--wait")
	stations, err := scalar(i, `SELECT count(*)::text FROM t_haikou.stations`)
	if err != nil || stations != "21" {
		i.t.Errorf("after the uninstallation Haikou has %s stations (%v), want 21", stations, err)
	}
	if out := kubectl(i.t, "get", "crd", "tenants.circle15.dev", "-o", "name"); !strings.Contains(out, "tenants.circle15.dev") {
		i.t.Error("the definitions did not survive the uninstallation")
	}
}

func scalar(i *installation, sql string) (string, error) {
	connection, err := pgx.Connect(i.t.Context(), i.endpoints.OperatorURL)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close(i.t.Context()) }()
	var v string
	err = connection.QueryRow(i.t.Context(), sql).Scan(&v)
	return v, err
}

func one(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s matches %v (%v)", pattern, found, err)
	}
	return found[0]
}

//go:build e2e

// Package e2e installs the chart on a real Kubernetes, as a province would, and works with it. It needs KUBECONFIG, the
// images in the node (E2E_IMAGE and, with live update, E2E_LIVE_IMAGE), what the cluster cannot do in E2E_HELM_SET (as in
// helm --set), kubectl and helm in PATH, and a PostgreSQL that test and Pods reach: its administrator's URL in
// E2E_ADMIN_DATABASE_URL, or an address of this host that Pods reach in E2E_HOST, on which the test starts one.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/embeddedpg"
	"circle15.dev/internal/issuer"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/provision"
)

const (
	namespace = "circle15-e2e"
	release   = "c15"
	patience  = 3 * time.Minute
	// issuerURL is only a name: the services of the release trust the key in their Secret.
	issuerURL = "http://issuer.circle15-e2e.svc"
)

type installation struct {
	t         *testing.T
	folder    string // with the issuer's key
	image     string
	endpoints provision.Endpoints
	address   string // of the Service that is called, from this host
}

// run runs a program as a person would and returns what it printed.
func run(t *testing.T, input string, name string, args ...string) string {
	t.Helper()
	out, err := try(input, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(input string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "", "kubectl", args...)
}

// prepare makes database, namespace and Secrets: what the chart expects to find.
func prepare(t *testing.T) *installation {
	t.Helper()
	image := os.Getenv("E2E_IMAGE")
	if image == "" {
		t.Fatal("set E2E_IMAGE to the image that the node has")
	}
	admin := os.Getenv("E2E_ADMIN_DATABASE_URL")
	if admin == "" {
		admin = postgres(t, os.Getenv("E2E_HOST"))
	}
	endpoints, err := provision.Bootstrap(t.Context(), provision.BootstrapConfig{
		AdminURL: admin, OperatorPassword: "operator-for-e2e", AppPassword: "application-for-e2e",
	})
	if err != nil {
		t.Fatal(err)
	}
	i := &installation{t: t, folder: t.TempDir(), image: image, endpoints: endpoints}
	if _, err := issuer.Open(i.folder, issuerURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = try("", "helm", "uninstall", release, "-n", namespace, "--wait")
		_, _ = try("", "kubectl", "delete", "namespace", namespace, "--ignore-not-found", "--wait=true")
	})
	kubectl(t, "create", "namespace", namespace)
	kubectl(t, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	kubectl(t, "-n", namespace, "create", "secret", "generic", "circle15-database",
		"--from-literal=app-url="+endpoints.AppURL, "--from-literal=operator-url="+endpoints.OperatorURL)
	kubectl(t, "-n", namespace, "create", "secret", "generic", "circle15-keys", "--from-literal=page-token-key="+strings.Repeat("e2e-", 16))
	kubectl(t, "-n", namespace, "create", "secret", "generic", "circle15-issuer", "--from-file="+filepath.Join(i.folder, "issuer.key"))
	return i
}

// postgres starts a PostgreSQL on an address that Pods reach, and returns its administrator's URL.
func postgres(t *testing.T, host string) string {
	t.Helper()
	if host == "" {
		t.Fatal("set E2E_ADMIN_DATABASE_URL, or E2E_HOST to an address of this host that Pods reach")
	}
	folder, err := os.MkdirTemp("", "circle15-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := embeddedpg.Start(t.Context(), embeddedpg.Config{
		Dir: folder, Settings: map[string]string{"listen_addresses": "127.0.0.1," + host, "fsync": "off"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
	admin, err := url.Parse(server.SuperuserURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	connection, err := pgx.Connect(t.Context(), admin.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(t.Context()) }()
	var hba string
	if err := connection.QueryRow(t.Context(), `SELECT current_setting('hba_file')`).Scan(&hba); err != nil {
		t.Fatal(err)
	}
	rules, err := os.OpenFile(hba, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = rules.WriteString("host all all all scram-sha-256\n") //nolint:dupword // database, user, address
	if err := errors.Join(err, rules.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Exec(t.Context(), `SELECT pg_reload_conf()`); err != nil {
		t.Fatal(err)
	}
	admin.Host = fmt.Sprintf("%s:%d", host, server.Port())
	admin.RawQuery = "sslmode=disable"
	return admin.String()
}

// helm installs or upgrades the packaged chart.
func (i *installation) helm(packaged string, sets ...string) {
	i.t.Helper()
	repository, tag, _ := strings.Cut(i.image, ":")
	args := []string{
		"upgrade", "--install", release, packaged, "-n", namespace, "--wait", "--timeout", patience.String(),
		"--set", "image.repository=" + repository, "--set", "image.tag=" + tag,
		"--set", "services.builtinIssuer.enabled=true", "--set", "services.drainDelaySeconds=3",
	}
	if s := os.Getenv("E2E_HELM_SET"); s != "" {
		args = append(args, "--set", s)
	}
	for _, s := range sets {
		args = append(args, "--set", s)
	}
	out, err := try("", "helm", args...)
	if err != nil {
		i.t.Fatalf("helm: %v\n%s\n%s", err, out, i.state())
	}
}

// reach lets the calls that follow go to a Service.
func (i *installation) reach(service string) {
	i.t.Helper()
	i.address = "http://" + strings.TrimSpace(kubectl(i.t, "-n", namespace, "get", "service", service,
		"-o", "jsonpath={.spec.clusterIP}"))
}

// state tells what a person would look at when something does not start.
func (i *installation) state() string {
	pods, _ := try("", "kubectl", "-n", namespace, "get", "pods,events", "-o", "wide")
	logs, _ := try("", "kubectl", "-n", namespace, "logs", "-l", "app.kubernetes.io/name=circle15", "--tail=20", "--prefix")
	tenants, _ := try("", "kubectl", "get", "tenants,databaseclusters", "-o", "wide")
	return pods + logs + tenants
}

// token is a demo token of a subject in a tenant.
func (i *installation) token(subject, tenantName string) string {
	i.t.Helper()
	builtin, err := issuer.Load(i.folder)
	if err != nil {
		i.t.Fatal(err)
	}
	token, err := builtin.Mint(issuer.Claims{Subject: subject, Tenants: []tenant.Name{tenant.Name(tenantName)}, Lifetime: time.Hour})
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

// call makes one REST call and returns status and body.
func (i *installation) call(method, path, token string, body any) (int, map[string]any, error) {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		payload = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, i.address+path, payload)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer := map[string]any{}
	err = json.NewDecoder(response.Body).Decode(&answer)
	return response.StatusCode, answer, err
}

// expect is call with the status wanted.
func (i *installation) expect(status int, method, path, token string, body any) map[string]any {
	i.t.Helper()
	got, answer, err := i.call(method, path, token, body)
	if err != nil || got != status {
		i.t.Fatalf("%s %s answered %d %v (%v), want %d\n%s", method, path, got, answer, err, status, i.state())
	}
	return answer
}

func (i *installation) eventually(what string, holds func() error) {
	i.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			i.t.Fatalf("waited for %s: %v\n%s", what, err, i.state())
		}
		<-tick.C
	}
}

var errNotYet = errors.New("not yet")

func query(path string, values url.Values) string { return fmt.Sprintf("%s?%s", path, values.Encode()) }

package platform_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"circle15.dev/internal/config"
	"circle15.dev/internal/issuer"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
	"circle15.dev/services/platform"
)

// running is a platform on free ports, over the test process's PostgreSQL.
type running struct {
	*platform.Platform
	t      *testing.T
	issuer *issuer.Issuer
}

func options(t *testing.T, services ...string) platform.Options {
	t.Helper()
	c := config.Default()
	c.HTTP, c.GRPC, c.Admin = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.Database.URL, c.Database.MaxConns = config.Secret(testenv.Provisioned(t).AppURL), 2
	signer, err := issuer.Open(t.TempDir(), "http://127.0.0.1:8080"+issuer.Path)
	if err != nil {
		t.Fatal(err)
	}
	return platform.Options{Config: c, Services: services, Issuer: signer, Logger: slog.New(slog.DiscardHandler)}
}

func start(t *testing.T, services ...string) *running {
	t.Helper()
	return run(t, options(t, services...))
}

func run(t *testing.T, o platform.Options) *running {
	t.Helper()
	p, err := platform.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &running{p, t, o.Issuer}
}

// get asks the platform as the subject in the tenant.
func (r *running) get(address, path, subject string, tenants ...tenant.Name) (int, string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if subject != "" {
		token, err := r.issuer.Mint(issuer.Claims{Subject: subject, Tenants: tenants, Lifetime: time.Minute})
		if err != nil {
			r.t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func administered(t *testing.T) tenant.Name {
	t.Helper()
	name := testenv.NewTenant(t)
	grant := provision.RoleGrant{Subject: "admin", Role: "bureau_admin", GrantedBy: "test"}
	if err := testenv.Provisioned(t).Provisioner.GrantRole(t.Context(), name, grant); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestThePlatformServesATenantWithATokenOfItsIssuer(t *testing.T) {
	name := administered(t)
	p := start(t)
	status, body := p.get(p.HTTPAddr(), "/v1/me", "admin", name)
	var me struct{ Subject, Tenant string }
	if err := json.Unmarshal([]byte(body), &me); err != nil || status != 200 || me.Subject != "admin" || me.Tenant != string(name) {
		t.Errorf("status %d: %s", status, body)
	}
	for _, path := range []string{"/v1/stations", "/v1/visits", "/v1/cases", "/v1/activities", "/v1/roles"} {
		if status, body := p.get(p.HTTPAddr(), path, "admin", name); status != 200 {
			t.Errorf("%s: status %d: %s", path, status, body)
		}
	}
	if status, _ := p.get(p.HTTPAddr(), "/v1/stations", "stranger", name); status != 403 {
		t.Errorf("a stranger: status %d", status)
	}
	for _, path := range []string{"/readyz", "/healthz", "/openapi.yaml", "/docs", "/issuer/.well-known/openid-configuration", "/issuer/keys"} {
		if status, body := p.get(p.HTTPAddr(), path, ""); status != 200 {
			t.Errorf("%s: status %d: %s", path, status, body)
		}
	}
	if status, body := p.get(p.AdminAddr(), "/metrics", ""); status != 200 || !strings.Contains(body, `circle15_rpc_duration_seconds_count{`) {
		t.Errorf("metrics: status %d: %.500s", status, body)
	}
}

func TestAMetricHasNoTenantAndNoUser(t *testing.T) {
	name := administered(t)
	p := start(t)
	p.get(p.HTTPAddr(), "/v1/stations", "admin", name)
	_, body := p.get(p.AdminAddr(), "/metrics", "")
	for _, private := range []string{string(name), name.Schema(), `"admin"`} {
		if strings.Contains(body, private) {
			t.Errorf("the metrics hold %s", private)
		}
	}
}

func TestEveryMetricIsNamedAndLabelledAsPrometheusHasIt(t *testing.T) {
	name := administered(t)
	p := start(t)
	p.get(p.HTTPAddr(), "/v1/stations", "admin", name)
	_, body := p.get(p.AdminAddr(), "/metrics", "")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	if strings.Contains(body, "otel_scope") {
		t.Error("a series has labels of the instrumentation scope")
	}
	const wait = `circle15_tenantdb_requests_wait_time_seconds_total{cluster="default"}`
	if !strings.Contains(body, wait) {
		t.Errorf("the page has no %s", wait)
	}
}

func TestASuspendedTenantIsRefused(t *testing.T) {
	name := administered(t)
	p := start(t)
	if status, body := p.get(p.HTTPAddr(), "/v1/stations", "admin", name); status != 200 {
		t.Fatalf("before: status %d: %s", status, body)
	}
	if _, err := testenv.Provisioned(t).Provisioner.Suspend(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "the tenant to be refused", func() bool {
		status, _ := p.get(p.HTTPAddr(), "/v1/stations", "admin", name)
		return status == http.StatusLocked
	})
}

func TestATenantIsHeldToItsQuota(t *testing.T) {
	one := int32(1)
	name := testenv.NewTenant(t, func(s *provision.Spec) { s.Quotas.RequestsPerSecond = &one })
	free := administered(t)
	p := start(t)
	const flood = 30
	passed, began := 0, time.Now()
	for range flood {
		if status, _ := p.get(p.HTTPAddr(), "/v1/me", "worker", name); status != http.StatusTooManyRequests {
			passed++
		}
		if status, body := p.get(p.HTTPAddr(), "/v1/me", "admin", free); status != 200 {
			t.Errorf("another tenant: status %d: %s", status, body)
		}
	}
	// A burst of two is allowed; a slow machine earns one more each second.
	if earned := 2 + int(time.Since(began).Seconds()); passed < 2 || passed > earned {
		t.Errorf("%d of %d requests passed, want 2 to %d", passed, flood, earned)
	}
}

func TestSomeServicesMayRunAlone(t *testing.T) {
	name := administered(t)
	p := start(t, "registry", "iam")
	for path, want := range map[string]int{"/v1/stations": 200, "/v1/me": 200, "/v1/cases": 404, "/v1/visits": 404} {
		if status, body := p.get(p.HTTPAddr(), path, "admin", name); status != want {
			t.Errorf("%s: status %d, want %d: %s", path, status, want, body)
		}
	}
}

func TestWhatKeepsThePlatformFromStartingIsToldInASentence(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*platform.Options)
		want   string
	}{
		"no such service":      {func(o *platform.Options) { o.Services = []string{"registry", "weather"} }, `there is no service "weather"`},
		"all and more":         {func(o *platform.Options) { o.Services = []string{"all", "iam"} }, `"all" goes alone`},
		"no database":          {func(o *platform.Options) { o.Config.Database.URL = "" }, "set CIRCLE15_DATABASE_URL"},
		"no PostgreSQL":        {func(o *platform.Options) { o.Config.Database.URL = nobody(t, false) }, "does not answer (connect: connection refused)"},
		"a mute PostgreSQL":    {func(o *platform.Options) { o.Config.Database.URL = nobody(t, true) }, "does not answer in time"},
		"a superuser's login":  {useLogin(testenv.Provisioned(t).SuperuserURL), "the login postgres of database cluster \"default\" is a superuser"},
		"the operator's login": {useLogin(testenv.Provisioned(t).OperatorURL), "circle15_operator of database cluster \"default\" may create roles"},
		"a mighty login of one cluster of two": {func(o *platform.Options) {
			o.Config.Clusters = map[string]config.Cluster{"north": {URL: config.Secret(testenv.Provisioned(t).OperatorURL)}}
		}, "circle15_operator of database cluster \"north\" may create roles"},
		"an unknown host": {func(o *platform.Options) {
			o.Config.Database.URL = "postgres://a:secret@nowhere.invalid/b"
		}, "PostgreSQL at nowhere.invalid:5432: the host nowhere.invalid is not found"},
		"no control schema": {useDatabase("postgres"), "circle15 database bootstrap"},
		"no such database":  {useDatabase("nothing"), "circle15 database bootstrap"},
		"a wrong password": {func(o *platform.Options) {
			o.Config.Database.URL = config.Secret(strings.Replace(o.Config.Database.URL.Reveal(), testenv.Password, "secret", 1))
		}, "is refused"},
		"no issuer": {func(o *platform.Options) { o.Issuer = nil }, "no token issuer is configured"},
		"a wrong issuer": {func(o *platform.Options) {
			o.Config.Issuers = []config.Issuer{{URL: "http://example.org", Audience: "x"}}
		}, "https"},
		"a taken port": {func(o *platform.Options) { o.Config.HTTP = taken(t) }, "the address is in use"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			tt.change(&o)
			p, err := platform.New(t.Context(), o)
			if err == nil {
				p.Close()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func useLogin(url string) func(*platform.Options) {
	return func(o *platform.Options) { o.Config.Database.URL = config.Secret(url) }
}

// useDatabase is another database of the same server.
func useDatabase(name string) func(*platform.Options) {
	return func(o *platform.Options) {
		u, err := url.Parse(o.Config.Database.URL.Reveal())
		if err != nil {
			panic(err) // testenv's own URL
		}
		u.Path = "/" + name
		o.Config.Database.URL = config.Secret(u.String())
	}
}

// nobody is the URL of a server that is not there or, listening, never says a word.
func nobody(t *testing.T, listening bool) config.Secret {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if listening {
		t.Cleanup(func() { _ = l.Close() })
	} else {
		_ = l.Close()
	}
	return config.Secret("postgres://a:secret@" + l.Addr().String() + "/b?sslmode=disable&connect_timeout=1")
}

// taken is an address that a platform of the test listens on.
func taken(t *testing.T) string {
	t.Helper()
	return start(t).HTTPAddr()
}

package platform_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/config"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

// further is another database cluster with one administered city, and a superuser's connection to it.
func further(t *testing.T) (provision.Endpoints, *provision.Provisioner, tenant.Name, *pgx.Conn) {
	t.Helper()
	ctx := t.Context()
	server := testenv.Postgres(t)
	endpoints, err := provision.Bootstrap(ctx, provision.BootstrapConfig{
		AdminURL: server.SuperuserURL("postgres"), Database: "circle15_further",
		OperatorPassword: testenv.Password, AppPassword: testenv.Password,
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := provision.Open(ctx, provision.Config{
		OperatorURL: endpoints.OperatorURL, ParentsElsewhere: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	spec := testenv.NextSpec(t)
	if _, err := p.Create(ctx, spec); err != nil {
		t.Fatal(err)
	}
	if err := p.GrantRole(ctx, spec.Name, provision.RoleGrant{Subject: "admin", Role: "bureau_admin", GrantedBy: "test"}); err != nil {
		t.Fatal(err)
	}
	superuser, err := pgx.Connect(ctx, server.SuperuserURL("circle15_further"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = superuser.Close(ctx) })
	return endpoints, p, spec.Name, superuser
}

func TestTheCitiesOfEveryClusterAreServed(t *testing.T) {
	here := administered(t)
	endpoints, provisioner, there, superuser := further(t)
	o := options(t)
	o.Config.Clusters = map[string]config.Cluster{"further": {URL: config.Secret(endpoints.AppURL)}}
	p := run(t, o)
	status := func(n tenant.Name) int {
		code, _ := p.get(p.HTTPAddr(), "/v1/stations", "admin", n)
		return code
	}
	for _, n := range []tenant.Name{here, there} {
		if code := status(n); code != http.StatusOK {
			t.Errorf("%s: status %d", n, code)
		}
	}
	if _, err := provisioner.Suspend(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "the city of the further cluster to be refused", func() bool { return status(there) == http.StatusLocked })
	if code := status(here); code != http.StatusOK {
		t.Errorf("the city of the first cluster: status %d", code)
	}

	// A row like that of the first cluster's city: no operator would write it.
	if _, err := superuser.Exec(t.Context(), fmt.Sprintf(`INSERT INTO circle15.tenants (name, id, display_name_zh, level, parent,
		division_code, schema_name, role_name, state) VALUES ('%[1]s', gen_random_uuid(), '测试', 'city', 'x', '999999', '%[2]s', '%[2]s', 'active')`,
		here, here.Schema())); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "a city on two clusters to be served on neither", func() bool { return status(here) == http.StatusForbidden })
	if _, err := superuser.Exec(t.Context(), `UPDATE circle15.tenants SET state = 'retained' WHERE name = $1`, string(here)); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "a city that is put away on one cluster to be served on the other", func() bool { return status(here) == http.StatusOK })
}

func TestAClusterThatIsAwayKeepsNoOtherFromServing(t *testing.T) {
	here := administered(t)
	o := options(t)
	o.Config.Clusters = map[string]config.Cluster{"away": {URL: "postgres://circle15_app:x@127.0.0.1:1/circle15"}}
	p := run(t, o)
	if code, body := p.get(p.HTTPAddr(), "/v1/stations", "admin", here); code != http.StatusOK {
		t.Errorf("status %d: %s", code, body)
	}
	if code, body := p.get(p.HTTPAddr(), "/readyz", ""); code != http.StatusOK {
		t.Errorf("ready: status %d: %s", code, body)
	}
}

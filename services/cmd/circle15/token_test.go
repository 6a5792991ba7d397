package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/issuer"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

// demo is a data folder with an issuer, and a database with two tenants of which each has the station 460107003.
type demo struct {
	folder     string
	issuer     *issuer.Issuer
	one, other tenant.Name
}

func newDemo(t *testing.T) demo {
	t.Helper()
	d := demo{folder: t.TempDir(), one: testenv.NewTenant(t), other: testenv.NewTenant(t)}
	platform := testenv.Provisioned(t)
	t.Setenv("CIRCLE15_DATA", d.folder)
	t.Setenv("CIRCLE15_OPERATOR_DATABASE_URL", platform.OperatorURL)
	var err error
	if d.issuer, err = issuer.Open(d.folder, "http://127.0.0.1:8080/issuer"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []tenant.Name{d.one, d.other} {
		stations := []provision.Station{{DivisionCode: "460107003", DisplayName: "滨江街道社工站"}}
		if _, err := platform.Provisioner.EnsureStations(t.Context(), name, time.Now(), stations); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// token runs the command and returns what it printed.
func token(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newTokenCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestATokenIsPrintedAloneAndOpensWhatItsRoleMay(t *testing.T) {
	d := newDemo(t)
	verifier, err := authn.NewVerifier(authn.Config{Issuers: []authn.Issuer{d.issuer.Trust()}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds the grant in place
		printed, err := token(t, "--tenant", string(d.one), "--role", "social_worker", "--station", "460107003")
		if err != nil {
			t.Fatal(err)
		}
		who, err := verifier.Verify(t.Context(), strings.TrimSuffix(printed, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		want := authn.Principal{
			Issuer: d.issuer.URL(), Subject: "demo-social_worker-460107003", Name: "demo-social_worker-460107003",
			Tenants: []string{string(d.one)},
		}
		if diff := cmp.Diff(want, who); diff != "" {
			t.Error(diff)
		}
		scope, err := authorize(t, who, d.one, "cases", "get")
		if err != nil || scope.Level != authz.LevelStation || len(scope.Stations) != 1 {
			t.Errorf("got %+v, %v", scope, err)
		}
		if _, err := authorize(t, who, d.other, "cases", "get"); apierr.KindOf(err) != apierr.Denied {
			t.Errorf("in the other tenant: %v", err)
		}
	}
}

func TestATokenMayBeForSeveralTenantsAndAnyone(t *testing.T) {
	d := newDemo(t)
	verifier, err := authn.NewVerifier(authn.Config{Issuers: []authn.Issuer{d.issuer.Trust()}})
	if err != nil {
		t.Fatal(err)
	}
	printed, err := token(t, "--tenant", string(d.one), "--tenant", string(d.other), "--role", "province_analyst",
		"--subject", "zhou", "--expires", "1h")
	if err != nil {
		t.Fatal(err)
	}
	who, err := verifier.Verify(t.Context(), strings.TrimSuffix(printed, "\n"))
	if err != nil || who.Subject != "zhou" {
		t.Fatalf("got %+v, %v", who, err)
	}
	for _, name := range []tenant.Name{d.one, d.other} {
		if scope, err := authorize(t, who, name, "reports", "summary"); err != nil || scope.Level != authz.LevelAggregate {
			t.Errorf("%s: %+v, %v", name, scope, err)
		}
	}
}

func TestATokenThatCannotBeMadeIsOneSentence(t *testing.T) {
	d := newDemo(t)
	one := string(d.one)
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no tenant":         {[]string{"--role", "auditor"}, `required flag(s) "tenant"`},
		"no role":           {[]string{"--tenant", one}, `required flag(s) "role"`},
		"malformed tenant":  {[]string{"--tenant", "Hai Kou", "--role", "auditor"}, "tenant name"},
		"unknown tenant":    {[]string{"--tenant", "nowhere", "--role", "auditor"}, "there is no tenant nowhere"},
		"unknown role":      {[]string{"--tenant", one, "--role", "emperor"}, `has no role "emperor"`},
		"no station":        {[]string{"--tenant", one, "--role", "social_worker"}, "about the records of a station"},
		"unknown station":   {[]string{"--tenant", one, "--role", "social_worker", "--station", "460105001"}, "no open station"},
		"station too much":  {[]string{"--tenant", one, "--role", "auditor", "--station", "460107003"}, "not about a station"},
		"too long a life":   {[]string{"--tenant", one, "--role", "auditor", "--expires", "1000h"}, "at most 720h"},
		"no demo":           {[]string{"--tenant", one, "--role", "auditor", "--data", t.TempDir()}, "there is no demo in"},
		"an argument":       {[]string{"--tenant", one, "--role", "auditor", "extra"}, "unknown command"},
		"database is wrong": {[]string{"--tenant", one, "--role", "auditor", "--operator-database-url", "host=127.0.0.1 port=1"}, "PostgreSQL at 127.0.0.1:1 does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			printed, err := token(t, tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") || strings.Contains(printed, "ey") {
				t.Errorf("printed %q, %v; want one sentence with %q", printed, err, tc.want)
			}
		})
	}
}

func TestAMistakeInOneTenantGrantsNothingInAnother(t *testing.T) {
	d := newDemo(t)
	_, err := token(t, "--tenant", string(d.one), "--tenant", "nowhere", "--role", "auditor", "--subject", "wu")
	if err == nil || !strings.Contains(err.Error(), "there is no tenant nowhere") {
		t.Errorf("got %v", err)
	}
	who := authn.Principal{Issuer: d.issuer.URL(), Subject: "wu", Tenants: []string{string(d.one)}}
	if _, err := authorize(t, who, d.one, "reports", "summary"); apierr.KindOf(err) != apierr.Denied {
		t.Errorf("in the tenant without a mistake: %v", err)
	}
}

func authorize(t *testing.T, who authn.Principal, name tenant.Name, resource, action string) (authz.Scope, error) {
	t.Helper()
	platform := testenv.Provisioned(t)
	directory := tenantdb.NewDirectory(tenantdb.Placement{Tenant: name, Cluster: "default", State: tenantdb.StateActive})
	config := tenantdb.Config{Clusters: map[string]string{"default": platform.AppURL}, MaxConns: 1}
	db, err := tenantdb.Open(t.Context(), config, directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	policies, err := authz.NewPolicies(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return policies.Authorize(t.Context(), who, name, resource, action)
}

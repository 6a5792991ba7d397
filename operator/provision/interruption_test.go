package provision_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

var errKilled = errors.New("killed")

// killedAfter is a Provisioner that dies after the step, which it has committed.
func killedAfter(t *testing.T, step string) *provision.Provisioner {
	t.Helper()
	p, err := provision.Open(t.Context(), provision.Config{
		OperatorURL: testenv.Provisioned(t).OperatorURL,
		AfterStep: func(_ context.Context, label string) error {
			if label == step {
				return errKilled
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func richSpec(t *testing.T) provision.Spec {
	spec := testenv.NextSpec(t)
	spec.Policy = provision.Policy{
		Roles:  []authz.Role{{Name: "night_shift", TitleZH: "夜班", TitleEN: "Night shift"}},
		Rules:  []authz.Rule{{Role: "night_shift", Resource: "visits", Action: "get", Level: authz.LevelStation}},
		Grants: []provision.Grant{{Subject: "oidc|li", Role: "bureau_admin"}},
	}
	return spec
}

func TestACreationKilledAfterAnyStepIsFinishedByTheNext(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	whole := richSpec(t)
	create(t, p, whole)
	want := snapshot(t, whole.Name)
	for _, step := range provision.Steps() {
		t.Run(step, func(t *testing.T) {
			spec := richSpec(t)
			cleanUp(t, spec.Name)
			if _, err := killedAfter(t, step).Create(t.Context(), spec); !errors.Is(err, errKilled) {
				t.Fatalf("got %v", err)
			}
			create(t, p, spec)
			if diff := cmp.Diff(want, snapshot(t, spec.Name)); diff != "" {
				t.Error(diff)
			}
			wantNoDrift(t, p, spec.Name)
		})
	}
}

func TestATenantHalfMadeIsNotUsable(t *testing.T) {
	platform := testenv.Provisioned(t)
	for _, step := range provision.Steps() {
		if step == "membership" { // from here on the services could become the role; the state still says no
			break
		}
		spec := testenv.NextSpec(t)
		cleanUp(t, spec.Name)
		if _, err := killedAfter(t, step).Create(t.Context(), spec); !errors.Is(err, errKilled) {
			t.Fatalf("got %v", err)
		}
		row, err := platform.Provisioner.Show(t.Context(), spec.Name)
		if err != nil || row.State != provision.StateProvisioning {
			t.Errorf("after %s: state %s, error %v", step, row.State, err)
		}
		if err := asTenant(t.Context(), connect(t, platform.AppURL), spec.Name, "SELECT 1"); err == nil {
			t.Errorf("after %s the app becomes the tenant's role", step)
		}
		_, err = platform.Provisioner.Suspend(t.Context(), spec.Name)
		wantReason(t, err, provision.NotReady)
	}
}

func TestACreationCancelledAtAnyMomentLeavesNothingOrIsFinishedByTheNext(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	whole := testenv.NextSpec(t)
	create(t, p, whole)
	want := snapshot(t, whole.Name)
	random := rand.New(rand.NewPCG(15, 15))
	for range 10 {
		spec := testenv.NextSpec(t)
		cleanUp(t, spec.Name)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(80))*time.Millisecond)
		_, err := p.Create(ctx, spec)
		cancel()
		if _, shown := p.Show(t.Context(), spec.Name); err != nil && shown == nil {
			t.Logf("cancelled after the commit: %v", err)
		}
		create(t, p, spec)
		if diff := cmp.Diff(want, snapshot(t, spec.Name)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestADeletionKilledAfterAnyStepIsFinishedByTheNext(t *testing.T) {
	platform := testenv.Provisioned(t)
	p := platform.Provisioner
	for _, step := range provision.DeletionSteps() {
		t.Run(step, func(t *testing.T) {
			spec := testenv.NextSpec(t)
			create(t, p, spec)
			if err := asTenant(t.Context(), connect(t, platform.AppURL), spec.Name, "SELECT lo_create(0)"); err != nil {
				t.Fatal(err)
			}
			if err := killedAfter(t, step).Delete(t.Context(), spec.Name); !errors.Is(err, errKilled) {
				t.Fatalf("got %v", err)
			}
			if step != "forget" {
				_, err := p.Create(t.Context(), spec)
				wantReason(t, err, provision.BeingDeleted)
				if err := p.Delete(t.Context(), spec.Name); err != nil {
					t.Fatal(err)
				}
			}
			if left := snapshotOfNothing(t, spec); left != "0 0 0" {
				t.Errorf("schemas, roles and rows left: %s", left)
			}
		})
	}
}

func snapshotOfNothing(t *testing.T, spec provision.Spec) string {
	conn := superuser(t)
	return fmt.Sprintf("%d %d %d",
		value[int](t, conn, `SELECT count(*) FROM pg_namespace WHERE nspname = $1`, spec.Name.Schema()),
		value[int](t, conn, `SELECT count(*) FROM pg_roles WHERE rolname = $1`, spec.Name.Role()),
		value[int](t, conn, `SELECT count(*) FROM circle15.tenants WHERE name = $1`, string(spec.Name)))
}

func TestASuspensionKilledAfterAnyStepIsFinishedByTheNext(t *testing.T) {
	platform := testenv.Provisioned(t)
	for _, step := range []string{"membership", "state"} {
		name := testenv.NewTenant(t)
		if _, err := killedAfter(t, step).Suspend(t.Context(), name); !errors.Is(err, errKilled) {
			t.Fatalf("got %v", err)
		}
		r, err := platform.Provisioner.Suspend(t.Context(), name)
		if err != nil || r.Tenant.State != provision.StateSuspended {
			t.Errorf("after %s: state %s, error %v", step, r.Tenant.State, err)
		}
		wantNoDrift(t, platform.Provisioner, name)
	}
}

package run_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/provision"
	"circle15.dev/operator/run"
	operatortenant "circle15.dev/operator/tenant"
)

func keyOf(name string) types.NamespacedName { return types.NamespacedName{Name: name} }

// dieAfter makes an operator die at the first end of the phase: nothing after it happens, the status is not written as
// it would have been, and every retry dies again until the operator is started anew.
func dieAfter(label string, died *atomic.Bool) func(*run.Options) {
	return func(o *run.Options) {
		o.AfterPhase = func(done string) error {
			if done == label {
				died.Store(true)
				return errors.New("killed after " + label)
			}
			return nil
		}
	}
}

func TestAnOperatorKilledAfterAnyPhaseGoesOnWhereItStopped(t *testing.T) {
	w := setup(t)
	stop := w.operate()
	province := w.province()
	w.awaitReady(province)
	stop()
	for _, label := range operatortenant.Phases() {
		t.Run(label, func(t *testing.T) {
			var died atomic.Bool
			stop := w.operate(dieAfter(label, &died))
			city := w.city(province)
			w.eventually("death after "+label, died.Load, func() string { return "the phase was not reached" })
			stop()
			stop = w.operate()
			defer stop()
			w.awaitReady(city)
			if n := scalar[int](w, `SELECT count(*) FROM circle15.tenants WHERE name = $1`, city.Name); n != 1 {
				t.Errorf("%d control rows, want 1", n)
			}
		})
	}
}

func TestADeletionKilledAfterAnyPhaseOrStepIsFinished(t *testing.T) {
	w := setup(t)
	stop := w.operate()
	province := w.province()
	w.awaitReady(province)
	stop()
	kill := func(t *testing.T, deadly func(died *atomic.Bool) func(*run.Options), finished func(*v1alpha1.Tenant), change ...func(*v1alpha1.Tenant)) {
		t.Helper()
		stop := w.operate()
		city := w.city(province, change...)
		w.awaitReady(city)
		stop()
		var died atomic.Bool
		stop = w.operate(deadly(&died))
		w.delete(city)
		w.eventually("death", died.Load, func() string { return "the phase or step was not reached" })
		stop()
		stop = w.operate()
		defer stop()
		w.awaitGone(city)
		finished(city)
	}
	for _, label := range operatortenant.DeletionPhases() {
		deadly := func(died *atomic.Bool) func(*run.Options) { return dieAfter(label, died) }
		t.Run("Delete/"+label, func(t *testing.T) {
			kill(t, deadly, func(city *v1alpha1.Tenant) { assertDropped(w, city) }, deleteAtOnce)
		})
		t.Run("Retain/"+label, func(t *testing.T) {
			kill(t, deadly, func(city *v1alpha1.Tenant) {
				if state := scalar[string](w, `SELECT state FROM circle15.tenants WHERE name = $1`, city.Name); state != "retained" {
					t.Errorf("the control schema says %q", state)
				}
			})
		})
	}
	for _, label := range provision.DeletionSteps() {
		t.Run("Delete/step "+label, func(t *testing.T) {
			deadly := func(died *atomic.Bool) func(*run.Options) { return dieAfterStep(label, died) }
			kill(t, deadly, func(city *v1alpha1.Tenant) { assertDropped(w, city) }, deleteAtOnce)
		})
	}
}

// dieAfterStep is dieAfter for the steps within provisioning and dropping, each a transaction of its own.
func dieAfterStep(label string, died *atomic.Bool) func(*run.Options) {
	return func(o *run.Options) {
		o.AfterStep = func(_ context.Context, done string) error {
			if done != label {
				return nil
			}
			died.Store(true)
			return errors.New("killed after " + label)
		}
	}
}

func deleteAtOnce(c *v1alpha1.Tenant) {
	c.Spec.DeletionPolicy, c.Spec.DeletionGrace = v1alpha1.DeletionDelete, metav1.Duration{Duration: time.Nanosecond}
}

func assertDropped(w *world, city *v1alpha1.Tenant) {
	w.t.Helper()
	if n := scalar[int](w, `SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = $1) + (SELECT count(*) FROM pg_roles WHERE rolname = $1)
		+ (SELECT count(*) FROM circle15.tenants WHERE schema_name = $1)`, schemaOf(city)); n != 0 {
		w.t.Errorf("%d of schema, role and control row are left", n)
	}
}

func TestARetainedSchemaIsAdoptedByATenantOfTheSameName(t *testing.T) {
	w := setup(t)
	w.operate()
	city := w.city(w.province())
	w.awaitReady(city)
	schema := schemaOf(city)
	w.exec(`INSERT INTO ` + schema + `.stations (id, division_code, display_name, opened_date, created_by)
		VALUES (gen_random_uuid(), '123456789', '留下的站', '2021-05-01', 'test')`)
	w.delete(city)
	w.awaitGone(city)
	if state := scalar[string](w, `SELECT state FROM circle15.tenants WHERE name = $1`, city.Name); state != "retained" {
		t.Errorf("the control schema says %q", state)
	}
	if scalar[bool](w, `SELECT pg_has_role('circle15_app', $1, 'MEMBER')`, schema) {
		t.Error("the services may still become the role of a deleted tenant")
	}
	again := tenantOf(city.Name, v1alpha1.LevelCity, city.Spec.Parent, city.Spec.DivisionCode)
	w.create(again)
	w.awaitReady(again)
	if name := scalar[string](w, `SELECT display_name FROM `+schema+`.stations WHERE division_code = '123456789'`); name != "留下的站" {
		t.Errorf("the station is now %q", name)
	}
}

func TestDeletionWaitsForTheGracePeriodAndWritesADump(t *testing.T) {
	w := setup(t)
	folder := t.TempDir()
	w.operate(func(o *run.Options) { o.DumpFolder = folder })
	city := w.city(w.province(), func(c *v1alpha1.Tenant) {
		c.Spec.DeletionPolicy, c.Spec.DeletionGrace = v1alpha1.DeletionDelete, metav1.Duration{Duration: 48 * time.Hour}
	})
	w.awaitReady(city)
	w.delete(city)
	w.awaitReason(city, v1alpha1.PhaseDeleting, "Waiting")
	if n := scalar[int](w, `SELECT count(*) FROM pg_namespace WHERE nspname = $1`, schemaOf(city)); n != 1 {
		t.Fatal("the schema was dropped within the grace period")
	}
	w.clock.advance(49 * time.Hour)
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.DeletionGrace = metav1.Duration{Duration: 48*time.Hour + time.Minute} }); err != nil {
		t.Fatal(err) // any change makes the operator look at the clock
	}
	w.awaitGone(city)
	assertDropped(w, city)
	if info, err := os.Stat(filepath.Join(folder, city.Name+".tar")); err != nil || info.Size() == 0 {
		t.Errorf("no dump: %v", err)
	}
}

func TestTwoOperatorsAtOnceMakeOneTenant(t *testing.T) {
	w := setup(t)
	for range 2 {
		w.operate() // without a lease: the worst case
	}
	province := w.province()
	var cities []*v1alpha1.Tenant
	for range 5 {
		cities = append(cities, w.city(province))
	}
	for _, city := range cities {
		w.awaitReady(city)
		if n := scalar[int](w, `SELECT count(*) FROM circle15.tenants WHERE name = $1`, city.Name); n != 1 {
			t.Errorf("%s has %d control rows", city.Name, n)
		}
	}
}

func TestAnOperatorThatCannotReachPostgreSQLGoesOnWhenItIsBack(t *testing.T) {
	w := setup(t)
	w.exec(`ALTER ROLE circle15_operator NOLOGIN`)
	t.Cleanup(func() { w.exec(`ALTER ROLE circle15_operator LOGIN`) })
	w.operate()
	province := w.province()
	w.await(province, "Pending or Stalled", func(now *v1alpha1.Tenant) bool { return now.Status.Phase != "" && now.Status.ReadyTime == nil })
	w.exec(`ALTER ROLE circle15_operator LOGIN`)
	w.awaitReady(province)
}

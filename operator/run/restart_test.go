package run_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	coordinationv1 "k8s.io/api/coordination/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/embeddedpg"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
	"circle15.dev/operator/run"
)

func TestAnOperatorKilledAfterAnyStepOfProvisioningGoesOnWhereItStopped(t *testing.T) {
	w := setup(t)
	stop := w.operate()
	province := w.province()
	w.awaitReady(province)
	stop()
	for _, label := range provision.Steps() {
		t.Run(label, func(t *testing.T) {
			var died atomic.Bool
			stop := w.operate(dieAfterStep(label, &died))
			city := w.city(province)
			w.eventually("death after "+label, died.Load, func() string { return "the step was not reached" })
			stop()
			stop = w.operate()
			defer stop()
			w.awaitReady(city)
		})
	}
}

func TestReadyTenantsStayReadyOverRestartsOfTheOperator(t *testing.T) {
	w := setup(t)
	stop := w.operate()
	province := w.province()
	var tenants []*v1alpha1.Tenant
	for range 6 {
		tenants = append(tenants, w.city(province))
	}
	for _, x := range append(tenants, province) {
		w.awaitReady(x)
	}
	stop()
	changes := w.watchTenants()
	for n := range tenants { // stopped in the middle of the resync, at another place each time
		var looked atomic.Int32
		stop := w.operate(func(o *run.Options) {
			o.AfterPhase = func(label string) error {
				if label == "count" {
					looked.Add(1)
				}
				return nil
			}
		})
		w.eventually("some tenants were looked at", func() bool { return int(looked.Load()) > n }, func() string { return "none" })
		stop()
	}
	changes.Stop()
	for e := range changes.ResultChan() {
		if x, ok := e.Object.(*v1alpha1.Tenant); ok && e.Type == watch.Modified && !meta.IsStatusConditionTrue(x.Status.Conditions, v1alpha1.ConditionReady) {
			t.Errorf("%s was not Ready for a moment: phase %s, %+v", x.Name, x.Status.Phase, x.Status.Conditions)
		}
	}
}

func (w *world) watchTenants() watch.Interface {
	w.t.Helper()
	c, err := client.NewWithWatch(w.config, client.Options{Scheme: run.Scheme()})
	if err != nil {
		w.t.Fatal(err)
	}
	watched, err := c.Watch(w.t.Context(), &v1alpha1.TenantList{})
	if err != nil {
		w.t.Fatal(err)
	}
	return watched
}

func TestASecondOperatorTakesOverWhenTheLeaderStops(t *testing.T) {
	w := setup(t)
	elect := func(o *run.Options) { o.LeaderElect = true }
	holder := func() string {
		var lease coordinationv1.Lease
		if w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "circle15-operator"}, &lease) != nil || lease.Spec.HolderIdentity == nil {
			return ""
		}
		return *lease.Spec.HolderIdentity
	}
	stopFirst := w.operate(elect)
	w.eventually("a leader", func() bool { return holder() != "" }, func() string { return "no lease" })
	first := holder()
	w.operate(elect)
	province := w.province()
	w.awaitReady(province)
	if holder() != first {
		t.Error("the leader changed although it runs")
	}
	stopFirst()
	city := w.city(province)
	w.awaitReady(city)
	if holder() == first {
		t.Error("the lease is still the first operator's")
	}
}

func TestATenantWaitsWhilePostgreSQLIsAwayAndGoesOnWhenItIsBack(t *testing.T) {
	dir, err := os.MkdirTemp("", "circle15-outage-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	server := startServer(t, dir, 0)
	if _, err := provision.Bootstrap(t.Context(), provision.BootstrapConfig{
		AdminURL: server.SuperuserURL("postgres"), OperatorPassword: testenv.Password, AppPassword: testenv.Password,
	}); err != nil {
		t.Fatal(err)
	}
	w := setup(t)
	w.addCluster("fragile", server.TCPURL(provision.OperatorRole, testenv.Password, provision.DefaultDatabase),
		func(s *v1alpha1.DatabaseClusterSpec) { s.Class = "fragile" })
	w.operate()
	province := w.province()
	city := w.city(province, inClass("fragile"))
	w.awaitReady(city)

	if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.DisplayName.Zh = "改名" }); err != nil {
		t.Fatal(err)
	}
	away := w.awaitReason(city, v1alpha1.PhaseProvisioning, "Retrying")
	c := meta.FindStatusCondition(away.Status.Conditions, v1alpha1.ConditionReady)
	if !strings.HasPrefix(c.Message, "PostgreSQL ") || !strings.HasSuffix(c.Message, "; the operator tries again") {
		t.Errorf("the message is %q", c.Message)
	}
	other := w.city(province, func(c *v1alpha1.Tenant) { c.Spec.Database = &v1alpha1.Placement{Cluster: w.cluster} })
	w.awaitReady(other) // the other cluster's tenants are not held up

	server = startServer(t, dir, server.Port())
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
	w.awaitReady(city)
}

func startServer(t *testing.T, dir string, port int) *embeddedpg.Server {
	t.Helper()
	server, err := embeddedpg.Start(t.Context(), embeddedpg.Config{
		Dir: dir, Port: port, BinDir: os.Getenv(testenv.BinEnv), Settings: map[string]string{"fsync": "off"}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func TestEventsTellWhatHappened(t *testing.T) {
	w := setup(t)
	w.operate(func(o *run.Options) { o.DriftEvery = 200 * time.Millisecond })
	province := w.province()
	city := w.city(province)
	w.awaitReady(city)
	w.exec(`DROP INDEX ` + schemaOf(city) + `.cases_station`)
	w.awaitEvent(city, "Normal", "Ready")
	w.awaitEvent(city, "Normal", "Repaired")
	for _, suspend := range []bool{true, false} {
		if err := w.update(city, func(c *v1alpha1.Tenant) { c.Spec.Suspend = suspend }); err != nil {
			t.Fatal(err)
		}
		w.awaitEvent(city, "Normal", map[bool]string{true: "Suspended", false: "Resumed"}[suspend])
	}
	twin := tenantOf("twin-of-events", v1alpha1.LevelCity, province.Name, city.Spec.DivisionCode)
	w.create(twin)
	w.cleanup(twin)
	w.awaitEvent(twin, "Warning", "DivisionTaken")
	w.awaitReady(city)
	w.delete(city)
	w.awaitEvent(city, "Normal", "Deleted")
}

func (w *world) awaitEvent(about *v1alpha1.Tenant, kind, reason string) {
	w.t.Helper()
	var seen []string
	w.eventually("event "+reason, func() bool {
		var list eventsv1.EventList
		if err := w.client.List(w.t.Context(), &list, client.InNamespace(metav1.NamespaceDefault)); err != nil {
			return false
		}
		seen = nil
		for i := range list.Items {
			e := &list.Items[i]
			if e.Regarding.Name != about.Name {
				continue
			}
			if seen = append(seen, e.Type+" "+e.Reason); e.Type == kind && e.Reason == reason {
				return true
			}
		}
		return false
	}, func() string { return "only " + about.Name + ": " + strings.Join(seen, ", ") })
}

func TestReconciliationsAreTraced(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	w := setup(t)
	w.operate()
	w.awaitReady(w.province())
	seen := map[string]bool{}
	for _, span := range spans.GetSpans() {
		seen[span.Name] = true
	}
	if !seen["provision"] || !seen["DatabaseCluster"] {
		t.Errorf("no spans of provisioning and of the cluster among %v", seen)
	}
}

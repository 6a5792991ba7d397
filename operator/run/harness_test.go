package run_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/jackc/pgx/v5/pgxpool"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/divisions"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/run"
)

// patience bounds every wait for a condition.
const patience = 60 * time.Second

var apiServer struct {
	once   sync.Once
	env    *envtest.Environment
	config *rest.Config
	err    error
	names  int
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	code := m.Run()
	if apiServer.env != nil {
		_ = apiServer.env.Stop()
	}
	os.Exit(code)
}

// kubernetes is a real kube-apiserver with the project's definitions, one for this test process.
func kubernetes(t *testing.T) (*rest.Config, client.Client) {
	t.Helper()
	apiServer.once.Do(func() {
		apiServer.env = &envtest.Environment{
			CRDDirectoryPaths:     []string{filepath.Join("..", "..", "charts", "circle15", "crds")},
			ErrorIfCRDPathMissing: true,
			BinaryAssetsDirectory: os.Getenv("KUBEBUILDER_ASSETS"),
		}
		apiServer.config, apiServer.err = apiServer.env.Start()
	})
	if apiServer.err != nil {
		t.Fatalf("no API server to test with (build one with `make kubernetes` and set KUBEBUILDER_ASSETS): %v", apiServer.err)
	}
	c, err := client.New(apiServer.config, client.Options{Scheme: run.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return apiServer.config, c
}

// world is one test's namespace, database cluster and operator.
type world struct {
	t         *testing.T
	config    *rest.Config
	client    client.Client
	namespace string
	cluster   string
	sql       *pgxpool.Pool // as superuser
	clock     clock
	tenants   []*v1alpha1.Tenant // to be taken away at the end of the test
}

func setup(t *testing.T) *world {
	t.Helper()
	config, c := kubernetes(t)
	platform := testenv.Provisioned(t)
	pool, err := pgxpool.New(context.WithoutCancel(t.Context()), platform.SuperuserURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	apiServer.names++
	w := &world{t: t, config: config, client: c, cluster: "default", sql: pool, namespace: fmt.Sprintf("ns-%d", apiServer.names)}
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "database", Namespace: w.namespace},
		Data:       map[string][]byte{"url": []byte(platform.OperatorURL)},
	})
	w.create(&v1alpha1.DatabaseCluster{
		ObjectMeta: metav1.ObjectMeta{Name: w.cluster},
		Spec:       v1alpha1.DatabaseClusterSpec{ConnectionSecret: v1alpha1.SecretKey{Name: "database"}},
	})
	t.Cleanup(func() { w.removeCluster(w.cluster) })
	t.Cleanup(w.removeTenants)
	return w
}

// removeCluster takes a DatabaseCluster off the API server when no operator is there to let it go.
func (w *world) removeCluster(name string) {
	ctx := context.WithoutCancel(w.t.Context())
	var c v1alpha1.DatabaseCluster
	if w.client.Get(ctx, keyOf(name), &c) == nil {
		_ = w.client.Delete(ctx, &c)
	}
	if w.client.Get(ctx, keyOf(name), &c) == nil {
		before := c.DeepCopy()
		c.Finalizers = nil
		_ = w.client.Patch(ctx, &c, client.MergeFrom(before))
	}
}

// clock is the operator's clock: real time, and what a test has added.
type clock struct {
	mu    sync.Mutex
	added time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.added)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added += d
}

// operate starts an operator, and returns how to stop it and wait for its end.
func (w *world) operate(change ...func(*run.Options)) (stop func()) {
	w.t.Helper()
	o := run.Options{
		Namespace: w.namespace, MetricsAddress: "0", HealthAddress: "0", Workers: 4,
		DriftEvery: time.Hour, PoliciesEvery: time.Hour, IsolationEvery: time.Hour, Now: w.clock.now, SkipNameValidation: true,
	}
	for _, f := range change {
		f(&o)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	done := make(chan error, 1)
	go func() { done <- run.Operator(ctx, w.config, o) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil && !errors.Is(err, context.Canceled) {
					w.t.Errorf("the operator ended with: %v", err)
				}
			case <-time.After(patience):
				w.t.Error("the operator did not stop")
			}
		})
	}
	w.t.Cleanup(stop)
	return stop
}

// addCluster adds a DatabaseCluster that the operator reaches by the URL.
func (w *world) addCluster(name, operatorURL string, change ...func(*v1alpha1.DatabaseClusterSpec)) {
	w.t.Helper()
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "database-" + name, Namespace: w.namespace},
		Data:       map[string][]byte{"url": []byte(operatorURL)},
	})
	c := &v1alpha1.DatabaseCluster{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.DatabaseClusterSpec{ConnectionSecret: v1alpha1.SecretKey{Name: "database-" + name}},
	}
	for _, f := range change {
		f(&c.Spec)
	}
	w.create(c)
	w.t.Cleanup(func() { w.removeCluster(name) })
}

// setCapacity changes the default cluster's capacity, and waits until the operator knows.
func (w *world) setCapacity(n int32) {
	w.t.Helper()
	var c v1alpha1.DatabaseCluster
	w.eventually("capacity set", func() bool {
		if err := w.client.Get(w.t.Context(), keyOf(w.cluster), &c); err != nil {
			return false
		}
		c.Spec.Capacity = n
		return w.client.Update(w.t.Context(), &c) == nil
	}, func() string { return "conflicts" })
	w.eventually("the operator knows the capacity", func() bool {
		return w.client.Get(w.t.Context(), keyOf(w.cluster), &c) == nil && c.Status.ObservedGeneration == c.Generation
	}, func() string { return "generation not observed" })
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := w.client.Create(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

// province creates a province that no other test has, and its cleanup.
func (w *world) province() *v1alpha1.Tenant {
	w.t.Helper()
	province := divisions.All(divisions.Province)
	for d := range province {
		apiServer.names++
		t := tenantOf(fmt.Sprintf("p%d-%s", apiServer.names, d.Code[:2]), v1alpha1.LevelProvince, "", d.Code)
		if taken(w, d.Code) || len(divisions.Children(d.Code)) < 10 {
			continue
		}
		w.create(t)
		w.cleanup(t)
		return t
	}
	w.t.Fatal("no province is left")
	return nil
}

func taken(w *world, code string) bool {
	var list v1alpha1.TenantList
	if err := w.client.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		if list.Items[i].Spec.DivisionCode == code {
			return true
		}
	}
	var n int
	if err := w.sql.QueryRow(w.t.Context(), `SELECT count(*) FROM circle15.tenants WHERE division_code = $1 AND state <> 'retained'`, code).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n > 0
}

// city creates a city of a province, changed by the options.
func (w *world) city(parent *v1alpha1.Tenant, change ...func(*v1alpha1.Tenant)) *v1alpha1.Tenant {
	w.t.Helper()
	code := w.cityCode(parent)
	apiServer.names++
	t := tenantOf(fmt.Sprintf("c%d-%s", apiServer.names, code), v1alpha1.LevelCity, parent.Name, code)
	for _, f := range change {
		f(t)
	}
	w.create(t)
	w.cleanup(t)
	return t
}

// cityCode is the division code of a city of the province that no tenant has.
func (w *world) cityCode(province *v1alpha1.Tenant) string {
	w.t.Helper()
	for _, d := range divisions.Children(province.Spec.DivisionCode) {
		if !taken(w, d.Code) {
			return d.Code
		}
	}
	w.t.Fatal("no city is left")
	return ""
}

func tenantOf(name string, level v1alpha1.Level, parent, code string) *v1alpha1.Tenant {
	return &v1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.TenantSpec{
			Level: level, Parent: parent, DivisionCode: code,
			DisplayName: v1alpha1.DisplayName{Zh: "测试", En: "Test"},
		},
	}
}

// cleanup takes a tenant off the API server at the end of the test, whatever the operator did of it.
func (w *world) cleanup(t *v1alpha1.Tenant) { w.tenants = append(w.tenants, t) }

// removeTenants runs after the test's operators have stopped, which could otherwise go on with what is being removed.
func (w *world) removeTenants() {
	ctx := context.WithoutCancel(w.t.Context())
	for _, t := range slices.Backward(w.tenants) {
		var now v1alpha1.Tenant
		if w.client.Get(ctx, keyOf(t.Name), &now) == nil {
			_ = w.client.Delete(ctx, &now)
		}
		if w.client.Get(ctx, keyOf(t.Name), &now) == nil {
			now.Finalizers = nil
			_ = w.client.Update(ctx, &now)
		}
		// The division is for whoever comes next.
		if _, err := w.sql.Exec(ctx, `UPDATE circle15.tenants SET state = 'retained' WHERE name = $1`, t.Name); err != nil {
			w.t.Errorf("the division of %s is not free: %v", t.Name, err)
		}
	}
}

// await polls until the tenant satisfies the condition; fails the test with its status otherwise.
func (w *world) await(t *v1alpha1.Tenant, what string, holds func(*v1alpha1.Tenant) bool) *v1alpha1.Tenant {
	w.t.Helper()
	var now v1alpha1.Tenant
	w.eventually(what, func() bool {
		now = v1alpha1.Tenant{}
		return w.client.Get(w.t.Context(), client.ObjectKeyFromObject(t), &now) == nil && holds(&now)
	}, func() string {
		return fmt.Sprintf("%s: phase %s, conditions %+v", t.Name, now.Status.Phase, now.Status.Conditions)
	})
	return &now
}

func (w *world) awaitReady(t *v1alpha1.Tenant) *v1alpha1.Tenant {
	w.t.Helper()
	return w.await(t, "Ready", func(now *v1alpha1.Tenant) bool {
		return now.Status.Phase == v1alpha1.PhaseReady && now.Status.ObservedGeneration == now.Generation &&
			meta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionReady)
	})
}

func (w *world) awaitReason(t *v1alpha1.Tenant, phase v1alpha1.Phase, reason string) *v1alpha1.Tenant {
	w.t.Helper()
	return w.await(t, string(phase)+" because of "+reason, func(now *v1alpha1.Tenant) bool {
		c := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionReady)
		return now.Status.Phase == phase && c != nil && c.Reason == reason
	})
}

func (w *world) awaitGone(t *v1alpha1.Tenant) {
	w.t.Helper()
	w.eventually("gone", func() bool {
		var now v1alpha1.Tenant
		return apierrors.IsNotFound(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(t), &now))
	}, func() string { return t.Name + " is still there" })
}

func (w *world) eventually(what string, holds func() bool, describe func() string) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited %s for: %s; %s", patience, what, describe())
		}
		<-tick.C
	}
}

// update changes an object as kubectl edit does.
func (w *world) update(t *v1alpha1.Tenant, change func(*v1alpha1.Tenant)) error {
	w.t.Helper()
	var now v1alpha1.Tenant
	if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(t), &now); err != nil {
		w.t.Fatal(err)
	}
	before := now.DeepCopy()
	change(&now)
	return w.client.Patch(w.t.Context(), &now, client.MergeFrom(before))
}

func (w *world) delete(t *v1alpha1.Tenant) {
	w.t.Helper()
	if err := w.client.Delete(w.t.Context(), t.DeepCopy()); err != nil {
		w.t.Fatal(err)
	}
}

// scalar reads one value as superuser.
func scalar[T any](w *world, sql string, args ...any) T {
	w.t.Helper()
	var v T
	if err := w.sql.QueryRow(w.t.Context(), sql, args...).Scan(&v); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func (w *world) exec(sql string) {
	w.t.Helper()
	if _, err := w.sql.Exec(context.WithoutCancel(w.t.Context()), sql); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

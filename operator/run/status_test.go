package run_test

import (
	"context"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/status"
)

// lagging is an API client whose reads show an object as it was, as a cache may that has not heard of the last change.
type lagging struct {
	client.Client
	shown client.Object
}

func (l *lagging) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	l.shown.(*v1alpha1.Tenant).DeepCopyInto(obj.(*v1alpha1.Tenant))
	return nil
}

func TestAReconciliationSeesItsLastStatusEvenWhereTheCacheDoesNotYet(t *testing.T) {
	_, api := kubernetes(t)
	w := &world{t: t, client: api}
	made := tenantOf("read-what-was-written", v1alpha1.LevelProvince, "", "650000")
	w.create(made)
	t.Cleanup(func() { _ = api.Delete(context.WithoutCancel(t.Context()), made) })
	cache := &lagging{api, made.DeepCopy()}
	store := status.NewStore(cache, api)
	read := func() *v1alpha1.Tenant {
		t.Helper()
		var now v1alpha1.Tenant
		if err := store.Get(t.Context(), made.Name, &now); err != nil {
			t.Fatal(err)
		}
		return &now
	}
	write := func(cluster string) {
		t.Helper()
		now := read()
		before := now.Status.DeepCopy()
		now.Status.Cluster = cluster
		if err := store.Patch(t.Context(), now, before, &now.Status); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	if got := read().Status.Cluster; got != "first" {
		t.Errorf("reads cluster %q beside a cache that lags, want the one written", got)
	}
	cache.shown = read()
	write("second")
	write("first") // which the cache still shows
	stored := &v1alpha1.Tenant{}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(made), stored); err != nil {
		t.Fatal(err)
	}
	if stored.Status.Cluster != "first" {
		t.Errorf("the server has cluster %q: the change was taken for made", stored.Status.Cluster)
	}

	cache.shown = stored.DeepCopy() // the cache catches up, and from then on it is what is read
	read()
	cache.shown.SetLabels(map[string]string{"seen-in": "cache"})
	if read().Labels["seen-in"] != "cache" {
		t.Error("reads past a cache that has caught up")
	}
}

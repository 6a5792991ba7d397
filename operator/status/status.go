// Package status writes what the controllers found.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// Owner is the field manager of everything that the operator applies.
const Owner = client.FieldOwner("circle15-operator")

// limit bounds the writing of one status.
const limit = 10 * time.Second

// Store reads the objects of one cluster-scoped kind, and writes their status. Its copies come from a cache, but are never
// older than what it has written itself: a status decided by an older one could take the last change for made, or an
// event for told.
type Store struct {
	client   client.Client // reads from a cache
	uncached client.Reader

	mu      sync.Mutex
	written map[string]string // resource versions that the cache has not shown yet, by name
}

// NewStore returns the store of a kind, of which the client reads from a cache.
func NewStore(c client.Client, uncached client.Reader) *Store {
	return &Store{client: c, uncached: uncached, written: map[string]string{}}
}

// Get reads the object of that name.
func (s *Store) Get(ctx context.Context, name string, obj client.Object) error {
	err := s.client.Get(ctx, client.ObjectKey{Name: name}, obj)
	if err == nil && s.behind(obj) {
		err = s.uncached.Get(ctx, client.ObjectKey{Name: name}, obj)
	}
	if apierrors.IsNotFound(err) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.written, name)
	}
	return err
}

// behind says whether the object is older than what was written. Versions of one resource are ordered (Kubernetes
// KEP-5504); where a server's are not, the object passes for current.
func (s *Store) behind(obj client.Object) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	version, known := s.written[obj.GetName()]
	if !known {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(obj.GetResourceVersion(), version); err == nil && order < 0 {
		return true
	}
	delete(s.written, obj.GetName())
	return false
}

// Patch applies (server-side) the status of obj where it differs from before. An object that is gone is no error.
func (s *Store) Patch(ctx context.Context, obj client.Object, before, now any) error {
	if equality.Semantic.DeepEqual(before, now) {
		return nil
	}
	kind, err := apiutil.GVKForObject(obj, s.client.Scheme())
	if err != nil {
		return err
	}
	fields, err := toMap(now)
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": fields}}
	u.SetGroupVersionKind(kind)
	u.SetName(obj.GetName())
	// The uid makes the patch fail for another object of the same name instead of creating its status.
	u.SetUID(obj.GetUID())
	// The request may have been cancelled by a shutdown; what was done is still worth telling.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := s.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), Owner, client.ForceOwnership); err != nil {
		return client.IgnoreNotFound(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written[u.GetName()] = u.GetResourceVersion() // of the server's answer
	return nil
}

func toMap(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	return fields, nil
}

// Public is what of an error a condition may say: driver errors hold addresses, user names and SQL, so of those only
// the class is told. The whole error goes to the log.
func Public(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return "PostgreSQL refused: SQLSTATE " + e.Code
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return "PostgreSQL cannot be reached"
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return "PostgreSQL did not answer"
	}
	return err.Error()
}

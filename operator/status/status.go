// Package status writes what the controllers found.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// Owner is the field manager of everything that the operator applies.
const Owner = client.FieldOwner("circle15-operator")

// limit bounds the writing of one status.
const limit = 10 * time.Second

// Patch applies (server-side) the status of obj where it differs from before. An object that is gone is no error.
func Patch(ctx context.Context, c client.Client, obj client.Object, before, now any) error {
	if equality.Semantic.DeepEqual(before, now) {
		return nil
	}
	kind, err := apiutil.GVKForObject(obj, c.Scheme())
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
	return client.IgnoreNotFound(c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), Owner, client.ForceOwnership))
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

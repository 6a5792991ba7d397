package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"circle15.dev/internal/tenant"
	"circle15.dev/services/demo/restclient"
)

// caller is a principal at one of the platform's doors.
type caller interface {
	call(ctx context.Context, request, reply proto.Message) error
}

// door makes callers: a subject with a token for the tenants, working in the first of them.
type door func(t *testing.T, p *running, subject string, tenants ...tenant.Name) caller

var doors = map[string]door{"REST": overREST, "gRPC": overGRPC}

type restCaller struct{ *restclient.Client }

func overREST(t *testing.T, p *running, subject string, tenants ...tenant.Name) caller {
	t.Helper()
	return restCaller{&restclient.Client{
		Base: p.rest, Token: p.token(t, subject, tenants...), Tenant: string(tenants[0]), HTTP: &http.Client{},
	}}
}

func (c restCaller) call(ctx context.Context, request, reply proto.Message) error {
	return c.Call(ctx, request, reply)
}

type grpcCaller struct {
	conn *grpc.ClientConn
	md   metadata.MD
}

func overGRPC(t *testing.T, p *running, subject string, tenants ...tenant.Name) caller {
	t.Helper()
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return grpcCaller{conn, metadata.Pairs("authorization", "Bearer "+p.token(t, subject, tenants...), "circle15-tenant", string(tenants[0]))}
}

func (c grpcCaller) call(ctx context.Context, request, reply proto.Message) error {
	rpc, err := restclient.RPC(request)
	if err != nil {
		return err
	}
	return c.conn.Invoke(metadata.NewOutgoingContext(ctx, c.md), fmt.Sprintf("/%s/%s", rpc.Parent().FullName(), rpc.Name()), request, reply)
}

// ask sends a request that must succeed.
func ask[T proto.Message](t *testing.T, c caller, request proto.Message, reply T) T {
	t.Helper()
	if err := c.call(t.Context(), request, reply); err != nil {
		t.Fatalf("%T: %v", request, err)
	}
	return reply
}

// refused sends a request that must fail with the kind, about the field where one is named.
func refused(t *testing.T, c caller, request proto.Message, kind string, field ...string) {
	t.Helper()
	rpc, err := restclient.RPC(request)
	if err != nil {
		t.Fatal(err)
	}
	err = c.call(t.Context(), request, replyOf(t, rpc.Output()))
	gotKind, fields := refusalOf(err)
	if gotKind != kind {
		t.Fatalf("%T: got %v, want %s", request, err, kind)
	}
	for _, f := range field {
		if !strings.Contains(fields, f) {
			t.Errorf("%T: the error names the fields %q, want %q", request, fields, f)
		}
	}
}

// refusalOf is the kind of an error and the fields that it names, from whichever door.
func refusalOf(err error) (kind, fields string) {
	if problem, ok := errors.AsType[*restclient.Problem](err); ok {
		for _, f := range problem.Fields {
			fields += f.Field + " "
		}
		return strings.ToUpper(strings.ReplaceAll(problem.Kind(), "-", "_")), fields
	}
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			kind = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				fields += v.GetField() + " "
			}
		}
	}
	return kind, fields
}

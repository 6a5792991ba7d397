package rpcserver

import (
	"context"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/tenant"
)

// Service is one of the platform's services, behind both doors.
type Service interface {
	// Name is the service's short name, as in "circle15 serve cases".
	Name() string
	// RegisterGRPC registers the implementation.
	RegisterGRPC(registrar grpc.ServiceRegistrar)
	// RegisterGateway registers the REST handlers, which call the service over conn.
	RegisterGateway(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error
}

// Authenticator verifies a bearer token. Its errors are apierr errors: Unauthenticated, or Unavailable when the
// issuer's keys cannot be had.
type Authenticator func(ctx context.Context, bearer string) (authn.Principal, error)

// Authorizer decides whether the principal may do the action on the resource in the tenant, and on which rows. Its
// errors are apierr errors: Denied, Suspended, or Unavailable when the policies cannot be read.
type Authorizer func(ctx context.Context, p authn.Principal, t tenant.Name, resource, action string) (authz.Scope, error)

// Quota is how many requests a second a tenant may make; 0 is no limit.
type Quota func(t tenant.Name) (perSecond int)

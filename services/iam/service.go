// Package iam keeps who may do what in a tenant: its roles, their rules, grants of them, and the audit trail. Each noun
// has a file of RPCs and one of SQL.
package iam

import (
	"context"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenantdb"
)

// Service implements iamv1.IamServiceServer.
type Service struct {
	iamv1.UnimplementedIamServiceServer
	db       *tenantdb.DB
	pages    *page.Codec
	policies *authz.Policies
}

// New returns the service over the tenants' databases; policies are those that decide the requests.
func New(db *tenantdb.DB, pages *page.Codec, policies *authz.Policies) *Service {
	return &Service{db: db, pages: pages, policies: policies}
}

// Name is the service's name on the command line.
func (s *Service) Name() string { return "iam" }

// RegisterGRPC adds the service to a gRPC server.
func (s *Service) RegisterGRPC(r grpc.ServiceRegistrar) { iamv1.RegisterIamServiceServer(r, s) }

// RegisterGateway adds the REST routes, which call the service over conn.
func (s *Service) RegisterGateway(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
	return iamv1.RegisterIamServiceHandlerClient(ctx, mux, iamv1.NewIamServiceClient(conn))
}

// wholeTenant refuses a caller whose rule ("*" for every resource) reaches only stations: roles, grants and the audit
// trail are the whole tenant's.
func wholeTenant(ctx context.Context) error {
	if authz.ScopeFrom(ctx).Level != authz.LevelTenant {
		return apierr.New(apierr.Denied, "this needs a rule of level tenant")
	}
	return nil
}

var levelToProto = map[authz.Level]iamv1.Level{
	authz.LevelAggregate: iamv1.Level_LEVEL_AGGREGATE,
	authz.LevelOwn:       iamv1.Level_LEVEL_OWN,
	authz.LevelStation:   iamv1.Level_LEVEL_STATION,
	authz.LevelTenant:    iamv1.Level_LEVEL_TENANT,
}

var levelFromProto = map[iamv1.Level]authz.Level{
	iamv1.Level_LEVEL_AGGREGATE: authz.LevelAggregate,
	iamv1.Level_LEVEL_OWN:       authz.LevelOwn,
	iamv1.Level_LEVEL_STATION:   authz.LevelStation,
	iamv1.Level_LEVEL_TENANT:    authz.LevelTenant,
}

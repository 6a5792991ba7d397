// Package cases works individual cases (个案, MZ/T 094-2017): from intake to closure and follow-up, with sessions and
// referrals. The rules of the standard are in rules.go; each other noun has a file of RPCs and one of SQL.
package cases

import (
	"context"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenantdb"
)

// Service implements casesv1.CasesServiceServer.
type Service struct {
	casesv1.UnimplementedCasesServiceServer
	db    *tenantdb.DB
	pages *page.Codec
}

// New returns the service over the tenants' databases.
func New(db *tenantdb.DB, pages *page.Codec) *Service { return &Service{db: db, pages: pages} }

// Name is the service's name on the command line.
func (s *Service) Name() string { return "cases" }

// RegisterGRPC adds the service to a gRPC server.
func (s *Service) RegisterGRPC(r grpc.ServiceRegistrar) { casesv1.RegisterCasesServiceServer(r, s) }

// RegisterGateway adds the REST routes, which call the service over conn.
func (s *Service) RegisterGateway(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
	return casesv1.RegisterCasesServiceHandlerClient(ctx, mux, casesv1.NewCasesServiceClient(conn))
}

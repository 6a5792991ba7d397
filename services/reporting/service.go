// Package reporting answers reports from service_facts and shows the rows behind every figure. What the measures mean is
// in README.md; how they are counted is in the SQL function work_summary of the tenant's schema.
package reporting

import (
	"context"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	reportingv1 "circle15.dev/api/reporting/v1"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenantdb"
)

// Service implements reportingv1.ReportingServiceServer.
type Service struct {
	reportingv1.UnimplementedReportingServiceServer
	db    *tenantdb.DB
	pages *page.Codec
}

// New returns the service over the tenants' databases.
func New(db *tenantdb.DB, pages *page.Codec) *Service { return &Service{db: db, pages: pages} }

// Name is the service's name on the command line.
func (s *Service) Name() string { return "reporting" }

// RegisterGRPC adds the service to a gRPC server.
func (s *Service) RegisterGRPC(r grpc.ServiceRegistrar) {
	reportingv1.RegisterReportingServiceServer(r, s)
}

// RegisterGateway adds the REST routes, which call the service over conn.
func (s *Service) RegisterGateway(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
	return reportingv1.RegisterReportingServiceHandlerClient(ctx, mux, reportingv1.NewReportingServiceClient(conn))
}

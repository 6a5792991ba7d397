// Package visits plans and records visits to households: at home (入户探访), by phone and at the station, followed up,
// and brought in from offline work in batches. What a visit may be is in rules.go; references of one visit or of a
// whole batch are resolved in references.go.
package visits

import (
	"context"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenantdb"
)

// Service implements visitsv1.VisitsServiceServer.
type Service struct {
	visitsv1.UnimplementedVisitsServiceServer
	db    *tenantdb.DB
	pages *page.Codec
}

// New returns the service over the tenants' databases.
func New(db *tenantdb.DB, pages *page.Codec) *Service { return &Service{db: db, pages: pages} }

// Name is the service's name on the command line.
func (s *Service) Name() string { return "visits" }

// RegisterGRPC adds the service to a gRPC server.
func (s *Service) RegisterGRPC(r grpc.ServiceRegistrar) { visitsv1.RegisterVisitsServiceServer(r, s) }

// RegisterGateway adds the REST routes, which call the service over conn.
func (s *Service) RegisterGateway(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
	return visitsv1.RegisterVisitsServiceHandlerClient(ctx, mux, visitsv1.NewVisitsServiceClient(conn))
}

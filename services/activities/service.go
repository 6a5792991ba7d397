// Package activities records community activities (社区活动) and group work (小组, MZ/T 095-2017) with its sessions and
// attendance. The rules are in rules.go, what is counted in facts.go; each noun has a file of RPCs and one of SQL.
package activities

import (
	"context"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	activitiesv1 "circle15.dev/api/activities/v1"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenantdb"
)

// Service implements activitiesv1.ActivitiesServiceServer.
type Service struct {
	activitiesv1.UnimplementedActivitiesServiceServer
	db    *tenantdb.DB
	pages *page.Codec
}

// New returns the service over the tenants' databases.
func New(db *tenantdb.DB, pages *page.Codec) *Service { return &Service{db: db, pages: pages} }

// Name is the service's name on the command line.
func (s *Service) Name() string { return "activities" }

// RegisterGRPC adds the service to a gRPC server.
func (s *Service) RegisterGRPC(r grpc.ServiceRegistrar) {
	activitiesv1.RegisterActivitiesServiceServer(r, s)
}

// RegisterGateway adds the REST routes, which call the service over conn.
func (s *Service) RegisterGateway(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
	return activitiesv1.RegisterActivitiesServiceHandlerClient(ctx, mux, activitiesv1.NewActivitiesServiceClient(conn))
}

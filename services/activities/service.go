// Package activities records community activities (社区活动) and group work (小组, MZ/T 095-2017) with its sessions and
// attendance. The rules are in rules.go, what is counted in facts.go; each noun has a file of RPCs and one of SQL.
package activities

import (
	"context"

	"github.com/google/uuid"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	activitiesv1 "circle15.dev/api/activities/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
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

// start reads the page of a list and the id after which it begins.
func (s *Service) start(ctx context.Context, req page.Request) (page.Page, uuid.UUID, error) {
	p, err := s.pages.Start(ctx, req)
	if err != nil {
		return p, uuid.Nil, err
	}
	after, err := p.AfterID()
	return p, after, err
}

// caller is the subject that a row is recorded by.
func caller(ctx context.Context) (string, error) {
	p, ok := authn.From(ctx)
	if !ok {
		return "", apierr.New(apierr.Unauthenticated, "a verified token is required")
	}
	return p.Subject, nil
}

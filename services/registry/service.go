// Package registry is the register of a tenant: stations, workers, communities, households, residents, their needs and
// service files, volunteer teams and volunteers.
//
// One file per noun holds its RPCs, <noun>_store.go its SQL, rules.go and <noun>_rules.go what is checked without a
// database. Nothing here returns an identity number, and no error repeats a name or number of a person.
package registry

import (
	"context"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/page"
	"circle15.dev/internal/standards"
	"circle15.dev/internal/tenantdb"
)

// Service implements registryv1.RegistryServiceServer.
type Service struct {
	registryv1.UnimplementedRegistryServiceServer
	db    *tenantdb.DB
	pages *page.Codec
}

// New returns the service over the tenants' databases.
func New(db *tenantdb.DB, pages *page.Codec) *Service { return &Service{db: db, pages: pages} }

// Name is the service's short name.
func (s *Service) Name() string { return "registry" }

// RegisterGRPC registers the service at a gRPC server or an in-process channel.
func (s *Service) RegisterGRPC(r grpc.ServiceRegistrar) {
	registryv1.RegisterRegistryServiceServer(r, s)
}

// RegisterGateway registers the REST routes, which call the service over conn.
func (s *Service) RegisterGateway(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
	return registryv1.RegisterRegistryServiceHandlerClient(ctx, mux, registryv1.NewRegistryServiceClient(conn))
}

// GetStandards returns the standards pack in force for the tenant.
func (s *Service) GetStandards(ctx context.Context, _ *registryv1.GetStandardsRequest) (*registryv1.Standards, error) {
	pack := standards.For(ctx)
	out := &registryv1.Standards{Pack: pack.Name, Version: pack.Version}
	for _, list := range pack.Lists {
		l := &registryv1.StandardList{Name: list.Name}
		for _, c := range list.Codes {
			l.Codes = append(l.Codes, &registryv1.StandardCode{Code: c.Code, LabelZh: c.Zh, LabelEn: c.En, UnitZh: c.UnitZh, UnitEn: c.UnitEn})
		}
		out.Lists = append(out.Lists, l)
	}
	return out, nil
}

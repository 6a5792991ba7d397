package rpcserver_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/rpcserver"
)

// discard is a response writer that costs next to nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkRESTDoor is what the REST door itself costs: routing, checks, chain, JSON; without a socket, a token to
// verify and a database.
func BenchmarkRESTDoor(b *testing.B) {
	resident := &registryv1.Resident{
		Id: someID, HouseholdId: otherID, StationId: someID, Name: "王桂英", Sex: registryv1.Sex_SEX_FEMALE, BirthDate: "1945-12-03",
		MaskedIdentityNumber: "460100********0027", Phone: "0898-60000000", AssistanceTier: "minimum_living", Registered: true,
		Categories: []string{"elderly_alone", "chronic_illness"}, LegalBasis: 1, LegalBasisDate: "2021-05-01", Etag: `"3"`,
		CreateTime: timestamppb.Now(), UpdateTime: timestamppb.Now(),
	}
	service := echoing()
	service.getResident = func(context.Context, *registryv1.GetResidentRequest) (*registryv1.Resident, error) {
		return resident, nil
	}
	server, err := rpcserver.New(options(service))
	if err != nil {
		b.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodGet, "/v1/residents/"+someID, nil)
	request.Header = http.Header{
		"Authorization": {"Bearer " + goodToken}, "User-Agent": {"bench"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip"},
	}
	b.ReportAllocs()
	for b.Loop() {
		server.Handler().ServeHTTP(&discard{http.Header{}}, request)
	}
}

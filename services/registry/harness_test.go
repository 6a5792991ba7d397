package registry_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/page"
	"circle15.dev/internal/rpcserver"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
	"circle15.dev/services/registry"
)

// caller is who calls and what the policies would allow: the bearer token of these tests, as JSON.
type caller struct {
	Tenant tenant.Name
	Scope  authz.Scope
}

// env is the registry of a tenant of its own, behind the doors of a server.
type env struct {
	registryv1.RegistryServiceClient
	t      testing.TB
	tenant tenant.Name
}

// newEnv is the registry of Haikou.
func newEnv(t testing.TB) *env {
	t.Helper()
	return newEnvOf(t, "460100")
}

// newEnvOf is the registry of a tenant whose division has the code.
func newEnvOf(t testing.TB, division string) *env {
	t.Helper()
	platform := testenv.Provisioned(t)
	name := testenv.NewTenant(t)
	directory := tenantdb.NewDirectory(tenantdb.Placement{
		Tenant: name, Cluster: provision.DefaultCluster, State: tenantdb.StateActive, SchemaVersion: 1, DivisionCode: division,
	})
	db, err := tenantdb.Open(t.Context(), tenantdb.Config{
		Clusters: map[string]string{provision.DefaultCluster: platform.AppURL}, MaxConns: 4,
	}, directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	service := registry.New(db, page.NewCodec([]byte("a key for these tests, 32 bytes..")))
	return &env{registryv1.NewRegistryServiceClient(serve(t, service)), t, name}
}

// serve runs a server with the service and returns a connection to its gRPC door.
func serve(t testing.TB, service rpcserver.Service) *grpc.ClientConn {
	t.Helper()
	server, err := rpcserver.New(rpcserver.Options{
		Services: []rpcserver.Service{service},
		Authenticate: func(_ context.Context, bearer string) (authn.Principal, error) {
			var c caller
			err := json.Unmarshal([]byte(bearer), &c)
			return authn.Principal{Issuer: "test", Subject: c.Scope.Subject, Name: bearer, Tenants: []string{c.Tenant.String()}}, err
		},
		Authorize: func(_ context.Context, p authn.Principal, _ tenant.Name, _, _ string) (authz.Scope, error) {
			var c caller
			err := json.Unmarshal([]byte(p.Name), &c)
			return c.Scope, err
		},
		HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0", Limits: rpcserver.DefaultLimits(), Drain: rpcserver.Drain{Timeout: 10 * time.Second},
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := server.Run(ctx); err != nil {
			t.Errorf("server: %v", err)
		}
	})
	conn, err := grpc.NewClient(server.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		stop()
		done.Wait()
	})
	return conn
}

// as is a context of a call with the scope.
func (e *env) as(scope authz.Scope) context.Context {
	if scope.Subject == "" {
		scope.Subject = "someone"
	}
	bearer, err := json.Marshal(caller{e.tenant, scope})
	if err != nil {
		e.t.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(e.t.Context(), "authorization", "Bearer "+string(bearer))
}

// admin calls with the whole tenant in reach.
func (e *env) admin() context.Context { return e.as(authz.Scope{Level: authz.LevelTenant}) }

// at calls with the station in reach.
func (e *env) at(station string) context.Context {
	return e.as(authz.Scope{Level: authz.LevelStation, Stations: []uuid.UUID{uuid.MustParse(station)}})
}

// must is the reply of a call that has to succeed.
func must[T any](t testing.TB) func(T, error) T {
	return func(reply T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%v %v", err, status.Convert(err).Details())
		}
		return reply
	}
}

// refused wants the gRPC code and, unless empty, a violation of the field.
func refused(t testing.TB, what string, err error, code codes.Code, field string) {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != code {
		t.Errorf("%s: %v %s, want %v", what, s.Code(), s.Message(), code)
		return
	}
	if field != "" && violated(err) != field {
		t.Errorf("%s: %s %v, want a violation of %s", what, s.Message(), s.Details(), field)
	}
}

// violated is the first field that the error complains about; empty where there is none.
func violated(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			return bad.GetFieldViolations()[0].GetField()
		}
	}
	return ""
}

// Records that keep every rule --------------------------------------------------------------------------------------

const township = "460107003" // 滨江街道

func (e *env) station(code string) *registryv1.Station {
	e.t.Helper()
	return e.stationSince(code, "2021-05-01")
}

func (e *env) stationSince(code, day string) *registryv1.Station {
	e.t.Helper()
	return must[*registryv1.Station](e.t)(e.CreateStation(e.admin(), &registryv1.CreateStationRequest{Station: &registryv1.Station{
		DivisionCode: code, DisplayName: "社工站", OpenedDate: day,
	}}))
}

func (e *env) worker(station *registryv1.Station) *registryv1.Staff {
	e.t.Helper()
	return must[*registryv1.Staff](e.t)(e.CreateStaff(e.admin(), &registryv1.CreateStaffRequest{Staff: &registryv1.Staff{
		StationId: station.GetId(), Name: "社工", Position: registryv1.StaffPosition_STAFF_POSITION_SOCIAL_WORKER, StartDate: "2021-05-01",
	}}))
}

func (e *env) community(station *registryv1.Station, number string) *registryv1.Community {
	e.t.Helper()
	return must[*registryv1.Community](e.t)(e.CreateCommunity(e.admin(), &registryv1.CreateCommunityRequest{
		Community: &registryv1.Community{
			StationId: station.GetId(), DivisionCode: station.GetDivisionCode() + number, DisplayName: "社区",
		},
	}))
}

func (e *env) household(community *registryv1.Community) *registryv1.Household {
	e.t.Helper()
	return must[*registryv1.Household](e.t)(e.CreateHousehold(e.admin(), &registryv1.CreateHouseholdRequest{
		Household: &registryv1.Household{CommunityId: community.GetId(), HeadName: "户主", Address: "某路1号"},
	}))
}

func (e *env) resident(household *registryv1.Household, changes ...func(*registryv1.Resident)) *registryv1.Resident {
	e.t.Helper()
	return must[*registryv1.Resident](e.t)(e.CreateResident(e.admin(), resident(household, changes...)))
}

func resident(household *registryv1.Household, changes ...func(*registryv1.Resident)) *registryv1.CreateResidentRequest {
	r := &registryv1.Resident{
		HouseholdId: household.GetId(), Name: "居民", NoIdentityReason: "not at hand", Sex: registryv1.Sex_SEX_FEMALE,
		BirthDate: "1949-12-31", LegalBasis: registryv1.LegalBasis_LEGAL_BASIS_CONSENT, LegalBasisDate: "2021-06-01",
	}
	for _, change := range changes {
		change(r)
	}
	return &registryv1.CreateResidentRequest{Resident: r}
}

// place is a station with a worker, a community, a household and a resident.
type place struct {
	station   *registryv1.Station
	worker    *registryv1.Staff
	community *registryv1.Community
	household *registryv1.Household
	resident  *registryv1.Resident
}

func (e *env) place(code string) place {
	e.t.Helper()
	station := e.station(code)
	community := e.community(station, "001")
	household := e.household(community)
	return place{station, e.worker(station), community, household, e.resident(household)}
}

// Rows --------------------------------------------------------------------------------------------------------------

// fact is a row of service_facts as these tests look at it.
type fact struct {
	Measure  string
	Date     string
	Station  string
	Staff    string
	Domain   string
	Amount   int32
	Reversal bool
}

// facts are the facts of the source, in the order in which they were written.
func (e *env) facts(source string) []fact {
	e.t.Helper()
	rows := e.query(`SELECT measure, fact_date::text, station_id::text, coalesce(staff_id::text, ''), domain, amount,
		reverses IS NOT NULL FROM {tenant}.service_facts WHERE source_id = $1 ORDER BY id`, source)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[fact])
	if err != nil {
		e.t.Fatal(err)
	}
	return found
}

// count is the number in the only row of a query.
func (e *env) count(sql string, args ...any) int64 {
	e.t.Helper()
	n, err := pgx.CollectExactlyOneRow(e.query(sql, args...), pgx.RowTo[int64])
	if err != nil {
		e.t.Fatal(err)
	}
	return n
}

// exec writes into the tables themselves what another service would.
func (e *env) exec(sql string, args ...any) {
	e.t.Helper()
	rows := e.query(sql, args...)
	rows.Close()
	if err := rows.Err(); err != nil {
		e.t.Fatal(err)
	}
}

// query asks the tables themselves, past the service.
func (e *env) query(sql string, args ...any) pgx.Rows {
	e.t.Helper()
	conn, err := pgx.Connect(e.t.Context(), testenv.Provisioned(e.t).SuperuserURL)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	rows, err := conn.Query(e.t.Context(), strings.ReplaceAll(sql, "{tenant}", pgx.Identifier{e.tenant.Schema()}.Sanitize()), args...)
	if err != nil {
		e.t.Fatal(err)
	}
	return rows
}

func newID() string { return ids.New().String() }

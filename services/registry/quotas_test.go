package registry_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/divisions"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
	"circle15.dev/services/registry"
)

// bounded is the registry of a tenant whose quotas a test sets, as the services learn of them.
type bounded struct {
	*env
	spec      provision.Spec
	directory *tenantdb.Directory
	townships []string
}

func newBounded(t testing.TB) *bounded {
	t.Helper()
	platform := testenv.Provisioned(t)
	b := &bounded{}
	name := testenv.NewTenant(t, func(s *provision.Spec) {
		s.DivisionCode = s.DivisionCode[:2] + "0100" // the province's capital: it has townships enough
		b.spec = *s
	})
	for _, county := range divisions.Children(b.spec.DivisionCode) {
		for _, d := range divisions.Children(county.Code) {
			b.townships = append(b.townships, d.Code)
		}
	}
	var err error
	if b.directory, err = tenantdb.OpenDirectory(t.Context(), map[string]string{"default": platform.AppURL}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.directory.Close)
	db, err := tenantdb.Open(t.Context(), tenantdb.Config{
		Clusters: map[string]string{provision.DefaultCluster: platform.AppURL}, MaxConns: 4,
	}, b.directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	service := registry.New(db, page.NewCodec([]byte("a key for these tests, 32 bytes..")))
	b.env = &env{registryv1.NewRegistryServiceClient(serve(t, service)), t, name}
	return b
}

// allow sets the tenant's quotas as the operator does, and waits until the services know them.
func (b *bounded) allow(q provision.Quotas) {
	b.t.Helper()
	b.spec.Quotas = q
	if _, err := testenv.Provisioned(b.t).Provisioner.Create(b.t.Context(), b.spec); err != nil {
		b.t.Fatal(err)
	}
	want := tenantdb.Quotas{Stations: quotaOf(q.Stations), Staff: quotaOf(q.Staff), Residents: quotaOf(q.Residents)}
	testenv.Await(b.t, "the services know the quotas "+q.String(), func() bool {
		p, _ := b.directory.Lookup(b.tenant)
		return p.Quotas == want
	})
}

func quotaOf(limit *int32) tenantdb.Quota {
	if limit == nil {
		return tenantdb.Quota{}
	}
	return tenantdb.Quota{Set: true, Most: int(*limit)}
}

func (b *bounded) open(township, closed string) (*registryv1.Station, error) {
	return b.CreateStation(b.admin(), &registryv1.CreateStationRequest{Station: &registryv1.Station{
		DivisionCode: township, DisplayName: "社工站", OpenedDate: "2021-05-01", ClosedDate: closed,
	}})
}

func (b *bounded) hire(station *registryv1.Station, end string) (*registryv1.Staff, error) {
	return b.CreateStaff(b.admin(), &registryv1.CreateStaffRequest{Staff: &registryv1.Staff{
		StationId: station.GetId(), Name: "社工", Position: registryv1.StaffPosition_STAFF_POSITION_SOCIAL_WORKER, StartDate: "2021-05-01", EndDate: end,
	}})
}

func (b *bounded) serve(worker *registryv1.Staff, end string) (*registryv1.Staff, error) {
	return b.UpdateStaff(b.admin(), &registryv1.UpdateStaffRequest{
		Staff: &registryv1.Staff{Id: worker.GetId(), EndDate: end}, UpdateMask: mask("end_date"),
	})
}

// overQuota wants a refusal that names the quota and its value.
func overQuota(t testing.TB, what string, err error, names string) {
	t.Helper()
	refused(t, what, err, codes.FailedPrecondition, "")
	if s := status.Convert(err); !strings.Contains(s.Message(), names) {
		t.Errorf("%s: the refusal %q does not say %q", what, s.Message(), names)
	}
}

func TestAQuotaOfStationsHoldsForOpeningAndReopening(t *testing.T) {
	b := newBounded(t)
	first := must[*registryv1.Station](t)(b.open(b.townships[0], ""))
	b.allow(provision.Quotas{Stations: new(int32(2))})
	must[*registryv1.Station](t)(b.open(b.townships[1], ""))
	_, err := b.open(b.townships[2], "")
	overQuota(t, "a third station", err, "quota of 2 stations")
	must[*registryv1.Station](t)(b.open(b.townships[3], "2022-06-30")) // it is no more

	must[*registryv1.Station](t)(b.closeStation(first.GetId(), "2022-06-30"))
	must[*registryv1.Station](t)(b.open(b.townships[2], ""))
	_, err = b.closeStation(first.GetId(), "")
	overQuota(t, "a station that opens again", err, "quota of 2 stations")
	_, err = b.closeStation(first.GetId(), civildate.Format(civildate.Today().AddDate(1, 0, 0)))
	overQuota(t, "a station that opens again for a year", err, "quota of 2 stations")
	must[*registryv1.Station](t)(b.closeStation(first.GetId(), "2022-07-31")) // another end in the past adds none
	if n := b.count(`SELECT count(*) FROM {tenant}.stations WHERE closed_date IS NULL`); n != 2 {
		t.Errorf("%d stations are in operation, want the quota's 2", n)
	}
	if n := b.count(`SELECT sum(amount) FROM {tenant}.service_facts WHERE measure = 'stations'`); n != 2 {
		t.Errorf("%d stations are counted: a refused one left facts behind", n)
	}
}

func TestAPlannedEndFreesNoPlaceYet(t *testing.T) {
	b := newBounded(t)
	b.allow(provision.Quotas{Stations: new(int32(1))})
	s := must[*registryv1.Station](t)(b.open(b.townships[0], civildate.Format(civildate.Today().AddDate(0, 0, 1))))
	_, err := b.open(b.townships[1], "")
	overQuota(t, "a station beside one that closes tomorrow", err, "quota of 1 stations")
	must[*registryv1.Station](t)(b.closeStation(s.GetId(), civildate.Format(civildate.Today())))
	must[*registryv1.Station](t)(b.open(b.townships[1], ""))
}

func TestAQuotaOfWorkersHoldsForHiringAndReturning(t *testing.T) {
	b := newBounded(t)
	station := must[*registryv1.Station](t)(b.open(b.townships[0], ""))
	b.allow(provision.Quotas{Staff: new(int32(1))})
	worker := must[*registryv1.Staff](t)(b.hire(station, ""))
	_, err := b.hire(station, "")
	overQuota(t, "a second worker", err, "quota of 1 workers")
	must[*registryv1.Staff](t)(b.hire(station, "2021-12-31")) // one who has left
	must[*registryv1.Staff](t)(b.serve(worker, "2021-12-31"))
	must[*registryv1.Staff](t)(b.hire(station, ""))
	_, err = b.serve(worker, "")
	overQuota(t, "a worker who returns", err, "quota of 1 workers")
}

func TestAQuotaOfResidentsHoldsAndALowerOneTouchesNobody(t *testing.T) {
	b := newBounded(t)
	p := b.place(b.townships[0])
	b.allow(provision.Quotas{Residents: new(int32(2))})
	second := b.resident(p.household)
	_, err := b.CreateResident(b.admin(), resident(p.household))
	overQuota(t, "a third resident", err, "quota of 2 residents")

	b.allow(provision.Quotas{Residents: new(int32(0)), Stations: new(int32(0)), Staff: new(int32(0))})
	must[*registryv1.Resident](t)(b.UpdateResident(b.admin(), &registryv1.UpdateResidentRequest{
		Resident: &registryv1.Resident{Id: second.GetId(), HouseholdId: b.household(p.community).GetId()}, UpdateMask: mask("household_id"),
	}))
	must[*registryv1.Station](t)(b.UpdateStation(b.admin(), &registryv1.UpdateStationRequest{
		Station: &registryv1.Station{Id: p.station.GetId(), Phone: "0898-12345"}, UpdateMask: mask("phone"),
	}))
	must[*registryv1.Staff](t)(b.serve(p.worker, civildate.Format(civildate.Today().AddDate(0, 1, 0))))
	must[*registryv1.Staff](t)(b.serve(p.worker, ""))
	_, err = b.CreateResident(b.admin(), resident(p.household))
	overQuota(t, "a resident where none are allowed", err, "quota of 0 residents")

	b.allow(provision.Quotas{})
	b.resident(p.household)
}

func TestARepeatedRequestIsCountedOnceAndAnsweredAtTheQuota(t *testing.T) {
	b := newBounded(t)
	b.allow(provision.Quotas{Stations: new(int32(1))})
	ctx := metadata.AppendToOutgoingContext(b.admin(), "idempotency-key", "the only station")
	req := &registryv1.CreateStationRequest{Station: &registryv1.Station{
		DivisionCode: b.townships[0], DisplayName: "社工站", OpenedDate: "2021-05-01",
	}}
	first := must[*registryv1.Station](t)(b.CreateStation(ctx, req))
	for range 3 {
		if again := must[*registryv1.Station](t)(b.CreateStation(ctx, req)); again.GetId() != first.GetId() {
			t.Errorf("the repeated request made station %s", again.GetId())
		}
	}
	taken := &registryv1.CreateStationRequest{Station: &registryv1.Station{
		Id: first.GetId(), DivisionCode: b.townships[0], DisplayName: "社工站", OpenedDate: "2021-05-01",
	}}
	_, err := b.CreateStation(b.admin(), taken) // without a key: what is there is told, not the quota
	refused(t, "the same station again", err, codes.AlreadyExists, "")
}

// Whatever callers do at once, in whatever order they come: never are there more than the quota allows, and none is
// refused while there is room for all who ask.
func TestARaceLetsExactlyAsManyThroughAsTheQuotaAllows(t *testing.T) {
	b := newBounded(t)
	sql, err := pgx.Connect(t.Context(), testenv.Provisioned(t).SuperuserURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sql.Close(context.Background()) }()
	stations := pgx.Identifier{b.tenant.Schema(), "stations"}.Sanitize()
	rapid.Check(t, func(rt *rapid.T) {
		// Those of the rounds before are out of the way.
		if _, err := sql.Exec(t.Context(), `UPDATE `+stations+` SET opened_date = '1999-01-01', closed_date = '1999-01-01'`); err != nil {
			rt.Fatal(err)
		}
		limit := rapid.IntRange(0, 6).Draw(rt, "quota")
		askers := rapid.IntRange(1, 12).Draw(rt, "askers")
		closed := rapid.IntRange(0, 3).Draw(rt, "of whom reopen")
		b.allow(provision.Quotas{})
		var old []*registryv1.Station
		for i := range closed {
			old = append(old, must[*registryv1.Station](t)(b.open(b.townships[20+i], "2022-06-30")))
		}
		b.allow(provision.Quotas{Stations: new(int32(limit))})
		var through atomic.Int64
		var group sync.WaitGroup
		ask := func(call func() error) {
			group.Go(func() {
				switch err := call(); status.Code(err) {
				case codes.OK:
					through.Add(1)
				case codes.FailedPrecondition:
				default:
					rt.Errorf("%v", err)
				}
			})
		}
		for i := range askers {
			ask(func() error { _, err := b.open(b.townships[i], ""); return err })
		}
		for _, s := range old {
			ask(func() error { _, err := b.closeStation(s.GetId(), ""); return err })
		}
		group.Wait()
		want := int64(min(limit, askers+closed))
		if got := through.Load(); got != want {
			rt.Errorf("%d of %d were let through by a quota of %d, want %d", got, askers+closed, limit, want)
		}
		var open int64
		if err := sql.QueryRow(t.Context(), `SELECT count(*) FROM `+stations+` WHERE closed_date IS NULL`).Scan(&open); err != nil || open != want {
			rt.Errorf("%d stations are in operation, want %d; error %v", open, want, err)
		}
	})
}

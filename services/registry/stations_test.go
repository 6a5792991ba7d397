package registry_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/divisions"
)

func mask(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }

func (e *env) closeStation(id, day string) (*registryv1.Station, error) {
	return e.UpdateStation(e.admin(), &registryv1.UpdateStationRequest{
		Station: &registryv1.Station{Id: id, ClosedDate: day}, UpdateMask: mask("closed_date"),
	})
}

func TestAStationIsCountedFromItsFirstDayToItsLast(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	opened := fact{Measure: "stations", Date: "2021-05-01", Station: s.GetId(), Amount: 1}
	if diff := cmp.Diff([]fact{opened}, e.facts(s.GetId())); diff != "" {
		t.Fatalf("after opening: %s", diff)
	}

	renamed := must[*registryv1.Station](t)(e.UpdateStation(e.admin(), &registryv1.UpdateStationRequest{
		Station: &registryv1.Station{Id: s.GetId(), DisplayName: "滨江街道社工站"},
	}))
	if renamed.GetDisplayName() != "滨江街道社工站" || renamed.GetOpenedDate() != "2021-05-01" || len(e.facts(s.GetId())) != 1 {
		t.Errorf("another name: %v, %v", renamed, e.facts(s.GetId()))
	}

	must[*registryv1.Station](t)(e.closeStation(s.GetId(), "2022-06-30"))
	undone := opened
	undone.Amount, undone.Reversal = -1, true
	closed := fact{Measure: "stations", Date: "2022-07-01", Station: s.GetId(), Amount: -1}
	if diff := cmp.Diff([]fact{opened, undone, opened, closed}, e.facts(s.GetId())); diff != "" {
		t.Fatalf("after closing: %s", diff)
	}

	must[*registryv1.Station](t)(e.closeStation(s.GetId(), "")) // opened again
	if n := e.count(`SELECT sum(amount) FROM {tenant}.service_facts WHERE fact_date >= '2022-01-01'`); n != 0 {
		t.Errorf("a station that goes on counts %d at its former end", n)
	}
	if n := e.count(`SELECT sum(amount) FROM {tenant}.service_facts`); n != 1 {
		t.Errorf("a station that goes on counts %d in all", n)
	}
}

func TestAStationNeedsATownshipOfTheTable(t *testing.T) {
	e := newEnv(t)
	for _, code := range []string{"460107999", "999999999"} {
		_, err := e.CreateStation(e.admin(), &registryv1.CreateStationRequest{
			Station: &registryv1.Station{DivisionCode: code, DisplayName: "社工站", OpenedDate: "2021-05-01"},
		})
		refused(t, code, err, codes.InvalidArgument, "station.divisionCode")
	}
	if n := e.count(`SELECT count(*) FROM {tenant}.stations`); n != 0 {
		t.Errorf("%d stations were stored", n)
	}
}

func TestAStationLiesInTheTenantsDivision(t *testing.T) {
	for _, tt := range []struct {
		what, division string
		inside         []string
		outside        map[string]string // to what the refusal says of it
	}{
		{"a city", "460100", []string{"460107003", "460105001"}, map[string]string{
			"460203198": "460203198 (海南省 / 三亚市 / 吉阳区 / ", "110101001": "110101001 (北京市 / ",
		}},
		{"a city without counties", "460400", []string{"460400100"}, map[string]string{"460107003": "滨江街道"}},
		{"a county that is a city", "469002", []string{"469002100"}, map[string]string{"469001100": "五指山市"}},
		{"a district", "460107", []string{"460107003"}, map[string]string{"460105001": "460105001 (海南省 / 海口市 / 秀英区 / "}},
		{"a province", "460000", []string{"460107003", "460400100", "469002100"}, map[string]string{"110101001": "北京市"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			e := newEnvOf(t, tt.division)
			for _, code := range tt.inside {
				e.station(code)
			}
			for code, says := range tt.outside {
				_, err := e.CreateStation(e.admin(), &registryv1.CreateStationRequest{
					Station: &registryv1.Station{DivisionCode: code, DisplayName: "社工站", OpenedDate: "2021-05-01"},
				})
				refused(t, code, err, codes.InvalidArgument, "station.divisionCode")
				if message := status.Convert(err).Message(); !strings.Contains(message, tt.division+" (海南省") || !strings.Contains(message, says) {
					t.Errorf("%s is refused with %q, which does not name both divisions", code, message)
				}
			}
			if n := e.count(`SELECT count(*) FROM {tenant}.stations`); n != int64(len(tt.inside)) {
				t.Errorf("%d stations are stored, want %d", n, len(tt.inside))
			}
		})
	}
}

func TestATownshipHasOneStationInOperation(t *testing.T) {
	e := newEnv(t)
	first := e.station(township)
	again := &registryv1.CreateStationRequest{
		Station: &registryv1.Station{DivisionCode: township, DisplayName: "社工站", OpenedDate: "2022-07-01"},
	}
	_, err := e.CreateStation(e.admin(), again)
	refused(t, "a second station", err, codes.AlreadyExists, "station.divisionCode")

	must[*registryv1.Station](t)(e.closeStation(first.GetId(), "2022-06-30"))
	must[*registryv1.Station](t)(e.CreateStation(e.admin(), again))
	_, err = e.closeStation(first.GetId(), "")
	refused(t, "opening the first again", err, codes.AlreadyExists, "station.divisionCode")
}

func TestAnIdOfTheClientIsKeptAndTakenOnce(t *testing.T) {
	e := newEnv(t)
	id := newID()
	create := &registryv1.CreateStationRequest{
		Station: &registryv1.Station{Id: id, DivisionCode: township, DisplayName: "社工站", OpenedDate: "2021-05-01"},
	}
	if s := must[*registryv1.Station](t)(e.CreateStation(e.admin(), create)); s.GetId() != id {
		t.Errorf("the id became %s", s.GetId())
	}
	create.Station.DivisionCode = "460107001"
	_, err := e.CreateStation(e.admin(), create)
	refused(t, "the same id", err, codes.AlreadyExists, "station.id")
}

func TestAStationWithWorkersInServiceIsNotClosed(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	worker := e.worker(s)
	_, err := e.closeStation(s.GetId(), "2022-06-30")
	refused(t, "a worker without an end", err, codes.Aborted, "station.closedDate")

	end := func(day string) (*registryv1.Staff, error) {
		return e.UpdateStaff(e.admin(), &registryv1.UpdateStaffRequest{
			Staff: &registryv1.Staff{Id: worker.GetId(), EndDate: day}, UpdateMask: mask("end_date"),
		})
	}
	must[*registryv1.Staff](t)(end("2022-07-01"))
	_, err = e.closeStation(s.GetId(), "2022-06-30")
	refused(t, "a worker who leaves later", err, codes.Aborted, "station.closedDate")

	must[*registryv1.Staff](t)(end("2022-06-30"))
	must[*registryv1.Station](t)(e.closeStation(s.GetId(), "2022-06-30"))

	_, err = end("2022-07-01")
	refused(t, "a worker who stays longer", err, codes.InvalidArgument, "staff.endDate")
	_, err = e.CreateStaff(e.admin(), &registryv1.CreateStaffRequest{Staff: &registryv1.Staff{
		StationId: s.GetId(), Name: "社工", Position: registryv1.StaffPosition_STAFF_POSITION_HEAD, StartDate: "2021-05-01",
	}})
	refused(t, "a new worker", err, codes.InvalidArgument, "staff.endDate")
}

func TestClosingAStationAndAWorkersArrivalExcludeEachOther(t *testing.T) {
	e := newEnv(t)
	for i, d := range divisions.Townships("460107") {
		s := e.station(d.Code)
		var racing sync.WaitGroup
		var closed, joined error
		racing.Go(func() { _, closed = e.closeStation(s.GetId(), "2022-06-30") })
		racing.Go(func() {
			_, joined = e.CreateStaff(e.admin(), &registryv1.CreateStaffRequest{Staff: &registryv1.Staff{
				StationId: s.GetId(), Name: "社工", Position: registryv1.StaffPosition_STAFF_POSITION_HEAD, StartDate: "2021-05-01",
			}})
		})
		racing.Wait()
		if (closed == nil) == (joined == nil) {
			t.Fatalf("round %d: closing: %v, joining: %v", i, closed, joined)
		}
	}
}

func TestAStationIsClosedNoEarlierThanOpened(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	_, err := e.closeStation(s.GetId(), "2021-04-30")
	refused(t, "closed before opened", err, codes.InvalidArgument, "station.closedDate")
	_, err = e.UpdateStation(e.admin(), &registryv1.UpdateStationRequest{
		Station: &registryv1.Station{Id: s.GetId(), DivisionCode: "460107001"}, UpdateMask: mask("division_code"),
	})
	refused(t, "another township", err, codes.InvalidArgument, "station.divisionCode")
}

func TestOnlyWhoReachesTheTenantCreatesStations(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	create := &registryv1.CreateStationRequest{
		Station: &registryv1.Station{DivisionCode: "460107001", DisplayName: "社工站", OpenedDate: "2021-05-01"},
	}
	stations := []uuid.UUID{uuid.MustParse(s.GetId())}
	for _, scope := range []authz.Scope{
		{Level: authz.LevelStation, Stations: stations}, {Level: authz.LevelOwn, Stations: stations}, {Level: authz.LevelAggregate}, {},
	} {
		_, err := e.CreateStation(e.as(scope), create)
		refused(t, string(scope.Level), err, codes.PermissionDenied, "")
	}
}

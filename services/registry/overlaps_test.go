package registry_test

import (
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/civildate"
)

func TestATownshipHasOneStationAtATime(t *testing.T) {
	e := newEnv(t)
	create := func(opened, closed string) (*registryv1.Station, error) {
		return e.CreateStation(e.admin(), &registryv1.CreateStationRequest{Station: &registryv1.Station{
			DivisionCode: township, DisplayName: "社工站", OpenedDate: opened, ClosedDate: closed,
		}})
	}
	past := must[*registryv1.Station](t)(create("2021-05-01", "2022-06-30"))
	next := must[*registryv1.Station](t)(create("2022-07-01", "2023-06-30"))
	for what, days := range map[string][2]string{
		"inside the past one": {"2021-06-01", "2021-06-30"}, "around both": {"2020-01-01", "2024-01-01"},
		"on the last day": {"2023-06-30", ""}, "on the first day": {"2020-01-01", "2021-05-01"}, "without an end": {"2020-01-01", ""},
	} {
		_, err := create(days[0], days[1])
		refused(t, what, err, codes.AlreadyExists, "station.divisionCode")
	}
	_, err := e.closeStation(past.GetId(), "2022-07-01")
	refused(t, "closing a day into the next", err, codes.AlreadyExists, "station.divisionCode")
	_, err = e.UpdateStation(e.admin(), &registryv1.UpdateStationRequest{
		Station: &registryv1.Station{Id: next.GetId(), OpenedDate: "2022-06-30"},
	})
	refused(t, "opening on the last day of the one before", err, codes.AlreadyExists, "station.divisionCode")
	must[*registryv1.Station](t)(create("2023-07-01", ""))
	if n := e.count(`SELECT count(*) FROM {tenant}.stations`); n != 3 {
		t.Errorf("%d stations are stored", n)
	}
}

func TestOfTwoStationsAtOneTimeOneIsCreated(t *testing.T) {
	e := newEnv(t)
	var racing sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		racing.Go(func() {
			_, errs[i] = e.CreateStation(e.admin(), &registryv1.CreateStationRequest{Station: &registryv1.Station{
				DivisionCode: township, DisplayName: "社工站", OpenedDate: "2021-05-01", ClosedDate: "2022-06-30",
			}})
		})
	}
	racing.Wait()
	if n := e.count(`SELECT count(*) FROM {tenant}.stations`); n != 1 {
		t.Errorf("%d stations were created: %v", n, errs)
	}
}

func TestAStationHasOneHeadAtATime(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	head := func(start, end string) (*registryv1.Staff, error) {
		return e.CreateStaff(e.admin(), &registryv1.CreateStaffRequest{Staff: &registryv1.Staff{
			StationId: s.GetId(), Name: "站长", Position: registryv1.StaffPosition_STAFF_POSITION_HEAD, StartDate: start, EndDate: end,
		}})
	}
	first := must[*registryv1.Staff](t)(head("2021-05-01", "2022-06-30"))
	_, err := head("2022-06-30", "2022-12-31")
	refused(t, "from the last day of the first", err, codes.AlreadyExists, "staff.position")
	second := must[*registryv1.Staff](t)(head("2022-07-01", "2022-12-31"))
	refused(t, "the first stays", e.endService(first, "2022-07-01"), codes.AlreadyExists, "staff.position")

	worker := e.worker(s)
	promote := func(since string) (*registryv1.Staff, error) {
		return e.UpdateStaff(e.admin(), &registryv1.UpdateStaffRequest{Staff: &registryv1.Staff{
			Id: worker.GetId(), Position: registryv1.StaffPosition_STAFF_POSITION_HEAD, PositionSince: since,
		}})
	}
	_, err = promote("2022-12-31")
	refused(t, "promoted on the last day of the second", err, codes.AlreadyExists, "staff.position")
	_, err = promote("2021-04-30")
	refused(t, "promoted before the service", err, codes.InvalidArgument, "staff.positionSince")
	third := must[*registryv1.Staff](t)(promote(""))
	if today := civildate.Format(civildate.Today()); third.GetPositionSince() != today || worker.GetPositionSince() != "2021-05-01" {
		t.Errorf("in the position since %s, as a worker since %s", third.GetPositionSince(), worker.GetPositionSince())
	}
	third = must[*registryv1.Staff](t)(promote("2023-01-01"))
	if third.GetPositionSince() != "2023-01-01" {
		t.Errorf("corrected to %s", third.GetPositionSince())
	}
	third = must[*registryv1.Staff](t)(e.UpdateStaff(e.admin(), &registryv1.UpdateStaffRequest{
		Staff: &registryv1.Staff{Id: worker.GetId(), StartDate: "2021-05-02"},
	}))
	if third.GetPositionSince() != "2023-01-01" || third.GetStartDate() != "2021-05-02" {
		t.Errorf("with another start of service: %v", third)
	}
	refused(t, "the second stays", e.endService(second, "2023-01-01"), codes.AlreadyExists, "staff.position")
}

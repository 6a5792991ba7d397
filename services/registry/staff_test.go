package registry_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	registryv1 "circle15.dev/api/registry/v1"
)

func TestAStationHasOneHeadInService(t *testing.T) {
	e := newEnv(t)
	s, other := e.station(township), e.station("460107001")
	head := func(station *registryv1.Station) (*registryv1.Staff, error) {
		return e.CreateStaff(e.admin(), &registryv1.CreateStaffRequest{Staff: &registryv1.Staff{
			StationId: station.GetId(), Name: "站长", Position: registryv1.StaffPosition_STAFF_POSITION_HEAD, StartDate: "2021-05-01",
			Subject: "head@example",
		}})
	}
	first := must[*registryv1.Staff](t)(head(s))
	if first.GetPosition() != registryv1.StaffPosition_STAFF_POSITION_HEAD || first.GetSubject() != "head@example" {
		t.Errorf("the head reads %v", first)
	}
	must[*registryv1.Staff](t)(head(other))
	_, err := head(s)
	refused(t, "a second head", err, codes.AlreadyExists, "staff.position")

	worker := e.worker(s)
	promote := &registryv1.UpdateStaffRequest{
		Staff: &registryv1.Staff{Id: worker.GetId(), Position: registryv1.StaffPosition_STAFF_POSITION_HEAD},
	}
	_, err = e.UpdateStaff(e.admin(), promote)
	refused(t, "a second head by promotion", err, codes.AlreadyExists, "staff.position")

	must[*registryv1.Staff](t)(e.UpdateStaff(e.admin(), &registryv1.UpdateStaffRequest{
		Staff: &registryv1.Staff{Id: first.GetId(), EndDate: "2022-06-30"},
	}))
	must[*registryv1.Staff](t)(e.UpdateStaff(e.admin(), promote))
}

func TestAWorkerEndsNoEarlierThanBegun(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	worker := &registryv1.Staff{
		StationId: s.GetId(), Name: "社工", Position: registryv1.StaffPosition_STAFF_POSITION_SOCIAL_WORKER,
		StartDate: "2021-05-01", EndDate: "2021-04-30",
	}
	_, err := e.CreateStaff(e.admin(), &registryv1.CreateStaffRequest{Staff: worker})
	refused(t, "create", err, codes.InvalidArgument, "staff.endDate")
	_, err = e.UpdateStaff(e.admin(), &registryv1.UpdateStaffRequest{
		Staff: &registryv1.Staff{Id: e.worker(s).GetId(), StartDate: "2021-06-01", EndDate: "2021-05-31"},
	})
	refused(t, "update", err, codes.InvalidArgument, "staff.endDate")
}

func TestWhatResultsFromAnUpdateIsValidated(t *testing.T) {
	e := newEnv(t)
	worker := e.worker(e.station(township))
	for name, tt := range map[string]struct {
		request *registryv1.UpdateStaffRequest
		field   string
	}{
		"a required field cleared": {&registryv1.UpdateStaffRequest{
			Staff: &registryv1.Staff{Id: worker.GetId()}, UpdateMask: mask("name"),
		}, "staff.name"},
		"a day that is none": {&registryv1.UpdateStaffRequest{
			Staff: &registryv1.Staff{Id: worker.GetId(), StartDate: "2021-13-01"},
		}, "staff.startDate"},
		"an unknown path": {&registryv1.UpdateStaffRequest{
			Staff: &registryv1.Staff{Id: worker.GetId()}, UpdateMask: mask("salary"),
		}, "updateMask"},
		"an id that is none": {&registryv1.UpdateStaffRequest{Staff: &registryv1.Staff{Id: "7"}}, "staff.id"},
		"nothing":            {&registryv1.UpdateStaffRequest{}, "staff.id"},
	} {
		_, err := e.UpdateStaff(e.admin(), tt.request)
		refused(t, name, err, codes.InvalidArgument, tt.field)
	}
	_, err := e.UpdateStaff(e.admin(), &registryv1.UpdateStaffRequest{Staff: &registryv1.Staff{Id: newID(), Name: "某人"}})
	refused(t, "an unknown id", err, codes.NotFound, "")
}

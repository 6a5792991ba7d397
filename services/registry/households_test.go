package registry_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	registryv1 "circle15.dev/api/registry/v1"
)

func TestACommunityLiesInTheTownshipOfItsStation(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	create := func(code string) error {
		_, err := e.CreateCommunity(e.admin(), &registryv1.CreateCommunityRequest{
			Community: &registryv1.Community{StationId: s.GetId(), DivisionCode: code, DisplayName: "社区"},
		})
		return err
	}
	err := create("460107001001")
	refused(t, "another township", err, codes.InvalidArgument, "community.divisionCode")
	for _, named := range []string{township + " (海南省 / 海口市 / 琼山区 / 滨江街道)", "460107001001 (海南省 / 海口市 / 琼山区 / "} {
		if message := status.Convert(err).Message(); !strings.Contains(message, named) {
			t.Errorf("another township is refused with %q, which does not name %s", message, named)
		}
	}
	refused(t, "no number", create(township+"000"), codes.InvalidArgument, "community.divisionCode")
	if err = create(township + "001"); err != nil {
		t.Error(err)
	}
	refused(t, "the same code", create(township+"001"), codes.AlreadyExists, "community.divisionCode")
}

func TestTheStationOfAHouseholdServesItsCommunity(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	home := e.household(e.community(s, "001"))
	if home.GetStationId() != s.GetId() {
		t.Errorf("the household is served by %s, want %s", home.GetStationId(), s.GetId())
	}
	if person := e.resident(home); person.GetStationId() != s.GetId() {
		t.Errorf("the resident is served by %s, want %s", person.GetStationId(), s.GetId())
	}
}

func TestResidentsMoveWithTheirHouseholdAndPastRecordsStay(t *testing.T) {
	e := newEnv(t)
	from, to := e.place(township), e.place("460107001")
	need := e.need(from)
	moved := must[*registryv1.Household](t)(e.UpdateHousehold(e.admin(), &registryv1.UpdateHouseholdRequest{
		Household: &registryv1.Household{Id: from.household.GetId(), CommunityId: to.community.GetId()},
	}))
	if moved.GetStationId() != to.station.GetId() {
		t.Errorf("the household is served by %s", moved.GetStationId())
	}
	person := must[*registryv1.Resident](t)(e.GetResident(e.at(to.station.GetId()), &registryv1.GetResidentRequest{Id: from.resident.GetId()}))
	if person.GetStationId() != to.station.GetId() || person.GetEtag() == from.resident.GetEtag() {
		t.Errorf("the resident is served by %s at etag %s", person.GetStationId(), person.GetEtag())
	}
	_, err := e.GetResident(e.at(from.station.GetId()), &registryv1.GetResidentRequest{Id: from.resident.GetId()})
	refused(t, "the former station", err, codes.NotFound, "")

	must[*registryv1.Need](t)(e.GetNeed(e.at(from.station.GetId()), &registryv1.GetNeedRequest{Id: need.GetId()}))
	must[*registryv1.Need](t)(e.UpdateNeed(e.at(from.station.GetId()), &registryv1.UpdateNeedRequest{
		Need: &registryv1.Need{Id: need.GetId(), Description: "the resident has moved since"},
	}))
}

func TestAResidentWhoMovesIsServedByTheStationOfTheNewHousehold(t *testing.T) {
	e := newEnv(t)
	from, to := e.place(township), e.place("460107001")
	move := &registryv1.UpdateResidentRequest{
		Resident: &registryv1.Resident{Id: from.resident.GetId(), HouseholdId: to.household.GetId()},
	}
	_, err := e.UpdateResident(e.at(from.station.GetId()), move)
	refused(t, "out of the data scope", err, codes.InvalidArgument, "resident.householdId")
	moved := must[*registryv1.Resident](t)(e.UpdateResident(e.admin(), move))
	if moved.GetStationId() != to.station.GetId() || moved.GetHouseholdId() != to.household.GetId() {
		t.Errorf("moved to %v", moved)
	}
}

func TestAHouseholdStaysWithinTheDataScope(t *testing.T) {
	e := newEnv(t)
	here, there := e.place(township), e.place("460107001")
	_, err := e.CreateHousehold(e.at(here.station.GetId()), &registryv1.CreateHouseholdRequest{
		Household: &registryv1.Household{CommunityId: there.community.GetId(), HeadName: "户主", Address: "某路1号"},
	})
	refused(t, "create", err, codes.InvalidArgument, "household.communityId")
	_, err = e.UpdateHousehold(e.at(here.station.GetId()), &registryv1.UpdateHouseholdRequest{
		Household: &registryv1.Household{Id: here.household.GetId(), CommunityId: there.community.GetId()},
	})
	refused(t, "move", err, codes.InvalidArgument, "household.communityId")
}

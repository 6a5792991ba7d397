package registry_test

import (
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/civildate"
)

// close closes the station of the place on the day, after its worker has left.
func (e *env) close(p place, day string) {
	e.t.Helper()
	must[*registryv1.Staff](e.t)(e.UpdateStaff(e.admin(), &registryv1.UpdateStaffRequest{
		Staff: &registryv1.Staff{Id: p.worker.GetId(), EndDate: day},
	}))
	must[*registryv1.Station](e.t)(e.UpdateStation(e.admin(), &registryv1.UpdateStationRequest{
		Station: &registryv1.Station{Id: p.station.GetId(), ClosedDate: day},
	}))
}

func toStation(c *registryv1.Community, s *registryv1.Station) *registryv1.UpdateCommunityRequest {
	return &registryv1.UpdateCommunityRequest{Community: &registryv1.Community{Id: c.GetId(), StationId: s.GetId()}}
}

func toCommunity(h *registryv1.Household, c *registryv1.Community) *registryv1.UpdateHouseholdRequest {
	return &registryv1.UpdateHouseholdRequest{Household: &registryv1.Household{Id: h.GetId(), CommunityId: c.GetId()}}
}

func toHousehold(r *registryv1.Resident, h *registryv1.Household) *registryv1.UpdateResidentRequest {
	return &registryv1.UpdateResidentRequest{Resident: &registryv1.Resident{Id: r.GetId(), HouseholdId: h.GetId()}}
}

func TestASuccessorTakesOverTheCommunitiesOfAStationThatCloses(t *testing.T) {
	e := newEnv(t)
	old := e.place(township)
	e.close(old, "2021-09-30")
	successor := e.stationSince(township, "2021-10-01")
	moved := must[*registryv1.Community](t)(e.UpdateCommunity(e.admin(), toStation(old.community, successor)))
	if moved.GetStationId() != successor.GetId() || moved.GetDivisionCode() != old.community.GetDivisionCode() {
		t.Errorf("moved to %v", moved)
	}
	home := must[*registryv1.Household](t)(e.GetHousehold(e.at(successor.GetId()), &registryv1.GetHouseholdRequest{Id: old.household.GetId()}))
	person := must[*registryv1.Resident](t)(e.GetResident(e.at(successor.GetId()), &registryv1.GetResidentRequest{Id: old.resident.GetId()}))
	if home.GetStationId() != successor.GetId() || home.GetEtag() == old.household.GetEtag() ||
		person.GetStationId() != successor.GetId() || person.GetEtag() == old.resident.GetEtag() {
		t.Errorf("household %v, resident %v", home, person)
	}
	_, err := e.GetHousehold(e.at(old.station.GetId()), &registryv1.GetHouseholdRequest{Id: old.household.GetId()})
	refused(t, "the former station", err, codes.NotFound, "")
	if n := e.count(`SELECT count(*) FROM {tenant}.household_stays WHERE household_id = $1 AND station_id = $2 AND last_date = $3`,
		old.household.GetId(), old.station.GetId(), civildate.Today()); n != 1 {
		t.Errorf("%d stays at the former station", n)
	}
}

func TestACommunityGoesToAStationThatCanServeIt(t *testing.T) {
	e := newEnv(t)
	p, elsewhere := e.place(township), e.place("460107001")
	_, err := e.UpdateCommunity(e.admin(), toStation(p.community, elsewhere.station))
	refused(t, "another township", err, codes.InvalidArgument, "community.stationId")
	_, err = e.UpdateCommunity(e.admin(), toStation(p.community, &registryv1.Station{Id: newID()}))
	refused(t, "no such station", err, codes.InvalidArgument, "community.stationId")

	e.close(p, "2021-09-30")
	successor := e.stationSince(township, "2021-10-01")
	_, err = e.UpdateCommunity(e.at(p.station.GetId()), toStation(p.community, successor))
	refused(t, "a scope of single stations", err, codes.PermissionDenied, "")
	must[*registryv1.Community](t)(e.UpdateCommunity(e.admin(), toStation(p.community, successor)))
	_, err = e.UpdateCommunity(e.admin(), toStation(p.community, p.station))
	refused(t, "a closed station", err, codes.InvalidArgument, "community.stationId")
	must[*registryv1.Community](t)(e.UpdateCommunity(e.at(successor.GetId()), &registryv1.UpdateCommunityRequest{
		Community: &registryv1.Community{Id: p.community.GetId(), StationId: successor.GetId(), DisplayName: "新社区"},
	}))
}

func TestTheStaysBeforeAMoveAreKept(t *testing.T) {
	e := newEnv(t)
	from, to := e.place(township), e.place("460107001")
	next := e.community(from.station, "002")
	stays := func(want int64) {
		t.Helper()
		if n := e.count(`SELECT count(*) FROM {tenant}.household_stays WHERE household_id = $1`, from.household.GetId()); n != want {
			t.Errorf("%d stays, want %d", n, want)
		}
	}
	move := func(c *registryv1.Community) {
		t.Helper()
		must[*registryv1.Household](t)(e.UpdateHousehold(e.admin(), toCommunity(from.household, c)))
	}
	move(next) // of the same station
	stays(0)
	move(to.community)
	stays(1)
	move(from.community)
	stays(2)
	move(to.community) // again on the same day
	stays(2)

	must[*registryv1.Resident](t)(e.UpdateResident(e.admin(), toHousehold(from.resident, to.household)))
	if n := e.count(`SELECT count(*) FROM {tenant}.resident_stays WHERE resident_id = $1 AND household_id = $2 AND last_date = $3`,
		from.resident.GetId(), from.household.GetId(), civildate.Today()); n != 1 {
		t.Errorf("%d stays of the resident", n)
	}
}

func TestAHouseholdMovesToNoCommunityOfAClosedStation(t *testing.T) {
	e := newEnv(t)
	closed, open := e.place(township), e.place("460107001")
	e.close(closed, "2021-09-30")
	_, err := e.UpdateHousehold(e.admin(), toCommunity(open.household, closed.community))
	refused(t, "a community of a closed station", err, codes.InvalidArgument, "household.communityId")
	left := must[*registryv1.Household](t)(e.UpdateHousehold(e.admin(), toCommunity(closed.household, open.community)))
	if left.GetStationId() != open.station.GetId() {
		t.Errorf("a household of the closed station moved to %v", left)
	}
	stayed := must[*registryv1.Household](t)(e.UpdateHousehold(e.admin(), &registryv1.UpdateHouseholdRequest{
		Household: &registryv1.Household{Id: open.household.GetId(), CommunityId: open.community.GetId(), Note: "搬家未成"},
	}))
	if stayed.GetStationId() != open.station.GetId() {
		t.Errorf("the household that was refused is at %v", stayed)
	}
}

// TestMovesOfEveryKindAtOnceNeitherDeadlockNorTear moves communities to the successor of their station while households and
// residents move between them, back and forth. None is refused but a household that would go to the closed station, and in
// the end every household is with the station of its community and every resident with that of the household.
func TestMovesOfEveryKindAtOnceNeitherDeadlockNorTear(t *testing.T) {
	e := newEnv(t)
	const rounds = 100
	old, other := e.place(township), e.place("460107001")
	communities := []*registryv1.Community{old.community, other.community}
	homes := []*registryv1.Household{old.household, other.household}
	people := []*registryv1.Resident{old.resident, other.resident}
	for n := range rounds {
		communities = append(communities, e.community(old.station, fmt.Sprintf("%03d", 100+n)))
		if n%50 == 0 {
			homes = append(homes, e.household(communities[len(communities)-1]))
			people = append(people, e.resident(homes[len(homes)-1]))
		}
	}
	e.close(old, "2021-09-30")
	successor := e.stationSince(township, "2021-10-01")
	before := e.count(deadlocks)

	var racing sync.WaitGroup
	race := func(step func(i int) error) {
		racing.Go(func() {
			for i := range rounds {
				if err := step(i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, c := range [][]*registryv1.Community{communities[2:], {communities[0]}} {
		race(func(i int) error {
			_, err := e.UpdateCommunity(e.admin(), toStation(c[i%len(c)], successor))
			return err
		})
	}
	for n := range homes {
		race(func(i int) error {
			_, err := e.UpdateHousehold(e.admin(), toCommunity(homes[n], communities[(7*i+n)%len(communities)]))
			if violated(err) == "household.communityId" {
				return nil
			}
			return err
		})
		race(func(i int) error {
			_, err := e.UpdateResident(e.admin(), toHousehold(people[n], homes[(i+n)%len(homes)]))
			return err
		})
	}
	racing.Wait()
	if n := e.count(deadlocks) - before; n != 0 {
		t.Errorf("%d deadlocks", n)
	}
	if n := e.count(`SELECT count(*) FROM {tenant}.households h JOIN {tenant}.communities c ON c.id = h.community_id
		WHERE h.station_id <> c.station_id`); n != 0 {
		t.Errorf("%d households are not with the station of their community", n)
	}
	if n := e.count(`SELECT count(*) FROM {tenant}.residents r JOIN {tenant}.households h ON h.id = r.household_id
		WHERE r.station_id <> h.station_id`); n != 0 {
		t.Errorf("%d residents are not with the station of their household", n)
	}
}

// deadlocks are those of the database since it was made; a transaction is done again after one, so callers do not see it.
const deadlocks = `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`

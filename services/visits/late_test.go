package visits_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	registryv1 "circle15.dev/api/registry/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/testenv/world"
	"circle15.dev/services/registry"
)

func (s *scene) registry() *registry.Service { return registry.New(s.DB, s.Pages) }

// community is the one that the station serves.
func (s *scene) community(t *testing.T, of world.Station) string {
	t.Helper()
	answer := ok[*registryv1.ListCommunitiesResponse](t)(s.registry().ListCommunities(s.At(t, of), &registryv1.ListCommunitiesRequest{}))
	return answer.GetCommunities()[0].GetId()
}

// household is a new one of the eastern station.
func (s *scene) household(t *testing.T) string {
	t.Helper()
	h := &registryv1.Household{CommunityId: s.community(t, s.East), HeadName: "户主", Address: "二号"}
	return ok[*registryv1.Household](t)(s.registry().CreateHousehold(s.Bureau(t), &registryv1.CreateHouseholdRequest{Household: h})).GetId()
}

// moveHousehold brings a household to the station.
func (s *scene) moveHousehold(t *testing.T, household string, to world.Station) {
	t.Helper()
	h := &registryv1.Household{Id: household, CommunityId: s.community(t, to)}
	ok[*registryv1.Household](t)(s.registry().UpdateHousehold(s.Bureau(t), &registryv1.UpdateHouseholdRequest{Household: h}))
}

// moveResident brings a resident to the household.
func (s *scene) moveResident(t *testing.T, resident, to string) {
	t.Helper()
	r := &registryv1.Resident{Id: resident, HouseholdId: to}
	ok[*registryv1.Resident](t)(s.registry().UpdateResident(s.Bureau(t), &registryv1.UpdateResidentRequest{Resident: r}))
}

var (
	endHouseholdStays = tenantdb.SQL(`INSERT INTO {tenant}.household_stays (household_id, station_id, last_date)
		SELECT id, $2, '2021-06-30' FROM {tenant}.households WHERE id = $1`)
	takeHousehold = tenantdb.SQL(`UPDATE {tenant}.households SET station_id = $2 WHERE id = $1`)
)

// movedInJune has the household move from the eastern to the western station on 2021-06-30.
func (s *scene) movedInJune(t *testing.T, household string) {
	t.Helper()
	err := s.DB.Write(s.Bureau(t), func(_ context.Context, tx *tenantdb.Tx) error {
		tx.Queue(endHouseholdStays, uuid.MustParse(household), uuid.MustParse(s.East.ID))
		tx.Queue(takeHousehold, uuid.MustParse(household), uuid.MustParse(s.West.ID))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWorkForAHouseholdThatMovedMeanwhileCountsForTheStationThatDidIt(t *testing.T) {
	s := setup(t)
	recorded, synced := s.newVisit(), s.newVisit()
	s.moveHousehold(t, s.East.Household, s.West)

	s.record(t, recorded)
	if r := s.sync(t, synced)[0]; r.GetOutcome() != created {
		t.Fatalf("got %v", r)
	}
	if r := s.sync(t, synced)[0]; r.GetOutcome() != unchanged {
		t.Errorf("sent again: %v", r)
	}
	for _, v := range []*visitsv1.Visit{recorded, synced} {
		if got := must(t)(s.service.GetVisit(s.ctx, &visitsv1.GetVisitRequest{Id: v.GetId()})); got.GetStationId() != s.East.ID {
			t.Errorf("the visit is the work of %s", got.GetStationId())
		}
		_, err := s.service.GetVisit(s.At(t, s.West), &visitsv1.GetVisitRequest{Id: v.GetId()})
		refused(t, err, apierr.NotFound, "")
		want := []world.Fact{s.fact("home_visit", "elderly_services", 1), s.fact("person_times", "elderly_services", 2)}
		if diff := cmp.Diff(want, s.Facts(t, "visits", v.GetId())); diff != "" {
			t.Error(diff)
		}
	}
	_, err := s.registry().GetHousehold(s.ctx, &registryv1.GetHouseholdRequest{Id: s.East.Household})
	refused(t, err, apierr.NotFound, "")
	_, err = s.service.PlanVisit(s.ctx, &visitsv1.PlanVisitRequest{Visit: s.newPlan()})
	refused(t, err, apierr.Invalid, "visit.householdId")

	byBureau, byWest := s.newVisit(), s.newVisit()
	byWest.StaffId = s.West.Worker
	for v, station := range map[*visitsv1.Visit]string{byBureau: s.East.ID, byWest: s.West.ID} {
		got := must(t)(s.service.RecordVisit(s.Bureau(t), &visitsv1.RecordVisitRequest{Visit: v}))
		if got.GetStationId() != station {
			t.Errorf("a visit that the bureau recorded is the work of %s, want %s", got.GetStationId(), station)
		}
	}
}

func TestAVisitAfterTheMoveIsForTheNewStation(t *testing.T) {
	s := setup(t)
	s.movedInJune(t, s.East.Household)
	onTheDay, after := s.newVisit(), s.newVisit()
	onTheDay.VisitDate, after.VisitDate = "2021-06-30", "2021-07-01"
	if r := s.sync(t, onTheDay)[0]; r.GetOutcome() != created {
		t.Errorf("on the day of the move: %v", r)
	}
	r := s.sync(t, after)[0]
	if f := r.GetError().GetFields(); r.GetOutcome() != rejected || len(f) == 0 || f[0].GetField() != "householdId" {
		t.Errorf("after the move: %v", r)
	}
	_, err := s.service.RecordVisit(s.Bureau(t), &visitsv1.RecordVisitRequest{Visit: after})
	refused(t, err, apierr.Invalid, "visit.staffId")
}

func TestAVisitMayNameWhoHasLeftTheHouseholdSince(t *testing.T) {
	s := setup(t)
	v := s.newVisit()
	s.moveResident(t, s.East.Elder, s.West.Household)
	if r := s.sync(t, v)[0]; r.GetOutcome() != created {
		t.Errorf("got %v", r)
	}
	s.record(t, s.newVisit())
	_, err := s.service.PlanVisit(s.ctx, &visitsv1.PlanVisitRequest{Visit: s.newPlan()})
	refused(t, err, apierr.Invalid, "visit.residentIds[0]")
}

func TestAVisitOfACaseThatWasTakenBackMeanwhileIsBroughtIn(t *testing.T) {
	s := setup(t)
	v := s.newVisit()
	v.CaseId = s.voidCase(t)
	if r := s.sync(t, v)[0]; r.GetOutcome() != created || r.GetVisit().GetCaseId() != v.GetCaseId() {
		t.Errorf("got %v", r)
	}
	late := s.newVisit()
	late.CaseId = v.GetCaseId()
	_, err := s.service.RecordVisit(s.ctx, &visitsv1.RecordVisitRequest{Visit: late})
	refused(t, err, apierr.Invalid, "visit.caseId")
}

func TestAVisitServesACaseWhereItsClientLives(t *testing.T) {
	s := setup(t)
	of := s.openCase(t)
	s.moveResident(t, s.East.Child, s.East.Neighbours)
	visit := func(household string) *visitsv1.Visit {
		v := s.newVisit()
		v.HouseholdId, v.ResidentIds, v.CaseId = household, nil, of
		return v
	}
	s.record(t, visit(s.East.Household))
	s.record(t, visit(s.East.Neighbours))
	third := s.household(t)
	_, err := s.service.RecordVisit(s.ctx, &visitsv1.RecordVisitRequest{Visit: visit(third)})
	refused(t, err, apierr.Invalid, "visit.caseId")
	s.moveResident(t, s.East.Child, third)
	if r := s.sync(t, visit(s.East.Neighbours))[0]; r.GetOutcome() != created {
		t.Errorf("a client who has left since: %v", r)
	}
	plan := s.newPlan()
	plan.HouseholdId, plan.ResidentIds, plan.CaseId = s.East.Neighbours, nil, of
	_, err = s.service.PlanVisit(s.ctx, &visitsv1.PlanVisitRequest{Visit: plan})
	refused(t, err, apierr.Invalid, "visit.caseId")
}

func (s *scene) newNeed() *registryv1.Need {
	return &registryv1.Need{
		HouseholdId: s.East.Household, ResidentId: s.East.Child, StaffId: s.East.Worker, Domain: "child_welfare", Source: "home_visit",
		Description: "a place at school", RecordedDate: "2021-06-10",
	}
}

func (s *scene) need(n *registryv1.Need) (*registryv1.Need, error) {
	return s.registry().CreateNeed(s.ctx, &registryv1.CreateNeedRequest{Need: n})
}

func TestANeedRecordedLateCountsForTheStationThatFoundIt(t *testing.T) {
	s := setup(t)
	s.moveResident(t, s.East.Child, s.West.Household)
	s.movedInJune(t, s.East.Household)
	n := ok[*registryv1.Need](t)(s.need(s.newNeed()))
	if n.GetStationId() != s.East.ID || n.GetResidentId() != s.East.Child {
		t.Errorf("got %v", n)
	}
	want := []world.Fact{s.fact("need", "child_welfare", 1)}
	want[0].Resident = s.East.Child
	if diff := cmp.Diff(want, s.Facts(t, "needs", n.GetId())); diff != "" {
		t.Error(diff)
	}
	after := s.newNeed()
	after.RecordedDate = "2021-07-01"
	_, err := s.need(after)
	refused(t, err, apierr.Invalid, "need.householdId")
}

func TestANeedIsFoundAtACompletedVisitNotAfterItsDay(t *testing.T) {
	s := setup(t)
	v := s.record(t, s.newVisit())
	later := s.newVisit()
	later.VisitDate = "2021-06-11"
	s.record(t, later)
	void := s.record(t, s.newVisit())
	must(t)(s.service.VoidVisit(s.ctx, &visitsv1.VoidVisitRequest{Id: void.GetId(), Reason: "r"}))
	for name, visit := range map[string]string{"a plan": s.plan(t).GetId(), "a later one": later.GetId(), "a void one": void.GetId()} {
		t.Run(name, func(t *testing.T) {
			n := s.newNeed()
			n.VisitId = visit
			_, err := s.need(n)
			refused(t, err, apierr.Invalid, "need.visitId")
		})
	}
	n := s.newNeed()
	n.VisitId = v.GetId()
	if got := ok[*registryv1.Need](t)(s.need(n)); got.GetVisitId() != v.GetId() {
		t.Errorf("got %v", got)
	}
}

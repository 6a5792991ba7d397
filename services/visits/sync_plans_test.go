package visits_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/services/internal/testenv/world"
)

const (
	planDone  = visitsv1.SyncOutcome_SYNC_OUTCOME_COMPLETED
	takenBack = visitsv1.SyncOutcome_SYNC_OUTCOME_VOID
)

// carriedOut is the planned visit as a phone tells it.
func (s *scene) carriedOut(plan *visitsv1.Visit) *visitsv1.Visit {
	v := s.newVisit()
	v.Id, v.VisitDate, v.StaffId = plan.GetId(), "2021-07-02", s.East.Colleague
	return v
}

func TestASyncCompletesAPlannedVisitOnce(t *testing.T) {
	s := setup(t)
	plan := s.plan(t)
	v := s.carriedOut(plan)
	twin, other := proto.Clone(v).(*visitsv1.Visit), proto.Clone(v).(*visitsv1.Visit)
	other.Findings = "Another"
	results := s.sync(t, v, twin, other)
	if diff := cmp.Diff([]visitsv1.SyncOutcome{planDone, unchanged, rejected}, outcomes(results)); diff != "" {
		t.Fatal(diff)
	}
	done := results[0].GetVisit()
	if done.GetState() != completedState || done.GetPlannedDate() != "2021-07-01" || done.GetVisitDate() != "2021-07-02" ||
		done.GetStaffId() != s.East.Colleague || done.GetPurpose() != v.GetPurpose() || done.GetFindings() != v.GetFindings() ||
		done.GetPersonsServed() != 2 || len(done.GetResidentIds()) != 2 || done.GetEtag() == plan.GetEtag() {
		t.Errorf("completed %v", done)
	}
	if got := must(t)(s.service.GetVisit(s.ctx, &visitsv1.GetVisitRequest{Id: plan.GetId()})); !proto.Equal(got, done) {
		t.Errorf("stored %v, acknowledged %v", got, done)
	}
	if r := s.sync(t, v)[0]; r.GetOutcome() != unchanged {
		t.Errorf("sent again: %v", r)
	}
	visit := world.Fact{
		Measure: "home_visit", Date: "2021-07-02", Station: s.East.ID, Staff: s.East.Colleague, Household: s.East.Household,
		Domain: "elderly_services", Amount: 1,
	}
	persons := visit
	persons.Measure, persons.Amount = "person_times", 2
	if diff := cmp.Diff([]world.Fact{visit, persons}, s.Facts(t, "visits", plan.GetId())); diff != "" {
		t.Error(diff)
	}
}

func TestASyncDoesNotOverruleWhatWasDecided(t *testing.T) {
	s := setup(t)
	cancelled, elsewhere, bad := s.plan(t), s.plan(t), s.plan(t)
	must(t)(s.service.CancelVisit(s.ctx, &visitsv1.CancelVisitRequest{Id: cancelled.GetId(), Reason: "Moved away"}))
	void := s.newVisit()
	s.sync(t, void)
	must(t)(s.service.VoidVisit(s.ctx, &visitsv1.VoidVisitRequest{Id: void.GetId(), Reason: "Another household"}))
	toNeighbours, byStranger := s.carriedOut(elsewhere), s.carriedOut(bad)
	toNeighbours.HouseholdId, toNeighbours.ResidentIds = s.East.Neighbours, nil
	byStranger.StaffId = s.West.Worker
	before := s.Figures(t)
	results := s.sync(t, s.carriedOut(cancelled), toNeighbours, void, byStranger)
	if diff := cmp.Diff([]visitsv1.SyncOutcome{rejected, rejected, takenBack, rejected}, outcomes(results)); diff != "" {
		t.Fatal(diff)
	}
	for i, state := range []visitsv1.VisitState{visitsv1.VisitState_VISIT_STATE_CANCELLED, plannedState} {
		if r := results[i]; r.GetError().GetReason() != "CONFLICT" || r.GetVisit().GetState() != state {
			t.Errorf("got %v", r)
		}
	}
	if v := results[2].GetVisit(); v.GetReason() != "Another household" {
		t.Errorf("got %v", v)
	}
	if r := results[3]; r.GetError().GetReason() != "INVALID_ARGUMENT" || r.GetError().GetFields()[0].GetField() != "staffId" {
		t.Errorf("got %v", r)
	}
	if diff := cmp.Diff(before, s.Figures(t)); diff != "" {
		t.Error(diff)
	}
	for _, plan := range []*visitsv1.Visit{elsewhere, bad} {
		if got := must(t)(s.service.GetVisit(s.ctx, &visitsv1.GetVisitRequest{Id: plan.GetId()})); !proto.Equal(got, plan) {
			t.Errorf("the plan is now %v", got)
		}
	}
}

// TestAPlanIsCompletedOnceThoughManyTryAtOnce has phones bring the same plans in, in different orders and beside new visits,
// while the office completes them too.
func TestAPlanIsCompletedOnceThoughManyTryAtOnce(t *testing.T) {
	s := setup(t)
	const size = 12
	list := s.batch(size)
	plans := make([]*visitsv1.Visit, size)
	for i := range plans {
		plans[i] = s.plan(t)
		list = append(list, s.carriedOut(plans[i]))
	}
	var group sync.WaitGroup
	send := func(batch []*visitsv1.Visit) {
		group.Go(func() {
			answer, err := s.service.SyncVisits(s.ctx, &visitsv1.SyncVisitsRequest{Visits: batch})
			if err != nil {
				t.Error(err)
			}
			for _, r := range answer.GetResults() {
				if r.GetOutcome() == rejected && r.GetError().GetReason() != "CONFLICT" {
					t.Error(r)
				}
			}
		})
	}
	turned := make([]*visitsv1.Visit, 0, len(list))
	for i := range list {
		turned = append(turned, list[len(list)-1-i])
	}
	send(list)
	send(turned)
	send(list[size/2:])
	group.Go(func() {
		for _, plan := range plans {
			_, _ = s.service.CompleteVisit(s.ctx, s.complete(plan)) // a Conflict where a phone came first
		}
	})
	group.Wait()
	if got := s.Figures(t)["home_visit"]; got != 2*size {
		t.Errorf("%d home visits are counted, want %d", got, 2*size)
	}
}

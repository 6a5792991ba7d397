package visits_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/services/internal/testenv/world"
)

func TestAPlannedVisitCountsWhenItIsCompleted(t *testing.T) {
	s := setup(t)
	plan := s.plan(t)
	if plan.GetState() != plannedState || plan.GetPersonsServed() != 0 {
		t.Errorf("planned %v", plan)
	}
	if got := s.Figures(t); len(got) != 0 {
		t.Errorf("a plan counts %v", got)
	}
	req := s.complete(plan)
	req.Etag = plan.GetEtag()
	done := must(t)(s.service.CompleteVisit(s.ctx, req))
	if done.GetState() != completedState || done.GetVisitDate() != "2021-07-02" || done.GetPlannedDate() != "2021-07-01" ||
		done.GetPersonsServed() != 1 || len(done.GetResidentIds()) != 1 {
		t.Errorf("completed %v", done)
	}
	if diff := cmp.Diff(map[string]int{"home_visit": 1, "person_times": 1}, s.Figures(t)); diff != "" {
		t.Error(diff)
	}
	_, err := s.service.CompleteVisit(s.ctx, s.complete(plan))
	refused(t, err, apierr.Conflict, "")
	_, err = s.service.CancelVisit(s.ctx, &visitsv1.CancelVisitRequest{Id: plan.GetId(), Reason: "r"})
	refused(t, err, apierr.Conflict, "")
}

func TestACompletionThatBreaksARuleIsRefused(t *testing.T) {
	s := setup(t)
	plan := s.plan(t)
	for name, c := range map[string]struct {
		change func(*visitsv1.CompleteVisitRequest)
		kind   apierr.Kind
		field  string
	}{
		"a day to come":         {func(r *visitsv1.CompleteVisitRequest) { r.VisitDate = "2999-01-01" }, apierr.Invalid, "visitDate"},
		"before the worker":     {func(r *visitsv1.CompleteVisitRequest) { r.VisitDate = "2021-04-30" }, apierr.Invalid, "visitDate"},
		"a foreign resident":    {func(r *visitsv1.CompleteVisitRequest) { r.ResidentIds = []string{s.East.Neighbour} }, apierr.Invalid, "residentIds[0]"},
		"a resident that is no": {func(r *visitsv1.CompleteVisitRequest) { r.ResidentIds = []string{"7"} }, apierr.Invalid, "residentIds[0]"},
		"too few persons": {func(r *visitsv1.CompleteVisitRequest) {
			r.ResidentIds, r.PersonsServed = []string{s.East.Elder, s.East.Child}, 1
		}, apierr.Invalid, "personsServed"},
		"an etag of before":      {func(r *visitsv1.CompleteVisitRequest) { r.Etag = `"7"` }, apierr.StaleETag, "etag"},
		"a visit that is none":   {func(r *visitsv1.CompleteVisitRequest) { r.Id = s.East.Need }, apierr.NotFound, ""},
		"an id that is no UUID":  {func(r *visitsv1.CompleteVisitRequest) { r.Id = "7" }, apierr.Invalid, "id"},
		"findings without words": {func(r *visitsv1.CompleteVisitRequest) { r.Findings = " " }, apierr.Invalid, "findings"},
	} {
		t.Run(name, func(t *testing.T) {
			req := s.complete(plan)
			c.change(req)
			_, err := s.service.CompleteVisit(s.ctx, req)
			refused(t, err, c.kind, c.field)
		})
	}
	if got := s.Figures(t); len(got) != 0 {
		t.Errorf("figures %v", got)
	}
}

func TestACancelledVisitIsFinal(t *testing.T) {
	s := setup(t)
	plan := s.plan(t)
	got := must(t)(s.service.CancelVisit(s.ctx, &visitsv1.CancelVisitRequest{Id: plan.GetId(), Reason: "Moved away"}))
	if got.GetState() != visitsv1.VisitState_VISIT_STATE_CANCELLED || got.GetReason() != "Moved away" {
		t.Errorf("got %v", got)
	}
	_, err := s.service.CompleteVisit(s.ctx, s.complete(plan))
	refused(t, err, apierr.Conflict, "")
	_, err = s.service.UpdateVisit(s.ctx, &visitsv1.UpdateVisitRequest{Visit: &visitsv1.Visit{Id: plan.GetId(), Purpose: "x"}})
	refused(t, err, apierr.Conflict, "")
}

func TestAVoidVisitIsOutOfTheFiguresForGood(t *testing.T) {
	s := setup(t)
	v := s.record(t, s.newVisit())
	must(t)(s.service.UpdateVisit(s.ctx, &visitsv1.UpdateVisitRequest{Visit: &visitsv1.Visit{Id: v.GetId(), PersonsServed: 4}}))
	got := must(t)(s.service.VoidVisit(s.ctx, &visitsv1.VoidVisitRequest{Id: v.GetId(), Reason: "Another household"}))
	if got.GetState() != visitsv1.VisitState_VISIT_STATE_VOID || got.GetReason() != "Another household" {
		t.Errorf("got %v", got)
	}
	if got := s.Figures(t); len(got) != 0 {
		t.Errorf("figures %v", got)
	}
	want := []world.Fact{
		s.fact("home_visit", "elderly_services", 1), s.fact("person_times", "elderly_services", 2),
		s.fact("home_visit", "elderly_services", -1), s.fact("person_times", "elderly_services", -2),
		s.fact("home_visit", "elderly_services", 1), s.fact("person_times", "elderly_services", 4),
		s.fact("home_visit", "elderly_services", -1), s.fact("person_times", "elderly_services", -4),
	}
	if diff := cmp.Diff(want, s.Facts(t, "visits", v.GetId())); diff != "" {
		t.Error(diff)
	}
	_, err := s.service.VoidVisit(s.ctx, &visitsv1.VoidVisitRequest{Id: v.GetId(), Reason: "again"})
	refused(t, err, apierr.Conflict, "")
	_, err = s.service.VoidVisit(s.ctx, &visitsv1.VoidVisitRequest{Id: s.plan(t).GetId(), Reason: "a plan is cancelled"})
	refused(t, err, apierr.Conflict, "")
}

func TestAFollowUpVisitIsPlannedToTheSameHousehold(t *testing.T) {
	s := setup(t)
	v := s.newVisit()
	v.CaseId = s.openCase(t)
	s.record(t, v)
	req := &visitsv1.PlanFollowUpVisitRequest{Id: v.GetId(), StaffId: s.East.Colleague, PlannedDate: "2021-10-01", Purpose: "Keep the effect"}
	got := must(t)(s.service.PlanFollowUpVisit(s.ctx, req))
	if got.GetFollowUpOf() != v.GetId() || got.GetHouseholdId() != s.East.Household || got.GetState() != plannedState ||
		got.GetCaseId() != v.GetCaseId() || got.GetStaffId() != s.East.Colleague || got.GetPlannedDate() != "2021-10-01" {
		t.Errorf("got %v", got)
	}

	early := &visitsv1.PlanFollowUpVisitRequest{Id: v.GetId(), StaffId: s.East.Worker, PlannedDate: "2021-06-09"}
	_, err := s.service.PlanFollowUpVisit(s.ctx, early)
	refused(t, err, apierr.Invalid, "plannedDate")
	foreign := &visitsv1.PlanFollowUpVisitRequest{Id: v.GetId(), StaffId: s.West.Worker, PlannedDate: "2021-10-01"}
	_, err = s.service.PlanFollowUpVisit(s.ctx, foreign)
	refused(t, err, apierr.Invalid, "staffId")
	ofPlan := &visitsv1.PlanFollowUpVisitRequest{Id: got.GetId(), StaffId: s.East.Worker, PlannedDate: "2021-10-01"}
	_, err = s.service.PlanFollowUpVisit(s.ctx, ofPlan)
	refused(t, err, apierr.Conflict, "")
}

package visits_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	casesv1 "circle15.dev/api/cases/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/services/cases"
	"circle15.dev/services/internal/testenv/world"
	"circle15.dev/services/visits"
)

const (
	plannedState   = visitsv1.VisitState_VISIT_STATE_PLANNED
	completedState = visitsv1.VisitState_VISIT_STATE_COMPLETED
	homeKind       = visitsv1.VisitKind_VISIT_KIND_HOME
	phoneKind      = visitsv1.VisitKind_VISIT_KIND_PHONE
)

// scene is a world, the service over it, and a social worker of its eastern station.
type scene struct {
	*world.World
	service *visits.Service
	ctx     context.Context
}

func setup(t testing.TB) *scene {
	t.Helper()
	return over(t, world.New(t))
}

func over(t testing.TB, w *world.World) *scene {
	t.Helper()
	return &scene{World: w, service: visits.New(w.DB, w.Pages), ctx: w.At(t, w.East)}
}

// newVisit is a home visit that took place and may be recorded.
func (s *scene) newVisit() *visitsv1.Visit {
	return &visitsv1.Visit{
		Id: world.NewID(), HouseholdId: s.East.Household, StaffId: s.East.Worker, Kind: homeKind, Domain: "elderly_services",
		Purpose: "First visit", VisitDate: "2021-06-10", DurationMinutes: 40, ResidentIds: []string{s.East.Elder, s.East.Child},
		Findings: "They did not know the rules",
	}
}

// newPlan is a visit that may be planned.
func (s *scene) newPlan() *visitsv1.Visit {
	return &visitsv1.Visit{
		Id: world.NewID(), HouseholdId: s.East.Household, StaffId: s.East.Worker, Kind: homeKind, Domain: "elderly_services",
		Purpose: "See how they are", PlannedDate: "2021-07-01", ResidentIds: []string{s.East.Elder},
	}
}

func (s *scene) record(t testing.TB, v *visitsv1.Visit) *visitsv1.Visit {
	t.Helper()
	return must(t)(s.service.RecordVisit(s.ctx, &visitsv1.RecordVisitRequest{Visit: v}))
}

func (s *scene) plan(t testing.TB) *visitsv1.Visit {
	t.Helper()
	return must(t)(s.service.PlanVisit(s.ctx, &visitsv1.PlanVisitRequest{Visit: s.newPlan()}))
}

func (s *scene) complete(v *visitsv1.Visit) *visitsv1.CompleteVisitRequest {
	return &visitsv1.CompleteVisitRequest{Id: v.GetId(), VisitDate: "2021-07-02", DurationMinutes: 30, Findings: "Well"}
}

// openCase opens a case of the child at the eastern station.
func (s *scene) openCase(t testing.TB) string {
	t.Helper()
	c, err := cases.New(s.DB, s.Pages).OpenCase(s.ctx, &casesv1.OpenCaseRequest{Case: &casesv1.Case{
		ResidentId: s.East.Child, StaffId: s.East.Worker, Domain: "child_welfare", Title: "Enrolment", PresentingProblem: "No place",
		OpenedDate: "2021-06-01",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c.GetId()
}

// fact is one of the newVisit's.
func (s *scene) fact(measure, domain string, amount int32) world.Fact {
	return world.Fact{
		Measure: measure, Date: "2021-06-10", Station: s.East.ID, Staff: s.East.Worker, Household: s.East.Household, Domain: domain,
		Amount: amount,
	}
}

// must passes on the answer of an RPC that must succeed.
func must(t testing.TB) func(*visitsv1.Visit, error) *visitsv1.Visit {
	t.Helper()
	return ok[*visitsv1.Visit](t)
}

func ok[T proto.Message](t testing.TB) func(T, error) T {
	t.Helper()
	return func(answer T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

// refused checks that an RPC failed with the kind and, where field is not empty, because of the field.
func refused(t *testing.T, err error, kind apierr.Kind, field string) {
	t.Helper()
	var fault *apierr.Error
	if !errors.As(err, &fault) || fault.Kind != kind {
		t.Fatalf("got %v, want %s", err, kind)
	}
	if field != "" && (len(fault.Fields) == 0 || fault.Fields[0].Name != field) {
		t.Fatalf("got fields %v, want %s", fault.Fields, field)
	}
}

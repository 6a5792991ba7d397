package cases_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/etag"
	"circle15.dev/services/cases"
	"circle15.dev/services/internal/testenv/world"
)

// scene is a world, the service over it, and a social worker of its eastern station.
type scene struct {
	*world.World
	service *cases.Service
	ctx     context.Context
}

func setup(t *testing.T) *scene {
	t.Helper()
	return over(t, world.New(t))
}

func over(t *testing.T, w *world.World) *scene {
	t.Helper()
	return &scene{World: w, service: cases.New(w.DB, w.Pages), ctx: w.At(t, w.East)}
}

// newCase is a case that may be opened.
func (s *scene) newCase() *casesv1.Case {
	return &casesv1.Case{
		ResidentId: s.East.Child, StaffId: s.East.Worker, NeedIds: []string{s.East.Need}, Domain: "child_welfare",
		Title: "Enrolment", PresentingProblem: "A place at a public school", OpenedDate: "2021-06-01",
	}
}

func (s *scene) open(t *testing.T) *casesv1.Case {
	t.Helper()
	return must(t)(s.service.OpenCase(s.ctx, &casesv1.OpenCaseRequest{Case: s.newCase()}))
}

// advance is a request for the next stage with the form of the one that ends.
func (s *scene) advance(c *casesv1.Case, on string) *casesv1.AdvanceCaseRequest {
	req := &casesv1.AdvanceCaseRequest{Id: c.GetId(), Stage: c.GetStage() + 1, ChangeDate: on, StaffId: s.East.Worker}
	switch c.GetStage() {
	case casesv1.CaseStage_CASE_STAGE_ASSESSMENT:
		req.Assessment = "Both parents cannot see"
	case casesv1.CaseStage_CASE_STAGE_PLANNING:
		req.Goals, req.Plan = "A place before term", "Refer to the federation"
	case casesv1.CaseStage_CASE_STAGE_EVALUATION:
		req.ClosureReason = "Goals met"
	default:
	}
	return req
}

// work takes a case to the stage, evaluated where that is needed, all on one day.
func (s *scene) work(t *testing.T, c *casesv1.Case, to casesv1.CaseStage, on string) *casesv1.Case {
	t.Helper()
	for c.GetStage() < to {
		if c.GetStage() == casesv1.CaseStage_CASE_STAGE_EVALUATION {
			c = must(t)(s.service.EvaluateCase(s.ctx, s.evaluate(c, on)))
		}
		c = must(t)(s.service.AdvanceCase(s.ctx, s.advance(c, on)))
	}
	return c
}

func (s *scene) evaluate(c *casesv1.Case, on string) *casesv1.EvaluateCaseRequest {
	return &casesv1.EvaluateCaseRequest{
		Id: c.GetId(), Summary: "A place was found", Reflection: "Encourage and support", EvaluatedDate: on,
	}
}

func (s *scene) newSession(c *casesv1.Case) *casesv1.CreateCaseSessionRequest {
	return &casesv1.CreateCaseSessionRequest{CaseId: c.GetId(), Session: &casesv1.CaseSession{
		StaffId: s.East.Worker, SessionDate: "2021-06-10", DurationMinutes: 45, Record: "Drafted the letter",
	}}
}

// must passes on the answer of an RPC that must succeed.
func must(t *testing.T) func(*casesv1.Case, error) *casesv1.Case {
	t.Helper()
	return ok[*casesv1.Case](t)
}

func ok[T proto.Message](t *testing.T) func(T, error) T {
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

func ifMatch(ctx context.Context, tag string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.Pairs(etag.IfMatch, tag))
}

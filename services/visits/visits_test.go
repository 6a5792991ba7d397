package visits_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	casesv1 "circle15.dev/api/cases/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/etag"
	"circle15.dev/services/cases"
	"circle15.dev/services/internal/testenv/world"
)

func TestARecordedHomeVisitIsCompletedAndCounted(t *testing.T) {
	s := setup(t)
	in := s.newVisit()
	got := s.record(t, in)
	want := proto.Clone(in).(*visitsv1.Visit)
	want.StationId, want.State, want.PersonsServed, want.Etag = s.East.ID, completedState, 2, `"1"`
	times := protocmp.IgnoreFields(&visitsv1.Visit{}, "create_time", "update_time")
	if diff := cmp.Diff(want, got, protocmp.Transform(), times); diff != "" {
		t.Error(diff)
	}
	if again := must(t)(s.service.GetVisit(s.ctx, &visitsv1.GetVisitRequest{Id: in.GetId()})); !proto.Equal(again, got) {
		t.Errorf("read %v, recorded %v", again, got)
	}
	facts := []world.Fact{s.fact("home_visit", "elderly_services", 1), s.fact("person_times", "elderly_services", 2)}
	if diff := cmp.Diff(facts, s.Facts(t, "visits", in.GetId())); diff != "" {
		t.Error(diff)
	}
	_, err := s.service.RecordVisit(s.ctx, &visitsv1.RecordVisitRequest{Visit: in})
	refused(t, err, apierr.AlreadyExists, "")
}

func TestOnlyHomeVisitsAreHomeVisits(t *testing.T) {
	s := setup(t)
	v := s.newVisit()
	v.Kind, v.ResidentIds = phoneKind, []string{s.East.Elder}
	s.record(t, v)
	want := s.fact("person_times", "elderly_services", 1)
	want.Resident = s.East.Elder
	if diff := cmp.Diff([]world.Fact{want}, s.Facts(t, "visits", v.GetId())); diff != "" {
		t.Error(diff)
	}
}

// badReferences are changes that make a good visit name what it must not.
func badReferences(s *scene) map[string]struct {
	change func(*visitsv1.Visit)
	field  string
} {
	return map[string]struct {
		change func(*visitsv1.Visit)
		field  string
	}{
		"an unknown household":            {func(v *visitsv1.Visit) { v.HouseholdId = world.NewID() }, "householdId"},
		"a household of another station":  {func(v *visitsv1.Visit) { v.HouseholdId = s.West.Household }, "householdId"},
		"a worker of another station":     {func(v *visitsv1.Visit) { v.StaffId = s.West.Worker }, "staffId"},
		"a worker who had left":           {func(v *visitsv1.Visit) { v.StaffId, v.VisitDate = s.East.Left, "2021-09-01" }, "staffId"},
		"a resident of another household": {func(v *visitsv1.Visit) { v.ResidentIds[1] = s.East.Neighbour }, "residentIds[1]"},
		"a resident twice":                {func(v *visitsv1.Visit) { v.ResidentIds[1] = v.GetResidentIds()[0] }, "residentIds"},
		"an unknown case":                 {func(v *visitsv1.Visit) { v.CaseId = world.NewID() }, "caseId"},
		"a domain that the pack lacks":    {func(v *visitsv1.Visit) { v.Domain = "astrology" }, "domain"},
		"a day to come":                   {func(v *visitsv1.Visit) { v.VisitDate = "2999-01-01" }, "visitDate"},
		"a day that is none":              {func(v *visitsv1.Visit) { v.VisitDate = "2021-02-30" }, "visitDate"},
		"no day":                          {func(v *visitsv1.Visit) { v.VisitDate = "" }, "visitDate"},
		"fewer persons than residents":    {func(v *visitsv1.Visit) { v.PersonsServed = 1 }, "personsServed"},
		"an id that is none":              {func(v *visitsv1.Visit) { v.Id = "7" }, "id"},
	}
}

func TestAVisitWithABadReferenceIsNotRecorded(t *testing.T) {
	s := setup(t)
	for name, c := range badReferences(s) {
		t.Run(name, func(t *testing.T) {
			v := s.newVisit()
			c.change(v)
			_, err := s.service.RecordVisit(s.ctx, &visitsv1.RecordVisitRequest{Visit: v})
			refused(t, err, apierr.Invalid, "visit."+c.field)
		})
	}
	if got := s.Figures(t); len(got) != 0 {
		t.Errorf("refused visits were counted: %v", got)
	}
}

func (s *scene) voidCase(t testing.TB) string {
	t.Helper()
	id := s.openCase(t)
	_, err := cases.New(s.DB, s.Pages).VoidCase(s.ctx, &casesv1.VoidCaseRequest{Id: id, Reason: "by mistake"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestVisitsAreListedByPageAndFilter(t *testing.T) {
	s := setup(t)
	of := s.openCase(t)
	all := make([]string, 0, 7)
	for range 4 {
		all = append(all, s.record(t, s.newVisit()).GetId())
	}
	call := s.newVisit()
	call.Kind, call.HouseholdId, call.ResidentIds = phoneKind, s.East.Neighbours, nil
	onCase := s.newVisit()
	onCase.CaseId = of
	all = append(all, s.record(t, call).GetId(), s.record(t, onCase).GetId(), s.plan(t).GetId())

	list := func(req *visitsv1.ListVisitsRequest) (got []string) {
		t.Helper()
		req.PageSize = 3
		for {
			answer := ok[*visitsv1.ListVisitsResponse](t)(s.service.ListVisits(s.ctx, req))
			for _, v := range answer.GetVisits() {
				got = append(got, v.GetId())
			}
			if req.PageToken = answer.GetNextPageToken(); req.GetPageToken() == "" {
				return got
			}
		}
	}
	for name, c := range map[string]struct {
		req  *visitsv1.ListVisitsRequest
		want []string
	}{
		"all":                {&visitsv1.ListVisitsRequest{}, all},
		"of the station":     {&visitsv1.ListVisitsRequest{StationId: s.East.ID}, all},
		"of another station": {&visitsv1.ListVisitsRequest{StationId: s.West.ID}, nil},
		"of the household":   {&visitsv1.ListVisitsRequest{HouseholdId: s.East.Neighbours}, all[4:5]},
		"of the case":        {&visitsv1.ListVisitsRequest{CaseId: of}, all[5:6]},
		"by phone":           {&visitsv1.ListVisitsRequest{Kind: phoneKind}, all[4:5]},
		"completed":          {&visitsv1.ListVisitsRequest{State: completedState}, all[:6]},
		"due":                {&visitsv1.ListVisitsRequest{PlannedOnOrBefore: "2021-07-01"}, all[6:]},
		"due the day before": {&visitsv1.ListVisitsRequest{PlannedOnOrBefore: "2021-06-30"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, list(c.req)); diff != "" {
				t.Error(diff)
			}
		})
	}
	_, err := s.service.ListVisits(s.ctx, &visitsv1.ListVisitsRequest{PageToken: "forged"})
	refused(t, err, apierr.Invalid, "pageToken")
}

func TestOnlyWhatTheScopeCoversIsReachable(t *testing.T) {
	here, abroad := world.NewPair(t)
	s := over(t, here)
	v := s.record(t, s.newVisit())
	for name, r := range map[string]struct {
		ctx  context.Context
		open bool
	}{
		"the own station": {s.ctx, true},
		"the bureau":      {here.Bureau(t), true},
		"who recorded it": {here.Own(t, here.East, "worker-"+here.East.ID), true},
		"a colleague":     {here.Own(t, here.East, "colleague"), false},
		"another station": {here.At(t, here.West), false},
		"another tenant":  {abroad.Bureau(t), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.service.GetVisit(r.ctx, &visitsv1.GetVisitRequest{Id: v.GetId()})
			_, updateErr := s.service.UpdateVisit(r.ctx, &visitsv1.UpdateVisitRequest{Visit: &visitsv1.Visit{Id: v.GetId(), Purpose: name}})
			answer := ok[*visitsv1.ListVisitsResponse](t)(s.service.ListVisits(r.ctx, &visitsv1.ListVisitsRequest{}))
			if r.open {
				if err != nil || updateErr != nil || len(answer.GetVisits()) != 1 {
					t.Fatalf("get %v, update %v, list %v", err, updateErr, answer)
				}
				return
			}
			_, voidErr := s.service.VoidVisit(r.ctx, &visitsv1.VoidVisitRequest{Id: v.GetId(), Reason: "r"})
			for _, err := range []error{err, updateErr, voidErr} {
				refused(t, err, apierr.NotFound, "")
			}
			if len(answer.GetVisits()) != 0 {
				t.Errorf("listed %v", answer.GetVisits())
			}
		})
	}
}

func TestACorrectedVisitCorrectsItsFigures(t *testing.T) {
	for name, c := range map[string]struct {
		update *visitsv1.Visit
		paths  []string
		want   func(s *scene) []world.Fact // beyond the facts of the recording
	}{
		"findings": {&visitsv1.Visit{Findings: "Better"}, nil, func(*scene) []world.Fact { return nil }},
		"domain": {&visitsv1.Visit{Domain: "child_welfare"}, nil, func(s *scene) []world.Fact {
			return []world.Fact{
				s.fact("home_visit", "elderly_services", -1), s.fact("person_times", "elderly_services", -2),
				s.fact("home_visit", "child_welfare", 1), s.fact("person_times", "child_welfare", 2),
			}
		}},
		"kind": {&visitsv1.Visit{Kind: phoneKind}, nil, func(s *scene) []world.Fact {
			return []world.Fact{
				s.fact("home_visit", "elderly_services", -1), s.fact("person_times", "elderly_services", -2),
				s.fact("person_times", "elderly_services", 2),
			}
		}},
		"persons": {&visitsv1.Visit{PersonsServed: 3}, nil, func(s *scene) []world.Fact {
			return []world.Fact{
				s.fact("home_visit", "elderly_services", -1), s.fact("person_times", "elderly_services", -2),
				s.fact("home_visit", "elderly_services", 1), s.fact("person_times", "elderly_services", 3),
			}
		}},
		"residents": {&visitsv1.Visit{}, []string{"resident_ids", "persons_served"}, func(s *scene) []world.Fact {
			return []world.Fact{
				s.fact("home_visit", "elderly_services", -1), s.fact("person_times", "elderly_services", -2),
				s.fact("home_visit", "elderly_services", 1), s.fact("person_times", "elderly_services", 1),
			}
		}},
		"date": {&visitsv1.Visit{VisitDate: "2021-06-09"}, nil, func(s *scene) []world.Fact {
			visit, persons := s.fact("home_visit", "elderly_services", 1), s.fact("person_times", "elderly_services", 2)
			visit.Date, persons.Date = "2021-06-09", "2021-06-09"
			return []world.Fact{s.fact("home_visit", "elderly_services", -1), s.fact("person_times", "elderly_services", -2), visit, persons}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := setup(t)
			v := s.record(t, s.newVisit())
			c.update.Id = v.GetId()
			got := must(t)(s.service.UpdateVisit(s.ctx, &visitsv1.UpdateVisitRequest{
				Visit: c.update, UpdateMask: &fieldmaskpb.FieldMask{Paths: c.paths},
			}))
			if got.GetEtag() != `"2"` || got.GetState() != completedState {
				t.Errorf("got %v", got)
			}
			facts := s.Facts(t, "visits", v.GetId())
			if diff := cmp.Diff(c.want(s), facts[2:], cmp.Transformer("empty", func(f []world.Fact) []world.Fact {
				return append([]world.Fact{}, f...)
			})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnUpdateThatBreaksARuleChangesNothing(t *testing.T) {
	s := setup(t)
	done, plan := s.record(t, s.newVisit()), s.plan(t)
	for name, u := range map[string]struct {
		of     *visitsv1.Visit
		update *visitsv1.Visit
		paths  []string
		kind   apierr.Kind
		field  string
	}{
		"another household":        {done, &visitsv1.Visit{HouseholdId: s.East.Neighbours}, nil, apierr.Invalid, "visit.householdId"},
		"no findings":              {done, &visitsv1.Visit{}, []string{"findings"}, apierr.Invalid, "visit.findings"},
		"no date":                  {done, &visitsv1.Visit{}, []string{"visit_date"}, apierr.Invalid, "visit.visitDate"},
		"a date to come":           {done, &visitsv1.Visit{VisitDate: "2999-01-01"}, nil, apierr.Invalid, "visit.visitDate"},
		"a date before the worker": {done, &visitsv1.Visit{VisitDate: "2021-04-30"}, nil, apierr.Invalid, "visit.visitDate"},
		"a foreign worker":         {done, &visitsv1.Visit{StaffId: s.West.Worker}, nil, apierr.Invalid, "visit.staffId"},
		"a foreign resident":       {done, &visitsv1.Visit{ResidentIds: []string{s.East.Neighbour}}, nil, apierr.Invalid, "visit.residentIds[0]"},
		"too few persons":          {done, &visitsv1.Visit{PersonsServed: 1}, nil, apierr.Invalid, "visit.personsServed"},
		"too many persons":         {done, &visitsv1.Visit{PersonsServed: 51}, nil, apierr.Invalid, "visit.personsServed"},
		"findings of a plan":       {plan, &visitsv1.Visit{Findings: "Well"}, nil, apierr.Invalid, "visit.findings"},
		"a plan for no day":        {plan, &visitsv1.Visit{}, []string{"planned_date"}, apierr.Invalid, "visit.plannedDate"},
		"an etag of before":        {done, &visitsv1.Visit{Purpose: "Late", Etag: `"7"`}, nil, apierr.StaleETag, "visit.etag"},
	} {
		t.Run(name, func(t *testing.T) {
			u.update.Id = u.of.GetId()
			_, err := s.service.UpdateVisit(s.ctx, &visitsv1.UpdateVisitRequest{
				Visit: u.update, UpdateMask: &fieldmaskpb.FieldMask{Paths: u.paths},
			})
			refused(t, err, u.kind, u.field)
		})
	}
	stale := metadata.NewIncomingContext(s.ctx, metadata.Pairs(etag.IfMatch, `"7"`))
	_, err := s.service.UpdateVisit(stale, &visitsv1.UpdateVisitRequest{Visit: &visitsv1.Visit{Id: done.GetId(), Purpose: "Late"}})
	refused(t, err, apierr.StaleETag, "If-Match")
	for _, want := range []*visitsv1.Visit{done, plan} {
		if got := must(t)(s.service.GetVisit(s.ctx, &visitsv1.GetVisitRequest{Id: want.GetId()})); !proto.Equal(got, want) {
			t.Errorf("the visit is now %v", got)
		}
	}
	if got := s.Facts(t, "visits", done.GetId()); len(got) != 2 {
		t.Errorf("facts %v", got)
	}
}

func TestWhatAVisitWasRecordedWithStaysGood(t *testing.T) {
	s := setup(t)
	v := s.newVisit()
	v.StaffId, v.VisitDate = s.East.Left, "2021-08-31"
	s.record(t, v)
	got := must(t)(s.service.UpdateVisit(s.ctx, &visitsv1.UpdateVisitRequest{Visit: &visitsv1.Visit{Id: v.GetId(), Findings: "More"}}))
	if got.GetFindings() != "More" || got.GetStaffId() != s.East.Left {
		t.Errorf("got %v", got)
	}
	_, err := s.service.UpdateVisit(s.ctx, &visitsv1.UpdateVisitRequest{Visit: &visitsv1.Visit{Id: v.GetId(), VisitDate: "2021-09-01"}})
	refused(t, err, apierr.Invalid, "visit.visitDate")
}

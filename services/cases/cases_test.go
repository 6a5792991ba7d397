package cases_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/services/internal/testenv/world"
)

func TestAnOpenedCaseIsAtIntakeAndCountedOnce(t *testing.T) {
	s := setup(t)
	in := s.newCase()
	in.Id = world.NewID()
	opened := must(t)(s.service.OpenCase(s.ctx, &casesv1.OpenCaseRequest{Case: in}))

	want := proto.Clone(in).(*casesv1.Case)
	want.HouseholdId, want.StationId, want.Stage, want.Etag = s.East.Household, s.East.ID, casesv1.CaseStage_CASE_STAGE_INTAKE, `"1"`
	times := protocmp.IgnoreFields(&casesv1.Case{}, "create_time", "update_time")
	if diff := cmp.Diff(want, opened, protocmp.Transform(), times); diff != "" {
		t.Error(diff)
	}
	if got := must(t)(s.service.GetCase(s.ctx, &casesv1.GetCaseRequest{Id: in.GetId()})); !proto.Equal(got, opened) {
		t.Errorf("read %v, opened %v", got, opened)
	}
	facts := []world.Fact{{
		Measure: "case", Date: "2021-06-01", Station: s.East.ID, Staff: s.East.Worker, Household: s.East.Household, Resident: s.East.Child,
		Domain: "child_welfare", Amount: 1,
	}}
	if diff := cmp.Diff(facts, s.Facts(t, "cases", in.GetId())); diff != "" {
		t.Error(diff)
	}

	_, err := s.service.OpenCase(s.ctx, &casesv1.OpenCaseRequest{Case: in})
	refused(t, err, apierr.AlreadyExists, "case.id")
	if got := s.Figures(t); got["case"] != 1 {
		t.Errorf("figures after a second opening with the same id: %v", got)
	}
}

func TestACaseWithABadReferenceIsNotOpened(t *testing.T) {
	s := setup(t)
	for name, c := range map[string]struct {
		change func(*casesv1.Case)
		field  string
	}{
		"an unknown resident":               {func(c *casesv1.Case) { c.ResidentId = world.NewID() }, "case.residentId"},
		"a resident of another station":     {func(c *casesv1.Case) { c.ResidentId = s.West.Elder }, "case.residentId"},
		"a worker of another station":       {func(c *casesv1.Case) { c.StaffId = s.West.Worker }, "case.staffId"},
		"a worker who had left":             {func(c *casesv1.Case) { c.StaffId, c.OpenedDate = s.East.Left, "2021-09-01" }, "case.staffId"},
		"a need of another household":       {func(c *casesv1.Case) { c.NeedIds = []string{s.East.Need, s.East.NeighboursNeed} }, "case.needIds[1]"},
		"a need that was taken back":        {func(c *casesv1.Case) { c.NeedIds = []string{s.East.VoidNeed} }, "case.needIds[0]"},
		"a domain that the pack lacks":      {func(c *casesv1.Case) { c.Domain = "astrology" }, "case.domain"},
		"a day that is not of the calendar": {func(c *casesv1.Case) { c.OpenedDate = "2021-02-30" }, "case.openedDate"},
		"a day to come":                     {func(c *casesv1.Case) { c.OpenedDate = "2999-01-01" }, "case.openedDate"},
		"an id that is none":                {func(c *casesv1.Case) { c.Id = "7" }, "case.id"},
	} {
		t.Run(name, func(t *testing.T) {
			in := s.newCase()
			c.change(in)
			_, err := s.service.OpenCase(s.ctx, &casesv1.OpenCaseRequest{Case: in})
			refused(t, err, apierr.Invalid, c.field)
		})
	}
	if got := s.Figures(t); len(got) != 0 {
		t.Errorf("refused cases were counted: %v", got)
	}
}

func TestCasesAreListedByPageAndFilter(t *testing.T) {
	s := setup(t)
	all := make([]string, 0, 6)
	for range 5 {
		all = append(all, s.open(t).GetId())
	}
	elder := s.newCase()
	elder.ResidentId, elder.Domain, elder.StaffId = s.East.Elder, "elderly_services", s.East.Colleague
	of := must(t)(s.service.OpenCase(s.ctx, &casesv1.OpenCaseRequest{Case: elder}))
	all = append(all, of.GetId())
	s.work(t, of, casesv1.CaseStage_CASE_STAGE_PLANNING, "2021-06-02")

	list := func(req *casesv1.ListCasesRequest) (got []string) {
		t.Helper()
		req.PageSize = 4
		for {
			answer := ok[*casesv1.ListCasesResponse](t)(s.service.ListCases(s.ctx, req))
			for _, c := range answer.GetCases() {
				got = append(got, c.GetId())
			}
			if req.PageToken = answer.GetNextPageToken(); req.GetPageToken() == "" {
				return got
			}
		}
	}
	for name, c := range map[string]struct {
		req  *casesv1.ListCasesRequest
		want []string
	}{
		"all":                {&casesv1.ListCasesRequest{}, all},
		"of the station":     {&casesv1.ListCasesRequest{StationId: s.East.ID}, all},
		"of another station": {&casesv1.ListCasesRequest{StationId: s.West.ID}, nil},
		"of the resident":    {&casesv1.ListCasesRequest{ResidentId: s.East.Elder}, all[5:]},
		"of the worker":      {&casesv1.ListCasesRequest{StaffId: s.East.Worker}, all[:5]},
		"of the domain":      {&casesv1.ListCasesRequest{Domain: "elderly_services"}, all[5:]},
		"at the stage":       {&casesv1.ListCasesRequest{Stage: casesv1.CaseStage_CASE_STAGE_INTAKE}, all[:5]},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, list(c.req)); diff != "" {
				t.Error(diff)
			}
		})
	}
	_, err := s.service.ListCases(s.ctx, &casesv1.ListCasesRequest{PageToken: "forged"})
	refused(t, err, apierr.Invalid, "pageToken")
}

func TestOnlyWhatTheScopeCoversIsReachable(t *testing.T) {
	here, abroad := world.NewPair(t)
	s := over(t, here)
	c := s.open(t)
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
			_, err := s.service.GetCase(r.ctx, &casesv1.GetCaseRequest{Id: c.GetId()})
			_, updateErr := s.service.UpdateCase(r.ctx, &casesv1.UpdateCaseRequest{Case: &casesv1.Case{Id: c.GetId(), Title: name}})
			_, changesErr := s.service.ListStageChanges(r.ctx, &casesv1.ListStageChangesRequest{CaseId: c.GetId()})
			answer := ok[*casesv1.ListCasesResponse](t)(s.service.ListCases(r.ctx, &casesv1.ListCasesRequest{}))
			if r.open {
				if err != nil || updateErr != nil || changesErr != nil || len(answer.GetCases()) != 1 {
					t.Fatalf("get %v, update %v, list changes %v, list %v", err, updateErr, changesErr, answer)
				}
				return
			}
			for _, err := range []error{err, updateErr, changesErr} {
				refused(t, err, apierr.NotFound, "")
			}
			if len(answer.GetCases()) != 0 {
				t.Errorf("listed %v", answer.GetCases())
			}
		})
	}
}

func TestAnUpdateChangesWhatTheMaskNames(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	got := must(t)(s.service.UpdateCase(s.ctx, &casesv1.UpdateCaseRequest{
		Case: &casesv1.Case{Id: c.GetId(), Title: "School", Plan: "not named", Etag: c.GetEtag()}, UpdateMask: mask("title", "need_ids"),
	}))
	if got.GetTitle() != "School" || got.GetPlan() != "" || len(got.GetNeedIds()) != 0 || got.GetEtag() != `"2"` {
		t.Fatalf("got %v", got)
	}
	if again := must(t)(s.service.GetCase(s.ctx, &casesv1.GetCaseRequest{Id: c.GetId()})); !proto.Equal(again, got) {
		t.Errorf("read %v, answered %v", again, got)
	}
	got = must(t)(s.service.UpdateCase(s.ctx, &casesv1.UpdateCaseRequest{
		Case: &casesv1.Case{Id: c.GetId(), NeedIds: []string{s.East.Need}}, UpdateMask: mask("need_ids"),
	}))
	if diff := cmp.Diff([]string{s.East.Need}, got.GetNeedIds()); diff != "" {
		t.Error(diff)
	}
	if facts := s.Facts(t, "cases", c.GetId()); len(facts) != 1 {
		t.Errorf("nothing counted has changed, and the facts are %v", facts)
	}
}

func TestAnUpdateThatBreaksARuleChangesNothing(t *testing.T) {
	s := setup(t)
	c := s.work(t, s.open(t), casesv1.CaseStage_CASE_STAGE_INTERVENTION, "2021-06-05")
	for name, u := range map[string]struct {
		update *casesv1.Case
		paths  []string
		kind   apierr.Kind
		field  string
	}{
		"an emptied assessment":  {&casesv1.Case{}, []string{"assessment"}, apierr.Invalid, "case.assessment"},
		"an emptied plan":        {&casesv1.Case{Plan: " "}, []string{"plan"}, apierr.Invalid, "case.plan"},
		"an emptied title":       {&casesv1.Case{}, []string{"title"}, apierr.Invalid, "case.title"},
		"another client":         {&casesv1.Case{ResidentId: s.East.Elder}, []string{"resident_id"}, apierr.Invalid, "case.residentId"},
		"an opening to come":     {&casesv1.Case{OpenedDate: "2999-01-01"}, []string{"opened_date"}, apierr.Invalid, "case.openedDate"},
		"a field that is none":   {&casesv1.Case{}, []string{"colour"}, apierr.Invalid, "updateMask"},
		"a foreign need":         {&casesv1.Case{NeedIds: []string{s.West.Need}}, []string{"need_ids"}, apierr.Invalid, "case.needIds[0]"},
		"a foreign worker":       {&casesv1.Case{StaffId: s.West.Worker}, []string{"staff_id"}, apierr.Invalid, "case.staffId"},
		"a domain that is none":  {&casesv1.Case{Domain: "astrology"}, []string{"domain"}, apierr.Invalid, "case.domain"},
		"an etag of before":      {&casesv1.Case{Title: "Late", Etag: `"1"`}, nil, apierr.StaleETag, "case.etag"},
		"an etag that is no tag": {&casesv1.Case{Title: "Late", Etag: "1"}, nil, apierr.Invalid, "case.etag"},
	} {
		t.Run(name, func(t *testing.T) {
			u.update.Id = c.GetId()
			_, err := s.service.UpdateCase(s.ctx, &casesv1.UpdateCaseRequest{Case: u.update, UpdateMask: mask(u.paths...)})
			refused(t, err, u.kind, u.field)
		})
	}
	_, err := s.service.UpdateCase(ifMatch(s.ctx, `"1"`), &casesv1.UpdateCaseRequest{Case: &casesv1.Case{Id: c.GetId(), Title: "Late"}})
	refused(t, err, apierr.StaleETag, "If-Match")
	if got := must(t)(s.service.GetCase(s.ctx, &casesv1.GetCaseRequest{Id: c.GetId()})); !proto.Equal(got, c) {
		t.Errorf("the case is now %v", got)
	}
}

func TestAnotherWorkerOrDomainMovesTheFigures(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	session := ok[*casesv1.CaseSession](t)(s.service.CreateCaseSession(s.ctx, s.newSession(c)))
	must(t)(s.service.UpdateCase(s.ctx, &casesv1.UpdateCaseRequest{
		Case: &casesv1.Case{Id: c.GetId(), StaffId: s.East.Colleague, Domain: "social_affairs"},
	}))

	of := func(measure, staff, domain string, amount int32) world.Fact {
		return world.Fact{
			Measure: measure, Date: "2021-06-01", Station: s.East.ID, Staff: staff, Household: s.East.Household, Resident: s.East.Child,
			Domain: domain, Amount: amount,
		}
	}
	want := []world.Fact{
		of("case", s.East.Worker, "child_welfare", 1),
		of("case", s.East.Worker, "child_welfare", -1),
		of("case", s.East.Colleague, "social_affairs", 1),
	}
	if diff := cmp.Diff(want, s.Facts(t, "cases", c.GetId())); diff != "" {
		t.Error(diff)
	}
	byDomain := map[string]int32{}
	for _, f := range s.Facts(t, "caseSessions", session.GetId()) {
		byDomain[f.Measure+" "+f.Domain] += f.Amount
	}
	sums := map[string]int32{
		"case_session child_welfare": 0, "person_times child_welfare": 0, "case_session social_affairs": 1, "person_times social_affairs": 1,
	}
	if diff := cmp.Diff(sums, byDomain); diff != "" {
		t.Error(diff)
	}
}

func TestAVoidCaseIsOutOfTheFiguresForGood(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	for range 2 {
		ok[*casesv1.CaseSession](t)(s.service.CreateCaseSession(s.ctx, s.newSession(c)))
	}
	referral := ok[*casesv1.Referral](t)(s.service.CreateReferral(s.ctx, s.newReferral(c)))
	if diff := cmp.Diff(map[string]int{"case": 1, "case_session": 2, "person_times": 2}, s.Figures(t)); diff != "" {
		t.Fatal(diff)
	}
	got := must(t)(s.service.VoidCase(s.ctx, &casesv1.VoidCaseRequest{Id: c.GetId(), Reason: "opened twice"}))
	if got.GetStage() != casesv1.CaseStage_CASE_STAGE_VOID || got.GetVoidReason() != "opened twice" {
		t.Errorf("got %v", got)
	}
	if got := s.Figures(t); len(got) != 0 {
		t.Errorf("figures of a void case: %v", got)
	}
	changes := ok[*casesv1.ListStageChangesResponse](t)(s.service.ListStageChanges(s.ctx, &casesv1.ListStageChangesRequest{CaseId: c.GetId()}))
	if len(changes.GetStageChanges()) != 1 || changes.GetStageChanges()[0].GetReason() != "opened twice" ||
		changes.GetStageChanges()[0].GetChangeDate() != civildate.Format(civildate.Today()) {
		t.Errorf("changes %v", changes)
	}

	_, err := s.service.VoidCase(s.ctx, &casesv1.VoidCaseRequest{Id: c.GetId(), Reason: "again"})
	refused(t, err, apierr.Conflict, "")
	_, err = s.service.UpdateCase(s.ctx, &casesv1.UpdateCaseRequest{Case: &casesv1.Case{Id: c.GetId(), Title: "x"}})
	refused(t, err, apierr.Conflict, "")
	_, err = s.service.AdvanceCase(s.ctx, s.advance(c, "2021-07-01"))
	refused(t, err, apierr.Conflict, "")
	_, err = s.service.ReopenCase(s.ctx, &casesv1.ReopenCaseRequest{
		Id: c.GetId(), Reason: "r", ChangeDate: "2021-07-01", StaffId: s.East.Worker,
	})
	refused(t, err, apierr.Conflict, "")
	_, err = s.service.CreateCaseSession(s.ctx, s.newSession(c))
	refused(t, err, apierr.Conflict, "")
	_, err = s.service.RecordReferralOutcome(s.ctx, s.newOutcome(referral, casesv1.ReferralState_REFERRAL_STATE_COMPLETED))
	refused(t, err, apierr.Conflict, "")
}

func mask(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }

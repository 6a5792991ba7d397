package cases_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/apierr"
)

func TestACaseIsWorkedFromIntakeToClosureAndReopened(t *testing.T) {
	s := setup(t)
	c := s.work(t, s.open(t), casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-08-20")
	if c.GetClosedDate() != "2021-08-20" || c.GetClosureReason() != "Goals met" || c.GetEvaluation().GetReflection() != "Encourage and support" {
		t.Fatalf("closed as %v", c)
	}
	reopen := &casesv1.ReopenCaseRequest{Id: c.GetId(), Reason: "Moved away", ChangeDate: "2021-09-01", StaffId: s.East.Colleague, Etag: c.GetEtag()}
	c = must(t)(s.service.ReopenCase(s.ctx, reopen))
	if c.GetStage() != casesv1.CaseStage_CASE_STAGE_INTERVENTION || c.GetClosedDate() != "" || c.GetEvaluation().GetEvaluatedDate() != "" {
		t.Fatalf("reopened as %v", c)
	}
	c = must(t)(s.service.AdvanceCase(s.ctx, s.advance(c, "2021-09-02")))
	_, err := s.service.AdvanceCase(s.ctx, s.advance(c, "2021-09-02"))
	refused(t, err, apierr.Invalid, "evaluation")
	c = s.work(t, c, casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-09-30")

	var got []string
	req := &casesv1.ListStageChangesRequest{CaseId: c.GetId(), PageSize: 3}
	for {
		answer := ok[*casesv1.ListStageChangesResponse](t)(s.service.ListStageChanges(s.ctx, req))
		for _, m := range answer.GetStageChanges() {
			got = append(got, m.GetFromStage().String()[11:]+" "+m.GetToStage().String()[11:]+" "+m.GetChangeDate()+" "+m.GetReason())
		}
		if req.PageToken = answer.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	want := []string{
		"INTAKE ASSESSMENT 2021-08-20 ", "ASSESSMENT PLANNING 2021-08-20 ", "PLANNING INTERVENTION 2021-08-20 ",
		"INTERVENTION EVALUATION 2021-08-20 ", "EVALUATION CLOSURE 2021-08-20 Goals met", "CLOSURE INTERVENTION 2021-09-01 Moved away",
		"INTERVENTION EVALUATION 2021-09-02 ", "EVALUATION CLOSURE 2021-09-30 Goals met",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"case": 1}, s.Figures(t)); diff != "" {
		t.Errorf("a reopened case stays one case: %s", diff)
	}
}

func TestARefusedStepLeavesTheCaseAsItIs(t *testing.T) {
	s := setup(t)
	c := s.work(t, s.open(t), casesv1.CaseStage_CASE_STAGE_ASSESSMENT, "2021-06-05")
	for name, r := range map[string]struct {
		change func(*casesv1.AdvanceCaseRequest)
		kind   apierr.Kind
		field  string
	}{
		"a stage skipped":          {func(r *casesv1.AdvanceCaseRequest) { r.Stage = casesv1.CaseStage_CASE_STAGE_INTERVENTION }, apierr.Conflict, ""},
		"a stage back":             {func(r *casesv1.AdvanceCaseRequest) { r.Stage = casesv1.CaseStage_CASE_STAGE_INTAKE }, apierr.Conflict, ""},
		"void by the back door":    {func(r *casesv1.AdvanceCaseRequest) { r.Stage = casesv1.CaseStage_CASE_STAGE_VOID }, apierr.Conflict, ""},
		"the form missing":         {func(r *casesv1.AdvanceCaseRequest) { r.Assessment = "" }, apierr.Invalid, "assessment"},
		"before the last change":   {func(r *casesv1.AdvanceCaseRequest) { r.ChangeDate = "2021-06-04" }, apierr.Invalid, "changeDate"},
		"a day to come":            {func(r *casesv1.AdvanceCaseRequest) { r.ChangeDate = "2999-01-01" }, apierr.Invalid, "changeDate"},
		"by a worker of elsewhere": {func(r *casesv1.AdvanceCaseRequest) { r.StaffId = s.West.Worker }, apierr.Invalid, "staffId"},
		"with an etag of before":   {func(r *casesv1.AdvanceCaseRequest) { r.Etag = `"1"` }, apierr.StaleETag, "etag"},
		"of a case that is none":   {func(r *casesv1.AdvanceCaseRequest) { r.Id = s.East.Need }, apierr.NotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			req := s.advance(c, "2021-06-06")
			r.change(req)
			_, err := s.service.AdvanceCase(s.ctx, req)
			refused(t, err, r.kind, r.field)
		})
	}
	_, err := s.service.EvaluateCase(s.ctx, s.evaluate(c, "2021-06-06"))
	refused(t, err, apierr.Conflict, "")
	if got := must(t)(s.service.GetCase(s.ctx, &casesv1.GetCaseRequest{Id: c.GetId()})); !proto.Equal(got, c) {
		t.Errorf("the case is now %v", got)
	}
	changes := ok[*casesv1.ListStageChangesResponse](t)(s.service.ListStageChanges(s.ctx, &casesv1.ListStageChangesRequest{CaseId: c.GetId()}))
	if len(changes.GetStageChanges()) != 1 {
		t.Errorf("changes %v", changes)
	}
}

func TestACaseIsNotClosedOrEvaluatedBeforeItsLastWork(t *testing.T) {
	s := setup(t)
	c := s.work(t, s.open(t), casesv1.CaseStage_CASE_STAGE_EVALUATION, "2021-06-05")
	s.record(t, c) // on 2021-06-10
	_, err := s.service.EvaluateCase(s.ctx, s.evaluate(c, "2021-06-09"))
	refused(t, err, apierr.Invalid, "evaluatedDate")
	c = must(t)(s.service.EvaluateCase(s.ctx, s.evaluate(c, "2021-06-10")))
	referral := ok[*casesv1.Referral](t)(s.service.CreateReferral(s.ctx, s.newReferral(c))) // on 2021-06-20
	_, err = s.service.AdvanceCase(s.ctx, s.advance(c, "2021-06-19"))
	refused(t, err, apierr.Invalid, "changeDate")
	void := &casesv1.VoidReferralRequest{CaseId: c.GetId(), Id: referral.GetId(), Reason: "by mistake"}
	ok[*casesv1.Referral](t)(s.service.VoidReferral(s.ctx, void))
	must(t)(s.service.AdvanceCase(s.ctx, s.advance(c, "2021-06-10")))
}

func TestACaseIsNotWorkedWhileItWasClosed(t *testing.T) {
	s := setup(t)
	c := s.work(t, s.open(t), casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-06-20")
	must(t)(s.service.ReopenCase(s.ctx, &casesv1.ReopenCaseRequest{
		Id: c.GetId(), Reason: "again", ChangeDate: "2021-07-01", StaffId: s.East.Worker,
	}))
	for day, open := range map[string]bool{"2021-06-20": true, "2021-06-21": false, "2021-06-30": false, "2021-07-01": true} {
		session, referral := s.newSession(c), s.newReferral(c)
		session.Session.SessionDate, referral.Referral.ReferralDate = day, day
		_, sessionErr := s.service.CreateCaseSession(s.ctx, session)
		_, referralErr := s.service.CreateReferral(s.ctx, referral)
		if !open {
			refused(t, sessionErr, apierr.Invalid, "session.sessionDate")
			refused(t, referralErr, apierr.Invalid, "referral.referralDate")
		} else if sessionErr != nil || referralErr != nil {
			t.Errorf("%s: %v, %v", day, sessionErr, referralErr)
		}
	}
}

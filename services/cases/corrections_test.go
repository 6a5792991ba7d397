package cases_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/services/internal/testenv/world"
)

func paths(names ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: names} }

func TestAReferralIsCorrectedAndTakenBack(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	r := ok[*casesv1.Referral](t)(s.service.CreateReferral(s.ctx, s.newReferral(c)))
	ok[*casesv1.Referral](t)(s.service.RecordReferralOutcome(s.ctx, s.newOutcome(r, casesv1.ReferralState_REFERRAL_STATE_ACCEPTED)))
	s.work(t, c, casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-08-25")
	update := func(change *casesv1.Referral, names ...string) (*casesv1.Referral, error) {
		change.Id = r.GetId()
		return s.service.UpdateReferral(s.ctx, &casesv1.UpdateReferralRequest{CaseId: c.GetId(), Referral: change, UpdateMask: paths(names...)})
	}
	fixed := ok[*casesv1.Referral](t)(update(&casesv1.Referral{
		Organization: "市残联", ReferralDate: "2021-06-21", StaffId: s.East.Colleague,
	}, "organization", "referral_date", "staff_id"))
	if fixed.GetOrganization() != "市残联" || fixed.GetReferralDate() != "2021-06-21" || fixed.GetStaffId() != s.East.Colleague ||
		fixed.GetReason() != r.GetReason() || fixed.GetState() != casesv1.ReferralState_REFERRAL_STATE_ACCEPTED {
		t.Errorf("corrected to %v", fixed)
	}
	for day, why := range map[string]string{
		"2021-05-31": "before the opening", "2021-08-21": "after the answer", "2021-08-26": "after the closing", "2999-01-01": "to come",
	} {
		_, err := update(&casesv1.Referral{ReferralDate: day}, "referral_date")
		t.Run(why, func(t *testing.T) { refused(t, err, apierr.Invalid, "referral.referralDate") })
	}
	_, err := update(&casesv1.Referral{StaffId: s.West.Worker}, "staff_id")
	refused(t, err, apierr.Invalid, "referral.staffId")
	_, err = s.service.UpdateReferral(ifMatch(s.ctx, `"1"`), &casesv1.UpdateReferralRequest{CaseId: c.GetId(), Referral: fixed})
	refused(t, err, apierr.StaleETag, "If-Match")

	void := ok[*casesv1.Referral](t)(s.service.VoidReferral(s.ctx, &casesv1.VoidReferralRequest{CaseId: c.GetId(), Id: r.GetId(), Reason: "twice"}))
	if void.GetState() != casesv1.ReferralState_REFERRAL_STATE_VOID || void.GetVoidReason() != "twice" {
		t.Errorf("void as %v", void)
	}
	_, updateErr := update(&casesv1.Referral{Reason: "r"}, "reason")
	_, answerErr := s.service.RecordReferralOutcome(s.ctx, s.newOutcome(r, casesv1.ReferralState_REFERRAL_STATE_COMPLETED))
	_, voidErr := s.service.VoidReferral(s.ctx, &casesv1.VoidReferralRequest{CaseId: c.GetId(), Id: r.GetId(), Reason: "r"})
	for _, err := range []error{updateErr, answerErr, voidErr} {
		refused(t, err, apierr.Conflict, "")
	}
	got := ok[*casesv1.Referral](t)(s.service.GetReferral(s.ctx, &casesv1.GetReferralRequest{CaseId: c.GetId(), Id: r.GetId()}))
	if diff := cmp.Diff(void.String(), got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAReferralIsNotAnsweredWithVoid(t *testing.T) {
	s := setup(t)
	r := ok[*casesv1.Referral](t)(s.service.CreateReferral(s.ctx, s.newReferral(s.open(t))))
	_, err := s.service.RecordReferralOutcome(s.ctx, s.newOutcome(r, casesv1.ReferralState_REFERRAL_STATE_VOID))
	refused(t, err, apierr.Invalid, "state")
}

func TestAFollowUpIsCorrectedAndTakenBack(t *testing.T) {
	s := setup(t)
	c := s.work(t, s.open(t), casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-08-20")
	f := ok[*casesv1.FollowUp](t)(s.service.CreateFollowUp(s.ctx, s.newFollowUp(c)))
	update := func(change *casesv1.FollowUp, names ...string) (*casesv1.FollowUp, error) {
		change.Id = f.GetId()
		return s.service.UpdateFollowUp(s.ctx, &casesv1.UpdateFollowUpRequest{CaseId: c.GetId(), FollowUp: change, UpdateMask: paths(names...)})
	}
	fixed := ok[*casesv1.FollowUp](t)(update(&casesv1.FollowUp{FollowUpDate: "2021-10-02", Finding: "At school"}, "follow_up_date", "finding"))
	if fixed.GetFollowUpDate() != "2021-10-02" || fixed.GetFinding() != "At school" || fixed.GetStaffId() != s.East.Worker || fixed.GetEtag() != `"2"` {
		t.Errorf("corrected to %v", fixed)
	}
	for name, r := range map[string]struct {
		change      *casesv1.FollowUp
		path, field string
	}{
		"before the opening":    {&casesv1.FollowUp{FollowUpDate: "2021-05-31"}, "follow_up_date", "followUp.followUpDate"},
		"a day to come":         {&casesv1.FollowUp{FollowUpDate: "2999-01-01"}, "follow_up_date", "followUp.followUpDate"},
		"a worker who had left": {&casesv1.FollowUp{StaffId: s.East.Left}, "staff_id", "followUp.staffId"},
		"a visit that is none":  {&casesv1.FollowUp{VisitId: world.NewID()}, "visit_id", "followUp.visitId"},
		"no finding":            {&casesv1.FollowUp{}, "finding", "followUp.finding"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := update(r.change, r.path)
			refused(t, err, apierr.Invalid, r.field)
		})
	}
	void := &casesv1.VoidFollowUpRequest{CaseId: c.GetId(), Id: f.GetId(), Reason: "by mistake", Etag: fixed.GetEtag()}
	if got := ok[*casesv1.FollowUp](t)(s.service.VoidFollowUp(s.ctx, void)); got.GetVoidReason() != "by mistake" {
		t.Errorf("void as %v", got)
	}
	void.Etag = ""
	_, voidErr := s.service.VoidFollowUp(s.ctx, void)
	_, updateErr := update(&casesv1.FollowUp{Finding: "f"}, "finding")
	for _, err := range []error{voidErr, updateErr} {
		refused(t, err, apierr.Conflict, "")
	}
	got := ok[*casesv1.FollowUp](t)(s.service.GetFollowUp(s.ctx, &casesv1.GetFollowUpRequest{CaseId: c.GetId(), Id: f.GetId()}))
	if got.GetFinding() != "At school" || got.GetVoidReason() == "" {
		t.Errorf("read back %v", got)
	}
}

func TestTheOpeningOfACaseIsCorrectedWithItsFigures(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	session := s.record(t, c) // on 2021-06-10
	s.work(t, c, casesv1.CaseStage_CASE_STAGE_ASSESSMENT, "2021-06-12")
	update := func(day string) (*casesv1.Case, error) {
		return s.service.UpdateCase(s.ctx, &casesv1.UpdateCaseRequest{
			Case: &casesv1.Case{Id: c.GetId(), OpenedDate: day}, UpdateMask: paths("opened_date"),
		})
	}
	for _, day := range []string{"2021-04-30", "2021-06-11", "2999-01-01", "2021-02-30", ""} {
		_, err := update(day)
		refused(t, err, apierr.Invalid, "case.openedDate")
	}
	if got := must(t)(update("2021-06-10")); got.GetOpenedDate() != "2021-06-10" {
		t.Errorf("opened %v", got)
	}
	facts := s.Facts(t, "cases", c.GetId())
	if len(facts) != 3 || facts[1].Date != "2021-06-01" || facts[1].Amount != -1 || facts[2].Date != "2021-06-10" {
		t.Errorf("counted as %v", facts)
	}
	ok[*casesv1.CaseSession](t)(s.service.VoidCaseSession(s.ctx, voidOf(session)))
	must(t)(update("2021-06-12")) // what is void does not hold it back, the first change does
	_, err := update("2021-06-13")
	refused(t, err, apierr.Invalid, "case.openedDate")
	s.wantFigures(t, map[string]int{"case": 1})
}

func TestTheOpeningOfACaseIsADayOnWhichItsWorkerServed(t *testing.T) {
	s := setup(t)
	in := s.newCase()
	in.StaffId = s.East.Left
	c := must(t)(s.service.OpenCase(s.ctx, &casesv1.OpenCaseRequest{Case: in}))
	_, err := s.service.UpdateCase(s.ctx, &casesv1.UpdateCaseRequest{
		Case: &casesv1.Case{Id: c.GetId(), OpenedDate: "2021-09-01"}, UpdateMask: paths("opened_date"),
	})
	refused(t, err, apierr.Invalid, "case.staffId")
}

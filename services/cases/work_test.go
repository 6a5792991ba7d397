package cases_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	casesv1 "circle15.dev/api/cases/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/services/internal/testenv/world"
	"circle15.dev/services/visits"
)

func (s *scene) newReferral(c *casesv1.Case) *casesv1.CreateReferralRequest {
	return &casesv1.CreateReferralRequest{CaseId: c.GetId(), Referral: &casesv1.Referral{
		StaffId: s.East.Worker, Organization: "区残联", Reason: "A place at a school", ReferralDate: "2021-06-20",
	}}
}

func (s *scene) newOutcome(r *casesv1.Referral, state casesv1.ReferralState) *casesv1.RecordReferralOutcomeRequest {
	return &casesv1.RecordReferralOutcomeRequest{
		Id: r.GetId(), CaseId: r.GetCaseId(), State: state, Outcome: "A place", OutcomeDate: "2021-08-20", LinkedValueFen: 120_000,
	}
}

func (s *scene) newFollowUp(c *casesv1.Case) *casesv1.CreateFollowUpRequest {
	return &casesv1.CreateFollowUpRequest{CaseId: c.GetId(), FollowUp: &casesv1.FollowUp{
		StaffId: s.East.Worker, FollowUpDate: "2021-10-01", Finding: "Enrolment is the first step",
	}}
}

func TestASessionIsCountedWithItsPersonTimes(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	req := s.newSession(c)
	req.Session.PersonsServed, req.Session.StaffId = 3, s.East.Colleague
	session := ok[*casesv1.CaseSession](t)(s.service.CreateCaseSession(s.ctx, req))
	if session.GetNumber() != 1 || session.GetStationId() != s.East.ID || session.GetCaseId() != c.GetId() {
		t.Errorf("got %v", session)
	}
	of := func(measure string, amount int32) world.Fact {
		return world.Fact{
			Measure: measure, Date: "2021-06-10", Station: s.East.ID, Staff: s.East.Colleague, Household: s.East.Household,
			Resident: s.East.Child, Domain: "child_welfare", Amount: amount,
		}
	}
	if diff := cmp.Diff([]world.Fact{of("case_session", 1), of("person_times", 3)}, s.Facts(t, "caseSessions", session.GetId())); diff != "" {
		t.Error(diff)
	}
}

func TestSessionsRecordedAtTheSameTimeAreNumberedWithoutGaps(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	const clients, each = 8, 5
	var mu sync.Mutex
	var numbers []int
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range each {
				session, err := s.service.CreateCaseSession(s.ctx, s.newSession(c))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				numbers = append(numbers, int(session.GetNumber()))
				mu.Unlock()
			}
		})
	}
	group.Wait()
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != i+1 {
			t.Fatalf("numbers %v", numbers)
		}
	}
	if diff := cmp.Diff(map[string]int{"case": 1, "case_session": clients * each, "person_times": clients * each}, s.Figures(t)); diff != "" {
		t.Error(diff)
	}
}

func TestARefusedSessionLeavesNoGap(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	taken := s.newSession(c)
	taken.Session.Id = world.NewID()
	ok[*casesv1.CaseSession](t)(s.service.CreateCaseSession(s.ctx, taken))
	_, err := s.service.CreateCaseSession(s.ctx, taken)
	refused(t, err, apierr.AlreadyExists, "session.id")
	early := s.newSession(c)
	early.Session.SessionDate = "2021-05-31"
	_, err = s.service.CreateCaseSession(s.ctx, early)
	refused(t, err, apierr.Invalid, "session.sessionDate")
	if second := ok[*casesv1.CaseSession](t)(s.service.CreateCaseSession(s.ctx, s.newSession(c))); second.GetNumber() != 2 {
		t.Errorf("got %v", second)
	}
}

func TestAReferralIsRecordedAndAnswered(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	r := ok[*casesv1.Referral](t)(s.service.CreateReferral(s.ctx, s.newReferral(c)))
	if r.GetState() != casesv1.ReferralState_REFERRAL_STATE_SENT || r.GetStationId() != s.East.ID {
		t.Errorf("got %v", r)
	}
	stale := s.newOutcome(r, casesv1.ReferralState_REFERRAL_STATE_ACCEPTED)
	stale.Etag = `"7"`
	_, err := s.service.RecordReferralOutcome(s.ctx, stale)
	refused(t, err, apierr.StaleETag, "etag")
	elsewhere := s.newOutcome(r, casesv1.ReferralState_REFERRAL_STATE_ACCEPTED)
	elsewhere.CaseId = s.open(t).GetId()
	_, err = s.service.RecordReferralOutcome(s.ctx, elsewhere)
	refused(t, err, apierr.NotFound, "")

	ok[*casesv1.Referral](t)(s.service.RecordReferralOutcome(s.ctx, s.newOutcome(r, casesv1.ReferralState_REFERRAL_STATE_ACCEPTED)))
	s.work(t, c, casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-08-20")
	r = ok[*casesv1.Referral](t)(s.service.RecordReferralOutcome(s.ctx, s.newOutcome(r, casesv1.ReferralState_REFERRAL_STATE_COMPLETED)))
	if r.GetOutcome() != "A place" || r.GetLinkedValueFen() != 120_000 || r.GetOutcomeDate() != "2021-08-20" || r.GetEtag() != `"3"` {
		t.Errorf("got %v", r)
	}
	_, err = s.service.RecordReferralOutcome(s.ctx, s.newOutcome(r, casesv1.ReferralState_REFERRAL_STATE_DECLINED))
	refused(t, err, apierr.Conflict, "")
	_, err = s.service.CreateReferral(s.ctx, s.newReferral(c))
	refused(t, err, apierr.Conflict, "")
}

func TestFollowUpsComeAfterTheWork(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	_, err := s.service.CreateFollowUp(s.ctx, s.newFollowUp(c))
	refused(t, err, apierr.Conflict, "")
	s.work(t, c, casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-08-20")
	early := s.newFollowUp(c)
	early.FollowUp.FollowUpDate = "2021-08-19"
	_, err = s.service.CreateFollowUp(s.ctx, early)
	refused(t, err, apierr.Invalid, "followUp.followUpDate")
	of := s.newFollowUp(c)
	of.FollowUp.VisitId = world.NewID()
	_, err = s.service.CreateFollowUp(s.ctx, of)
	refused(t, err, apierr.Invalid, "followUp.visitId")
	got := ok[*casesv1.FollowUp](t)(s.service.CreateFollowUp(s.ctx, s.newFollowUp(c)))
	if got.GetFinding() != "Enrolment is the first step" || got.GetVisitId() != "" || got.GetCaseId() != c.GetId() {
		t.Errorf("got %v", got)
	}
}

func TestAFollowUpMayNameTheVisitAtWhichItTookPlace(t *testing.T) {
	s := setup(t)
	c := s.work(t, s.open(t), casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-08-20")
	record := visits.New(s.DB, s.Pages)
	visit := func(household string) string {
		v := &visitsv1.Visit{
			HouseholdId: household, StaffId: s.East.Worker, Kind: visitsv1.VisitKind_VISIT_KIND_HOME, Domain: "child_welfare",
			VisitDate: "2021-10-01", DurationMinutes: 30, Findings: "At school",
		}
		return ok[*visitsv1.Visit](t)(record.RecordVisit(s.ctx, &visitsv1.RecordVisitRequest{Visit: v})).GetId()
	}
	req := s.newFollowUp(c)
	req.FollowUp.VisitId = visit(s.East.Household)
	if got := ok[*casesv1.FollowUp](t)(s.service.CreateFollowUp(s.ctx, req)); got.GetVisitId() != req.GetFollowUp().GetVisitId() {
		t.Errorf("got %v", got)
	}
	req.FollowUp.FollowUpDate = "2021-09-30"
	_, err := s.service.CreateFollowUp(s.ctx, req)
	refused(t, err, apierr.Invalid, "followUp.followUpDate") // the visit came after
	req.FollowUp.FollowUpDate = "2021-10-02"
	ok[*casesv1.FollowUp](t)(s.service.CreateFollowUp(s.ctx, req))
	req.FollowUp.VisitId = visit(s.East.Neighbours)
	_, err = s.service.CreateFollowUp(s.ctx, req)
	refused(t, err, apierr.Invalid, "followUp.visitId")
	req.FollowUp.VisitId = visit(s.East.Household)
	ok[*visitsv1.Visit](t)(record.VoidVisit(s.ctx, &visitsv1.VoidVisitRequest{Id: req.GetFollowUp().GetVisitId(), Reason: "by mistake"}))
	_, err = s.service.CreateFollowUp(s.ctx, req)
	refused(t, err, apierr.Invalid, "followUp.visitId")
}

func TestTheWorkOfACaseIsListedToWhoMaySeeTheCase(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	sessions := make([]string, 0, 3)
	for range 3 {
		sessions = append(sessions, ok[*casesv1.CaseSession](t)(s.service.CreateCaseSession(s.ctx, s.newSession(c))).GetId())
	}
	ok[*casesv1.Referral](t)(s.service.CreateReferral(s.ctx, s.newReferral(c)))
	s.work(t, c, casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-08-20")
	ok[*casesv1.FollowUp](t)(s.service.CreateFollowUp(s.ctx, s.newFollowUp(c)))

	req := &casesv1.ListCaseSessionsRequest{CaseId: c.GetId(), PageSize: 2}
	first := ok[*casesv1.ListCaseSessionsResponse](t)(s.service.ListCaseSessions(s.ctx, req))
	req.PageToken = first.GetNextPageToken()
	second := ok[*casesv1.ListCaseSessionsResponse](t)(s.service.ListCaseSessions(s.ctx, req))
	both := slices.Concat(first.GetCaseSessions(), second.GetCaseSessions())
	got := make([]string, 0, len(both))
	for _, session := range both {
		got = append(got, session.GetId())
	}
	if diff := cmp.Diff(sessions, got); diff != "" || second.GetNextPageToken() != "" {
		t.Errorf("%s, then %q", diff, second.GetNextPageToken())
	}

	for name, list := range s.lists(c.GetId()) {
		if n, err := list(s); err != nil || n == 0 {
			t.Errorf("%s at the own station: %d, %v", name, n, err)
		}
		_, err := list(&scene{s.World, s.service, s.At(t, s.West)})
		if apierr.KindOf(err) != apierr.NotFound {
			t.Errorf("%s at another station: %v", name, err)
		}
		n, err := list(&scene{s.World, s.service, s.Own(t, s.East, "colleague")})
		if n != 0 || err != nil && name != "stage changes" {
			t.Errorf("%s of a colleague: %d, %v", name, n, err)
		}
	}
	for name, list := range s.lists(world.NewID()) {
		if _, err := list(s); apierr.KindOf(err) != apierr.NotFound {
			t.Errorf("%s of a case that is none: %v", name, err)
		}
	}
}

// lists are the lists under a case, each as a count.
func (s *scene) lists(of string) map[string]func(by *scene) (int, error) {
	return map[string]func(by *scene) (int, error){
		"stage changes": func(by *scene) (int, error) {
			answer, err := by.service.ListStageChanges(by.ctx, &casesv1.ListStageChangesRequest{CaseId: of})
			return len(answer.GetStageChanges()), err
		},
		"sessions": func(by *scene) (int, error) {
			answer, err := by.service.ListCaseSessions(by.ctx, &casesv1.ListCaseSessionsRequest{CaseId: of})
			return len(answer.GetCaseSessions()), err
		},
		"referrals": func(by *scene) (int, error) {
			answer, err := by.service.ListReferrals(by.ctx, &casesv1.ListReferralsRequest{CaseId: of})
			return len(answer.GetReferrals()), err
		},
		"follow-ups": func(by *scene) (int, error) {
			answer, err := by.service.ListFollowUps(by.ctx, &casesv1.ListFollowUpsRequest{CaseId: of})
			return len(answer.GetFollowUps()), err
		},
	}
}

func TestWorkOnACaseOfAnotherStationIsRefused(t *testing.T) {
	s := setup(t)
	c := s.work(t, s.open(t), casesv1.CaseStage_CASE_STAGE_EVALUATION, "2021-06-05")
	west := s.At(t, s.West)
	_, sessionErr := s.service.CreateCaseSession(west, s.newSession(c))
	_, referralErr := s.service.CreateReferral(west, s.newReferral(c))
	_, followUpErr := s.service.CreateFollowUp(west, s.newFollowUp(c))
	_, advanceErr := s.service.AdvanceCase(west, s.advance(c, "2021-06-06"))
	_, voidErr := s.service.VoidCase(west, &casesv1.VoidCaseRequest{Id: c.GetId(), Reason: "r"})
	for i, err := range []error{sessionErr, referralErr, followUpErr, advanceErr, voidErr} {
		t.Run(fmt.Sprint(i), func(t *testing.T) { refused(t, err, apierr.NotFound, "") })
	}
}

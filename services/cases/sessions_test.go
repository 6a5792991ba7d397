package cases_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/services/internal/testenv/world"
)

// record records a session of the case.
func (s *scene) record(t *testing.T, c *casesv1.Case) *casesv1.CaseSession {
	t.Helper()
	return ok[*casesv1.CaseSession](t)(s.service.CreateCaseSession(s.ctx, s.newSession(c)))
}

// correction is a request that changes the session's paths to those of change.
func correction(of, change *casesv1.CaseSession, paths ...string) *casesv1.UpdateCaseSessionRequest {
	change.Id = of.GetId()
	return &casesv1.UpdateCaseSessionRequest{
		CaseId: of.GetCaseId(), Session: change, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
	}
}

func voidOf(of *casesv1.CaseSession) *casesv1.VoidCaseSessionRequest {
	return &casesv1.VoidCaseSessionRequest{CaseId: of.GetCaseId(), Id: of.GetId(), Reason: "by mistake"}
}

func (s *scene) wantFigures(t *testing.T, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, s.Figures(t)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func TestASessionTypedWrongIsCorrectedWithItsFigures(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	req := s.newSession(c)
	req.Session.PersonsServed = 100
	session := ok[*casesv1.CaseSession](t)(s.service.CreateCaseSession(s.ctx, req))
	s.work(t, c, casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-08-20")

	fixed := ok[*casesv1.CaseSession](t)(s.service.UpdateCaseSession(ifMatch(s.ctx, session.GetEtag()),
		correction(session, &casesv1.CaseSession{PersonsServed: 10}, "persons_served")))
	if fixed.GetPersonsServed() != 10 || fixed.GetRecord() != session.GetRecord() || fixed.GetEtag() != `"2"` {
		t.Errorf("corrected to %v", fixed)
	}
	s.wantFigures(t, map[string]int{"case": 1, "case_session": 1, "person_times": 10})

	ok[*casesv1.CaseSession](t)(s.service.UpdateCaseSession(s.ctx, correction(session, &casesv1.CaseSession{
		SessionDate: "2021-06-12", StaffId: s.East.Colleague, Record: "r",
	}, "session_date", "staff_id", "record")))
	facts := s.Facts(t, "caseSessions", session.GetId())
	want := world.Fact{
		Measure: "person_times", Date: "2021-06-12", Station: s.East.ID, Staff: s.East.Colleague, Household: s.East.Household,
		Resident: s.East.Child, Domain: "child_welfare", Amount: 10,
	}
	if diff := cmp.Diff(want, facts[len(facts)-1]); diff != "" {
		t.Error(diff)
	}
	s.wantFigures(t, map[string]int{"case": 1, "case_session": 1, "person_times": 10})

	before := len(facts)
	ok[*casesv1.CaseSession](t)(s.service.UpdateCaseSession(s.ctx, correction(session, &casesv1.CaseSession{Record: "s"}, "record")))
	if after := len(s.Facts(t, "caseSessions", session.GetId())); after != before {
		t.Errorf("another record made %d facts of %d", after, before)
	}
	got := ok[*casesv1.CaseSession](t)(s.service.GetCaseSession(s.ctx, &casesv1.GetCaseSessionRequest{CaseId: c.GetId(), Id: session.GetId()}))
	if got.GetRecord() != "s" || got.GetSessionDate() != "2021-06-12" || got.GetEtag() != `"4"` {
		t.Errorf("read back %v", got)
	}
}

func TestAVoidSessionLeavesTheFiguresAndKeepsItsNumber(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	first, second := s.record(t, c), s.record(t, c)
	stale := voidOf(second)
	stale.Etag = `"7"`
	_, err := s.service.VoidCaseSession(s.ctx, stale)
	refused(t, err, apierr.StaleETag, "etag")
	void := ok[*casesv1.CaseSession](t)(s.service.VoidCaseSession(s.ctx, voidOf(second)))
	if void.GetVoidReason() != "by mistake" || void.GetNumber() != 2 {
		t.Errorf("got %v", void)
	}
	s.wantFigures(t, map[string]int{"case": 1, "case_session": 1, "person_times": 1})
	if third := s.record(t, c); third.GetNumber() != 3 {
		t.Errorf("the next session has the number %d", third.GetNumber())
	}

	_, err = s.service.VoidCaseSession(s.ctx, voidOf(second))
	refused(t, err, apierr.Conflict, "")
	_, err = s.service.UpdateCaseSession(s.ctx, correction(second, &casesv1.CaseSession{Record: "r"}, "record"))
	refused(t, err, apierr.Conflict, "")

	must(t)(s.service.VoidCase(s.ctx, &casesv1.VoidCaseRequest{Id: c.GetId(), Reason: "by mistake"}))
	s.wantFigures(t, map[string]int{})
	_, err = s.service.VoidCaseSession(s.ctx, voidOf(first))
	refused(t, err, apierr.Conflict, "")
	_, err = s.service.UpdateCaseSession(s.ctx, correction(first, &casesv1.CaseSession{Record: "r"}, "record"))
	refused(t, err, apierr.Conflict, "")
}

func TestAWrongCorrectionOfASessionChangesNothing(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	session := s.record(t, c)
	s.work(t, c, casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-08-20")
	for name, r := range map[string]struct {
		change *casesv1.CaseSession
		path   string
		field  string
	}{
		"before the opening":          {&casesv1.CaseSession{SessionDate: "2021-05-31"}, "session_date", "session.sessionDate"},
		"after the closing":           {&casesv1.CaseSession{SessionDate: "2021-08-21"}, "session_date", "session.sessionDate"},
		"a day to come":               {&casesv1.CaseSession{SessionDate: "2999-01-01"}, "session_date", "session.sessionDate"},
		"no day":                      {&casesv1.CaseSession{SessionDate: "2021-02-30"}, "session_date", "session.sessionDate"},
		"a worker of elsewhere":       {&casesv1.CaseSession{StaffId: s.West.Worker}, "staff_id", "session.staffId"},
		"nobody served":               {&casesv1.CaseSession{PersonsServed: 101}, "persons_served", "session.personsServed"},
		"no record":                   {&casesv1.CaseSession{}, "record", "session.record"},
		"no minute":                   {&casesv1.CaseSession{}, "duration_minutes", "session.durationMinutes"},
		"a path that names no column": {&casesv1.CaseSession{}, "colour", "updateMask"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.service.UpdateCaseSession(s.ctx, correction(session, r.change, r.path))
			refused(t, err, apierr.Invalid, r.field)
		})
	}
	_, err := s.service.UpdateCaseSession(ifMatch(s.ctx, `"7"`), correction(session, &casesv1.CaseSession{Record: "r"}, "record"))
	refused(t, err, apierr.StaleETag, "If-Match")
	got := ok[*casesv1.CaseSession](t)(s.service.GetCaseSession(s.ctx, &casesv1.GetCaseSessionRequest{CaseId: c.GetId(), Id: session.GetId()}))
	if !proto.Equal(got, session) {
		t.Errorf("the session is now %v", got)
	}
	s.wantFigures(t, map[string]int{"case": 1, "case_session": 1, "person_times": 1})
}

func TestASessionIsReachedThroughItsOwnCaseAndScopeAlone(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	session := s.record(t, c)
	elsewhere := proto.CloneOf(session)
	elsewhere.CaseId = s.open(t).GetId()
	for name, r := range map[string]struct {
		ctx context.Context
		of  *casesv1.CaseSession
	}{
		"another case":         {s.ctx, elsewhere},
		"another station":      {s.At(t, s.West), session},
		"another's own record": {s.Own(t, s.East, "colleague"), session},
	} {
		_, getErr := s.service.GetCaseSession(r.ctx, &casesv1.GetCaseSessionRequest{CaseId: r.of.GetCaseId(), Id: r.of.GetId()})
		_, updateErr := s.service.UpdateCaseSession(r.ctx, correction(r.of, &casesv1.CaseSession{Record: "r"}, "record"))
		_, voidErr := s.service.VoidCaseSession(r.ctx, voidOf(r.of))
		for _, err := range []error{getErr, updateErr, voidErr} {
			t.Run(name, func(t *testing.T) { refused(t, err, apierr.NotFound, "") })
		}
	}
	own := ok[*casesv1.CaseSession](t)(s.service.CreateCaseSession(s.Own(t, s.East, "colleague"), s.newSession(c)))
	ok[*casesv1.CaseSession](t)(s.service.VoidCaseSession(s.Own(t, s.East, "colleague"), voidOf(own)))
}

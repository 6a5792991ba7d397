package cases_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	casesv1 "circle15.dev/api/cases/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/testenv/world"
	"circle15.dev/services/visits"
)

var moveClient = tenantdb.SQL(`UPDATE {tenant}.residents SET household_id = $2, station_id = $3 WHERE id = $1`)

// moveChild moves the client of the scene's cases.
func (s *scene) moveChild(t *testing.T, household string, to world.Station) {
	t.Helper()
	err := s.DB.Write(s.Bureau(t), func(_ context.Context, tx *tenantdb.Tx) error {
		tx.Queue(moveClient, uuid.MustParse(s.East.Child), uuid.MustParse(household), uuid.MustParse(to.ID))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// visit records a home visit by the station's worker.
func (s *scene) visit(t *testing.T, by world.Station, household string) string {
	t.Helper()
	v := &visitsv1.Visit{
		HouseholdId: household, StaffId: by.Worker, Kind: visitsv1.VisitKind_VISIT_KIND_HOME, Domain: "child_welfare",
		VisitDate: "2021-10-01", DurationMinutes: 30, Findings: "At school",
	}
	return ok[*visitsv1.Visit](t)(visits.New(s.DB, s.Pages).RecordVisit(s.At(t, by), &visitsv1.RecordVisitRequest{Visit: v})).GetId()
}

func TestNeedsAndVisitsOfEitherHouseholdBelongToTheCaseOfAClientWhoMoved(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	s.moveChild(t, s.East.Neighbours, s.East)
	update := &casesv1.UpdateCaseRequest{
		Case: &casesv1.Case{Id: c.GetId(), NeedIds: []string{s.East.Need, s.East.NeighboursNeed}}, UpdateMask: paths("need_ids"),
	}
	c = must(t)(s.service.UpdateCase(s.ctx, update))
	if len(c.GetNeedIds()) != 2 || c.GetHouseholdId() != s.East.Household {
		t.Errorf("updated to %v", c)
	}
	c = s.work(t, c, casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-08-20")
	for _, household := range []string{s.East.Household, s.East.Neighbours} {
		req := s.newFollowUp(c)
		req.FollowUp.VisitId = s.visit(t, s.East, household)
		ok[*casesv1.FollowUp](t)(s.service.CreateFollowUp(s.ctx, req))
	}
}

func TestAStationWorksItsCaseToTheEndThoughTheClientHasMovedToAnother(t *testing.T) {
	s := setup(t)
	c := s.open(t)
	s.moveChild(t, s.West.Household, s.West)

	s.record(t, c)
	referral := ok[*casesv1.Referral](t)(s.service.CreateReferral(s.ctx, s.newReferral(c)))
	ok[*casesv1.Referral](t)(s.service.RecordReferralOutcome(s.ctx, s.newOutcome(referral, casesv1.ReferralState_REFERRAL_STATE_ACCEPTED)))
	must(t)(s.service.UpdateCase(s.ctx, &casesv1.UpdateCaseRequest{
		Case: &casesv1.Case{Id: c.GetId(), Title: "Moved away", OpenedDate: "2021-06-02"}, UpdateMask: paths("title", "opened_date"),
	}))
	c = s.work(t, must(t)(s.service.GetCase(s.ctx, &casesv1.GetCaseRequest{Id: c.GetId()})), casesv1.CaseStage_CASE_STAGE_CLOSURE, "2021-08-20")
	followUp := s.newFollowUp(c)
	ok[*casesv1.FollowUp](t)(s.service.CreateFollowUp(s.ctx, followUp))
	s.wantFigures(t, map[string]int{"case": 1, "case_session": 1, "person_times": 1})

	// What the new station does at the new home is out of reach.
	followUp.FollowUp.VisitId = s.visit(t, s.West, s.West.Household)
	_, err := s.service.CreateFollowUp(s.ctx, followUp)
	refused(t, err, apierr.Invalid, "followUp.visitId")
	_, err = s.service.UpdateCase(s.ctx, &casesv1.UpdateCaseRequest{
		Case: &casesv1.Case{Id: c.GetId(), NeedIds: []string{s.West.Need}}, UpdateMask: paths("need_ids"),
	})
	refused(t, err, apierr.Invalid, "case.needIds[0]")

	reopened := &casesv1.ReopenCaseRequest{Id: c.GetId(), Reason: "again", ChangeDate: "2021-10-01", StaffId: s.East.Worker}
	must(t)(s.service.ReopenCase(s.ctx, reopened))

	// The new station does not see the case, and opens its own.
	west := s.At(t, s.West)
	_, err = s.service.GetCase(west, &casesv1.GetCaseRequest{Id: c.GetId()})
	refused(t, err, apierr.NotFound, "")
	own := s.newCase()
	own.StaffId, own.NeedIds, own.OpenedDate = s.West.Worker, []string{s.West.Need}, "2021-09-01"
	if got := must(t)(s.service.OpenCase(west, &casesv1.OpenCaseRequest{Case: own})); got.GetStationId() != s.West.ID {
		t.Errorf("opened %v", got)
	}
}

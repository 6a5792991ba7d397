package visits_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/testenv"
	"circle15.dev/services/internal/testenv/world"
)

// follow is a visit on the day that follows up another.
func (s *scene) follow(of *visitsv1.Visit, day string) *visitsv1.Visit {
	v := s.newVisit()
	v.FollowUpOf, v.VisitDate = of.GetId(), day
	return v
}

func TestAVisitThatTookPlaceMayFollowUpAnother(t *testing.T) {
	s := setup(t)
	first := s.record(t, s.newVisit())
	recorded, synced := s.follow(first, "2021-06-10"), s.follow(first, "2021-09-15")
	if got := s.record(t, recorded); got.GetFollowUpOf() != first.GetId() {
		t.Errorf("recorded %v", got)
	}
	if r := s.sync(t, synced)[0]; r.GetOutcome() != created || r.GetVisit().GetFollowUpOf() != first.GetId() {
		t.Errorf("got %v", r)
	}
	synced.FollowUpOf = recorded.GetId()
	if r := s.sync(t, synced)[0]; r.GetOutcome() != rejected || r.GetError().GetReason() != "CONFLICT" {
		t.Errorf("following up another one: %v", r)
	}
	_, err := s.service.UpdateVisit(s.ctx, &visitsv1.UpdateVisitRequest{
		Visit: &visitsv1.Visit{Id: recorded.GetId(), FollowUpOf: synced.GetId()},
	})
	refused(t, err, apierr.Invalid, "visit.followUpOf")
}

func TestAFollowUpNamesACompletedVisitToTheHouseholdBeforeIt(t *testing.T) {
	s := setup(t)
	first := s.record(t, s.newVisit())
	void := s.record(t, s.newVisit())
	must(t)(s.service.VoidVisit(s.ctx, &visitsv1.VoidVisitRequest{Id: void.GetId(), Reason: "r"}))
	next := s.newVisit()
	next.HouseholdId, next.ResidentIds = s.East.Neighbours, nil
	s.record(t, next)
	itself := s.newVisit()
	itself.FollowUpOf = itself.GetId()
	for name, v := range map[string]*visitsv1.Visit{
		"a day before":          s.follow(first, "2021-06-09"),
		"a void visit":          s.follow(void, "2021-09-15"),
		"a plan":                s.follow(s.plan(t), "2021-09-15"),
		"the neighbours' visit": s.follow(next, "2021-09-15"),
		"no visit":              s.follow(&visitsv1.Visit{Id: world.NewID()}, "2021-09-15"),
		"itself":                itself,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.service.RecordVisit(s.ctx, &visitsv1.RecordVisitRequest{Visit: v})
			refused(t, err, apierr.Invalid, "visit.followUpOf")
			r := s.sync(t, v)[0]
			if f := r.GetError().GetFields(); r.GetOutcome() != rejected || len(f) == 0 || f[0].GetField() != "followUpOf" {
				t.Errorf("got %v", r)
			}
		})
	}
}

func TestABatchMayBringAVisitAndItsFollowUps(t *testing.T) {
	s := setup(t)
	first, plan := s.newVisit(), s.plan(t)
	second := s.follow(first, "2021-06-20")
	third := s.carriedOut(plan)
	third.FollowUpOf = second.GetId()
	fourth := s.follow(third, "2021-07-03")
	bad := s.newVisit()
	bad.Findings = ""
	ofBad := s.follow(bad, "2021-07-03")
	one, other := s.newVisit(), s.newVisit()
	one.FollowUpOf, other.FollowUpOf = other.GetId(), one.GetId()
	results := s.sync(t, fourth, third, second, first, ofBad, bad, one, other)
	want := []visitsv1.SyncOutcome{created, planDone, created, created, rejected, rejected, rejected, rejected}
	if diff := cmp.Diff(want, outcomes(results)); diff != "" {
		t.Fatalf("%s %v", diff, results)
	}
	if v := results[1].GetVisit(); v.GetFollowUpOf() != second.GetId() {
		t.Errorf("got %v", v)
	}
	fifth := s.follow(first, "2021-07-04")
	if diff := cmp.Diff([]visitsv1.SyncOutcome{unchanged, created}, outcomes(s.sync(t, first, fifth))); diff != "" {
		t.Error(diff)
	}
}

// Another client stores a visit to the neighbours under the id of one in a batch, which is waiting for that very insert. The
// visit that follows it up in the batch does not end up behind the wrong one.
func TestAFollowUpIsNotHungOnAVisitThatCameInBetween(t *testing.T) {
	s := setup(t)
	db, err := pgx.Connect(t.Context(), testenv.Provisioned(t).SuperuserURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.Background()) }()
	hold, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := s.newVisit()
	follow := s.follow(first, "2021-06-20")
	_, err = hold.Exec(t.Context(), `INSERT INTO `+s.Tenant.Schema()+`.visits (id, station_id, household_id, staff_id, kind, domain, state,
			visit_date, duration_minutes, persons_served, findings, created_by)
		VALUES ($1, $2, $3, $4, 'HOME', 'elderly_services', 'COMPLETED', '2021-06-10', 30, 1, 'Well', 'another')`,
		first.GetId(), s.East.ID, s.East.Neighbours, s.East.Worker)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.service.SyncVisits(s.ctx, &visitsv1.SyncVisitsRequest{Visits: []*visitsv1.Visit{first, follow}})
		done <- err
	}()
	testenv.Await(t, "the batch waits", func() bool {
		var waits bool
		err := hold.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").Scan(&waits)
		return err == nil && waits
	})
	if err := hold.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused(t, <-done, apierr.Unavailable, "")
	if diff := cmp.Diff([]visitsv1.SyncOutcome{rejected, rejected}, outcomes(s.sync(t, first, follow))); diff != "" {
		t.Error(diff)
	}
}

func TestAPlannedFollowUpIsNotCompletedBeforeTheVisit(t *testing.T) {
	s := setup(t)
	first := s.record(t, s.newVisit())
	plan := must(t)(s.service.PlanFollowUpVisit(s.ctx, &visitsv1.PlanFollowUpVisitRequest{
		Id: first.GetId(), StaffId: s.East.Worker, PlannedDate: "2021-07-01",
	}))
	early := s.complete(plan)
	early.VisitDate = "2021-06-09"
	_, err := s.service.CompleteVisit(s.ctx, early)
	refused(t, err, apierr.Invalid, "visitDate")
	v := s.carriedOut(plan)
	v.VisitDate = "2021-06-09"
	r := s.sync(t, v)[0]
	if f := r.GetError().GetFields(); r.GetOutcome() != rejected || len(f) == 0 || f[0].GetField() != "visitDate" {
		t.Errorf("got %v", r)
	}
	_, err = s.service.UpdateVisit(s.ctx, &visitsv1.UpdateVisitRequest{Visit: &visitsv1.Visit{Id: first.GetId(), VisitDate: "2021-07-02"}})
	refused(t, err, apierr.Invalid, "visit.visitDate")
	v.VisitDate = "2021-06-10"
	if r := s.sync(t, v)[0]; r.GetOutcome() != planDone || r.GetVisit().GetFollowUpOf() != first.GetId() {
		t.Errorf("got %v", r)
	}
	_, err = s.service.UpdateVisit(s.ctx, &visitsv1.UpdateVisitRequest{Visit: &visitsv1.Visit{Id: plan.GetId(), VisitDate: "2021-06-09"}})
	refused(t, err, apierr.Invalid, "visit.visitDate")
}

func TestAVisitWithFollowUpsIsNotTakenBack(t *testing.T) {
	s := setup(t)
	first := s.record(t, s.newVisit())
	void := func(v *visitsv1.Visit) error {
		_, err := s.service.VoidVisit(s.ctx, &visitsv1.VoidVisitRequest{Id: v.GetId(), Reason: "by mistake"})
		return err
	}
	follow := s.record(t, s.follow(first, "2021-09-15"))
	plan := must(t)(s.service.PlanFollowUpVisit(s.ctx, &visitsv1.PlanFollowUpVisitRequest{
		Id: first.GetId(), StaffId: s.East.Worker, PlannedDate: "2021-10-01",
	}))
	refused(t, void(first), apierr.Conflict, "")
	if err := void(follow); err != nil {
		t.Fatal(err)
	}
	refused(t, void(first), apierr.Conflict, "")
	must(t)(s.service.CancelVisit(s.ctx, &visitsv1.CancelVisitRequest{Id: plan.GetId(), Reason: "by mistake"}))
	if err := void(first); err != nil {
		t.Error(err)
	}
	if got := s.Figures(t); len(got) != 0 {
		t.Errorf("figures %v", got)
	}
}

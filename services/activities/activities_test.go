package activities_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	activitiesv1 "circle15.dev/api/activities/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/activities"
	"circle15.dev/services/internal/testenv/world"
)

// city is a tenant of two stations, each with a volunteer, and its activities.
type city struct {
	*world.World
	*activities.Service
	bureau                        context.Context
	volunteer, another, elsewhere string // two of East, one of West
}

var (
	insertTeam = tenantdb.SQL(`INSERT INTO {tenant}.volunteer_teams (id, station_id, display_name, founded_date, created_by)
		VALUES ($1, $1, '志愿服务队', '2021-05-01', 'seed')`)
	insertVolunteer = tenantdb.SQL(`INSERT INTO {tenant}.volunteers (id, station_id, team_id, name, registered_date, created_by)
		VALUES ($1, $2, $2, '志愿者', '2021-05-01', 'seed')`)
)

func newCity(t *testing.T) city {
	w := world.New(t)
	c := city{
		World: w, Service: activities.New(w.DB, w.Pages), bureau: w.Bureau(t),
		volunteer: world.NewID(), another: world.NewID(), elsewhere: world.NewID(),
	}
	east, west := uuid.MustParse(w.East.ID), uuid.MustParse(w.West.ID)
	err := w.DB.Write(c.bureau, func(_ context.Context, tx *tenantdb.Tx) error {
		tx.Queue(insertTeam, east)
		tx.Queue(insertTeam, west)
		tx.Queue(insertVolunteer, uuid.MustParse(c.volunteer), east)
		tx.Queue(insertVolunteer, uuid.MustParse(c.another), east)
		tx.Queue(insertVolunteer, uuid.MustParse(c.elsewhere), west)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type activity = activitiesv1.Activity

// held is an activity of East that took place.
func (c city) held() *activitiesv1.Activity {
	return &activitiesv1.Activity{
		StationId: c.East.ID, StaffId: c.East.Worker, Title: "花甲之年，幸福家园", Domain: "elderly_services", Location: "博桂社区",
		HeldDate: "2021-09-15", AttendeeCount: 60, VolunteerIds: []string{c.volunteer}, Summary: "义诊",
	}
}

// planned is an activity of East that is to come.
func (c city) planned() *activitiesv1.Activity {
	a := c.held()
	a.HeldDate, a.AttendeeCount, a.PlannedDate, a.Summary = "", 0, "2021-09-15", ""
	return a
}

func (c city) create(t *testing.T, a *activitiesv1.Activity) *activitiesv1.Activity {
	t.Helper()
	created, err := c.CreateActivity(c.bureau, &activitiesv1.CreateActivityRequest{Activity: a})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func wantKind(t *testing.T, err error, kind apierr.Kind) {
	t.Helper()
	if err == nil || apierr.KindOf(err) != kind {
		t.Errorf("error %v, want %s", err, kind)
	}
}

func wantField(t *testing.T, err error, field string) {
	t.Helper()
	var e *apierr.Error
	names := func(f apierr.Field) bool { return f.Name == field }
	if !errors.As(err, &e) || e.Kind != apierr.Invalid || !slices.ContainsFunc(e.Fields, names) {
		t.Errorf("error %v, want one about %s", err, field)
	}
}

func (c city) wantFigures(t *testing.T, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, c.Figures(t)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

// tomorrow is a day that no act can have taken place on.
func tomorrow() string { return civildate.Format(civildate.Today().Add(24 * time.Hour)) }

func TestAnActivityThatWasHeldIsCountedAtOnce(t *testing.T) {
	c := newCity(t)
	a := c.create(t, c.held())
	if a.GetState() != activitiesv1.ActivityState_ACTIVITY_STATE_HELD {
		t.Errorf("state %s", a.GetState())
	}
	want := world.Fact{
		Measure: "activity", Date: "2021-09-15", Station: c.East.ID, Staff: c.East.Worker, Domain: "elderly_services", Amount: 1,
	}
	persons := want
	persons.Measure, persons.Amount = "person_times", 60
	if diff := cmp.Diff([]world.Fact{want, persons}, c.Facts(t, "activities", a.GetId())); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	got, err := c.GetActivity(c.bureau, &activitiesv1.GetActivityRequest{Id: a.GetId()})
	if err != nil || got.String() != a.String() {
		t.Errorf("read back %v, error %v; want %v", got, err, a)
	}
}

func TestAPlannedActivityIsCountedWhenItIsHeld(t *testing.T) {
	c := newCity(t)
	a := c.create(t, c.planned())
	c.wantFigures(t, map[string]int{})
	hold := &activitiesv1.HoldActivityRequest{
		Id: a.GetId(), HeldDate: "2021-09-16", AttendeeCount: 45, VolunteerIds: []string{c.another}, Summary: "理发", Etag: a.GetEtag(),
	}
	done, err := c.HoldActivity(c.bureau, hold)
	if err != nil {
		t.Fatal(err)
	}
	if done.GetState() != activitiesv1.ActivityState_ACTIVITY_STATE_HELD || done.GetPlannedDate() != "2021-09-15" ||
		done.GetHeldDate() != "2021-09-16" || done.GetSummary() != "理发" || !slices.Equal(done.GetVolunteerIds(), []string{c.another}) {
		t.Errorf("held: %v", done)
	}
	c.wantFigures(t, map[string]int{"activity": 1, "person_times": 45})
	_, err = c.HoldActivity(c.bureau, hold)
	wantKind(t, err, apierr.StaleETag)
	hold.Etag = done.GetEtag()
	_, err = c.HoldActivity(c.bureau, hold)
	wantKind(t, err, apierr.Conflict)
	c.wantFigures(t, map[string]int{"activity": 1, "person_times": 45})
}

func TestAnActivityIsHeldByAWorkerWhoServedOnTheDay(t *testing.T) {
	c := newCity(t)
	plan := c.planned()
	plan.StaffId = c.East.Left
	a := c.create(t, plan)
	hold := &activitiesv1.HoldActivityRequest{Id: a.GetId(), HeldDate: "2021-09-01", AttendeeCount: 45}
	_, err := c.HoldActivity(c.bureau, hold)
	wantField(t, err, "staffId")
	hold.StaffId = c.West.Worker
	_, err = c.HoldActivity(c.bureau, hold)
	wantField(t, err, "staffId")
	c.wantFigures(t, map[string]int{})

	hold.StaffId = c.East.Colleague
	done, err := c.HoldActivity(c.bureau, hold)
	if err != nil || done.GetStaffId() != c.East.Colleague {
		t.Fatalf("held as %v, error %v", done, err)
	}
	facts := c.Facts(t, "activities", a.GetId())
	if len(facts) != 2 || facts[0].Staff != c.East.Colleague || facts[1].Staff != c.East.Colleague {
		t.Errorf("counted as %v", facts)
	}

	last := c.create(t, plan)
	hold = &activitiesv1.HoldActivityRequest{Id: last.GetId(), HeldDate: "2021-08-31", AttendeeCount: 45}
	if _, err := c.HoldActivity(c.bureau, hold); err != nil {
		t.Errorf("held on the last day of service: %v", err)
	}
}

func TestHoldingKeepsTheVolunteersAndTheSummaryOfThePlan(t *testing.T) {
	c := newCity(t)
	plan := c.planned()
	plan.Summary = "义诊"
	a := c.create(t, plan)
	done, err := c.HoldActivity(c.bureau, &activitiesv1.HoldActivityRequest{Id: a.GetId(), HeldDate: "2021-09-16", AttendeeCount: 45})
	if err != nil || done.GetSummary() != "义诊" || !slices.Equal(done.GetVolunteerIds(), []string{c.volunteer}) {
		t.Errorf("held: %v, %v", done, err)
	}
}

func TestOnlyAPlannedActivityIsCancelledAndOnlyAHeldOneIsVoided(t *testing.T) {
	c := newCity(t)
	plan, act := c.create(t, c.planned()), c.create(t, c.held())
	_, err := c.VoidActivity(c.bureau, &activitiesv1.VoidActivityRequest{Id: plan.GetId(), Reason: "twice"})
	wantKind(t, err, apierr.Conflict)
	_, err = c.CancelActivity(c.bureau, &activitiesv1.CancelActivityRequest{Id: act.GetId(), Reason: "typhoon"})
	wantKind(t, err, apierr.Conflict)

	gone, err := c.CancelActivity(c.bureau, &activitiesv1.CancelActivityRequest{Id: plan.GetId(), Reason: "typhoon"})
	if err != nil || gone.GetState() != activitiesv1.ActivityState_ACTIVITY_STATE_CANCELLED || gone.GetReason() != "typhoon" {
		t.Errorf("cancelled: %v, %v", gone, err)
	}
	c.wantFigures(t, map[string]int{"activity": 1, "person_times": 60})
	void, err := c.VoidActivity(c.bureau, &activitiesv1.VoidActivityRequest{Id: act.GetId(), Reason: "twice"})
	if err != nil || void.GetState() != activitiesv1.ActivityState_ACTIVITY_STATE_VOID || void.GetReason() != "twice" {
		t.Errorf("void: %v, %v", void, err)
	}
	c.wantFigures(t, map[string]int{})
	for _, id := range []string{plan.GetId(), act.GetId()} {
		_, err := c.UpdateActivity(c.bureau, &activitiesv1.UpdateActivityRequest{Activity: &activitiesv1.Activity{Id: id, Title: "x"}})
		wantKind(t, err, apierr.Conflict)
	}
}

func TestAChangeOfAHeldActivityMovesItsFigures(t *testing.T) {
	c := newCity(t)
	a := c.create(t, c.held())
	renamed, err := c.UpdateActivity(c.bureau, &activitiesv1.UpdateActivityRequest{
		Activity:   &activitiesv1.Activity{Id: a.GetId(), Title: "义诊", AttendeeCount: 1},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title"}},
	})
	if err != nil || renamed.GetTitle() != "义诊" || renamed.GetAttendeeCount() != 60 {
		t.Fatalf("renamed: %v, %v", renamed, err)
	}
	if n := len(c.Facts(t, "activities", a.GetId())); n != 2 {
		t.Errorf("another title wrote %d facts", n-2)
	}
	moved, err := c.UpdateActivity(c.bureau, &activitiesv1.UpdateActivityRequest{
		Activity: &activity{
			Id: a.GetId(), Domain: "social_affairs", AttendeeCount: 61, HeldDate: "2021-08-31", StaffId: c.East.Left,
		},
	})
	if err != nil || moved.GetHeldDate() != "2021-08-31" {
		t.Fatalf("moved: %v, %v", moved, err)
	}
	got := c.Facts(t, "activities", a.GetId())
	want := world.Fact{
		Measure: "person_times", Date: "2021-08-31", Station: c.East.ID, Staff: c.East.Left, Domain: "social_affairs", Amount: 61,
	}
	if diff := cmp.Diff(want, got[len(got)-1]); diff != "" {
		t.Errorf("last fact (-want +got):\n%s", diff)
	}
	c.wantFigures(t, map[string]int{"activity": 1, "person_times": 61})
}

func TestAnActivityThatBreaksARuleIsRefusedByField(t *testing.T) {
	c := newCity(t)
	ours, theirs := c.volunteer, c.elsewhere
	for name, r := range map[string]struct {
		change func(*activity)
		field  string
	}{
		"no day":                         {func(a *activity) { a.HeldDate = "" }, "activity.plannedDate"},
		"no calendar day":                {func(a *activity) { a.HeldDate = "2021-02-30" }, "activity.heldDate"},
		"held tomorrow":                  {func(a *activity) { a.HeldDate = tomorrow() }, "activity.heldDate"},
		"nobody came":                    {func(a *activity) { a.AttendeeCount = 0 }, "activity.attendeeCount"},
		"unknown domain":                 {func(a *activity) { a.Domain = "sports" }, "activity.domain"},
		"unknown station":                {func(a *activity) { a.StationId = world.NewID() }, "activity.stationId"},
		"a worker of another station":    {func(a *activity) { a.StaffId = c.West.Worker }, "activity.staffId"},
		"a worker who had left":          {func(a *activity) { a.StaffId = c.East.Left }, "activity.staffId"},
		"a volunteer of another station": {func(a *activity) { a.VolunteerIds = []string{ours, theirs} }, "activity.volunteerIds[1]"},
		"a volunteer twice":              {func(a *activity) { a.VolunteerIds = []string{ours, ours} }, "activity.volunteerIds[1]"},
		"no volunteer's id":              {func(a *activity) { a.VolunteerIds = []string{"x"} }, "activity.volunteerIds[0]"},
		"no id":                          {func(a *activity) { a.Id = "x" }, "activity.id"},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.held()
			r.change(a)
			_, err := c.CreateActivity(c.bureau, &activitiesv1.CreateActivityRequest{Activity: a})
			wantField(t, err, r.field)
		})
	}
	c.wantFigures(t, map[string]int{})
}

func TestAChangeThatBreaksARuleIsRefusedByField(t *testing.T) {
	c := newCity(t)
	act, plan := c.create(t, c.held()), c.create(t, c.planned())
	for name, r := range map[string]struct {
		of     *activitiesv1.Activity
		change *activitiesv1.Activity
		mask   []string
		field  string
	}{
		"a plan is held by :hold":       {of: plan, change: &activity{HeldDate: "2021-09-15"}, field: "activity.heldDate"},
		"a plan has no attendance":      {of: plan, change: &activity{AttendeeCount: 3}, field: "activity.attendeeCount"},
		"a plan keeps a day":            {of: plan, mask: []string{"planned_date"}, field: "activity.plannedDate"},
		"a held one keeps its day":      {of: act, mask: []string{"held_date"}, field: "activity.heldDate"},
		"a held one has an attendance":  {of: act, mask: []string{"attendee_count"}, field: "activity.attendeeCount"},
		"a title is required":           {of: act, mask: []string{"title"}, field: "activity.title"},
		"the station stays":             {of: act, change: &activity{StationId: c.West.ID}, field: "activity.stationId"},
		"the worker served on that day": {of: act, change: &activity{StaffId: c.East.Left}, field: "activity.staffId"},
		"the domain is known":           {of: act, change: &activity{Domain: "sports"}, field: "activity.domain"},
		"volunteers are the station's":  {of: act, change: &activity{VolunteerIds: []string{c.elsewhere}}, field: "activity.volunteerIds[0]"},
		"the mask names fields":         {of: act, mask: []string{"name"}, field: "updateMask"},
	} {
		t.Run(name, func(t *testing.T) {
			req := &activitiesv1.UpdateActivityRequest{Activity: &activity{}}
			if r.change != nil {
				req.Activity = r.change
			}
			req.Activity.Id = r.of.GetId()
			if r.mask != nil {
				req.UpdateMask = &fieldmaskpb.FieldMask{Paths: r.mask}
			}
			_, err := c.UpdateActivity(c.bureau, req)
			wantField(t, err, r.field)
		})
	}
	c.wantFigures(t, map[string]int{"activity": 1, "person_times": 60})
}

func TestHoldingOnADayToComeIsRefused(t *testing.T) {
	c := newCity(t)
	a := c.create(t, c.planned())
	_, err := c.HoldActivity(c.bureau, &activitiesv1.HoldActivityRequest{Id: a.GetId(), HeldDate: tomorrow(), AttendeeCount: 1})
	wantField(t, err, "heldDate")
	_, err = c.HoldActivity(c.bureau, &activitiesv1.HoldActivityRequest{
		Id: a.GetId(), HeldDate: "2021-09-15", AttendeeCount: 1, VolunteerIds: []string{c.elsewhere},
	})
	wantField(t, err, "volunteerIds[0]")
}

func TestAnIdThatIsTakenIsRefused(t *testing.T) {
	c := newCity(t)
	a := c.held()
	a.Id = world.NewID()
	c.create(t, a)
	_, err := c.CreateActivity(c.bureau, &activitiesv1.CreateActivityRequest{Activity: a})
	wantKind(t, err, apierr.AlreadyExists)
	c.wantFigures(t, map[string]int{"activity": 1, "person_times": 60})
}

func TestWhatIsOutsideTheScopeIsNotFound(t *testing.T) {
	c := newCity(t)
	a := c.create(t, c.planned())
	for who, ctx := range map[string]context.Context{"another station": c.At(t, c.West), "another worker": c.Own(t, c.East, "lin")} {
		t.Run(who, func(t *testing.T) {
			_, err := c.GetActivity(ctx, &activitiesv1.GetActivityRequest{Id: a.GetId()})
			wantKind(t, err, apierr.NotFound)
			_, err = c.UpdateActivity(ctx, &activitiesv1.UpdateActivityRequest{Activity: &activitiesv1.Activity{Id: a.GetId(), Title: "x"}})
			wantKind(t, err, apierr.NotFound)
			_, err = c.HoldActivity(ctx, &activitiesv1.HoldActivityRequest{Id: a.GetId(), HeldDate: "2021-09-15", AttendeeCount: 1})
			wantKind(t, err, apierr.NotFound)
			list, err := c.ListActivities(ctx, &activitiesv1.ListActivitiesRequest{})
			if err != nil || len(list.GetActivities()) != 0 {
				t.Errorf("list %v, %v", list, err)
			}
		})
	}
	_, err := c.CreateActivity(c.At(t, c.West), &activitiesv1.CreateActivityRequest{Activity: c.held()})
	wantField(t, err, "activity.stationId")
	own, err := c.CreateActivity(c.Own(t, c.East, "lin"), &activitiesv1.CreateActivityRequest{Activity: c.held()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetActivity(c.Own(t, c.East, "lin"), &activitiesv1.GetActivityRequest{Id: own.GetId()}); err != nil {
		t.Errorf("the own record: %v", err)
	}
}

func TestActivitiesAreListedByPageAndFilter(t *testing.T) {
	c := newCity(t)
	want := make([]string, 5)
	for i := range want {
		want[i] = c.create(t, c.held()).GetId()
	}
	slices.Sort(want)
	c.create(t, c.planned())
	west := c.held()
	west.StationId, west.StaffId, west.VolunteerIds, west.Domain = c.West.ID, c.West.Worker, nil, "child_welfare"
	c.create(t, west)

	req := &activitiesv1.ListActivitiesRequest{
		PageSize: 2, StationId: c.East.ID, State: activitiesv1.ActivityState_ACTIVITY_STATE_HELD, Domain: "elderly_services",
	}
	var got []string
	for {
		reply, err := c.ListActivities(c.bureau, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range reply.GetActivities() {
			got = append(got, a.GetId())
		}
		if req.PageToken = reply.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("activities (-want +got):\n%s", diff)
	}
	all, err := c.ListActivities(c.bureau, &activitiesv1.ListActivitiesRequest{})
	if err != nil || len(all.GetActivities()) != 7 {
		t.Errorf("%d in all, error %v", len(all.GetActivities()), err)
	}
	_, err = c.ListActivities(c.bureau, &activitiesv1.ListActivitiesRequest{PageToken: "AAAA"})
	wantField(t, err, "pageToken")
}

func TestTheSameRequestIdActsOnce(t *testing.T) {
	c := newCity(t)
	req := &activitiesv1.CreateActivityRequest{Activity: c.held(), RequestId: ids.New().String()}
	first, err := c.CreateActivity(c.bureau, req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.CreateActivity(c.bureau, req)
	if err != nil || again.GetId() != first.GetId() {
		t.Errorf("sent again: %v, %v", again, err)
	}
	c.wantFigures(t, map[string]int{"activity": 1, "person_times": 60})
}

func TestOfManyWhoHoldAnActivityAtOnceOneDoes(t *testing.T) {
	c := newCity(t)
	a := c.create(t, c.planned())
	var all sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		all.Go(func() {
			_, err := c.HoldActivity(c.bureau, &activitiesv1.HoldActivityRequest{Id: a.GetId(), HeldDate: "2021-09-15", AttendeeCount: 5})
			results <- err
		})
	}
	all.Wait()
	close(results)
	done := 0
	for err := range results {
		if err == nil {
			done++
			continue
		}
		wantKind(t, err, apierr.Conflict)
	}
	if done != 1 {
		t.Errorf("%d were done", done)
	}
	c.wantFigures(t, map[string]int{"activity": 1, "person_times": 5})
}

package activities_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	activitiesv1 "circle15.dev/api/activities/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/services/internal/testenv/world"
)

const (
	formation  = activitiesv1.GroupStage_GROUP_STAGE_FORMATION
	transition = activitiesv1.GroupStage_GROUP_STAGE_TRANSITION
	maturity   = activitiesv1.GroupStage_GROUP_STAGE_MATURITY
	ending     = activitiesv1.GroupStage_GROUP_STAGE_ENDING
)

// elders is a group of East.
func (c city) elders() *activitiesv1.Group {
	return &activitiesv1.Group{
		StationId: c.East.ID, StaffId: c.East.Worker, DisplayName: "耆才展能", Domain: "elderly_services", Purpose: "self-efficacy",
		OpenedDate: "2021-07-01", MemberIds: []string{c.East.Elder, c.East.Neighbour},
	}
}

func (c city) open(t *testing.T, g *activitiesv1.Group) *activitiesv1.Group {
	t.Helper()
	created, err := c.CreateGroup(c.bureau, &activitiesv1.CreateGroupRequest{Group: g})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

type session = activitiesv1.GroupSession

// session is a session of East's group.
func (c city) session() *activitiesv1.GroupSession {
	return &activitiesv1.GroupSession{
		StaffId: c.East.Worker, Theme: "认识自己", SessionDate: "2021-07-10", DurationMinutes: 90, Record: "r",
		AttendeeIds: []string{c.East.Elder, c.East.Child, c.East.Neighbour},
	}
}

func (c city) meet(t *testing.T, group string, s *activitiesv1.GroupSession) *activitiesv1.GroupSession {
	t.Helper()
	created, err := c.CreateGroupSession(c.bureau, &activitiesv1.CreateGroupSessionRequest{GroupId: group, Session: s})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func (c city) advance(id string, to activitiesv1.GroupStage, ended string) (*activitiesv1.Group, error) {
	return c.AdvanceGroup(c.bureau, &activitiesv1.AdvanceGroupRequest{Id: id, Stage: to, EndedDate: ended})
}

func TestAGroupIsCountedOnTheDayItWasOpened(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	if g.GetStage() != activitiesv1.GroupStage_GROUP_STAGE_PREPARATION {
		t.Errorf("stage %s", g.GetStage())
	}
	want := []world.Fact{{
		Measure: "group", Date: "2021-07-01", Station: c.East.ID, Staff: c.East.Worker, Domain: "elderly_services", Amount: 1,
	}}
	if diff := cmp.Diff(want, c.Facts(t, "groups", g.GetId())); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	got, err := c.GetGroup(c.bureau, &activitiesv1.GetGroupRequest{Id: g.GetId()})
	if err != nil || got.String() != g.String() {
		t.Errorf("read back %v, error %v; want %v", got, err, g)
	}
}

func TestAGroupWorksThroughItsStagesToItsEnd(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	_, err := c.advance(g.GetId(), maturity, "")
	wantKind(t, err, apierr.Conflict)
	for _, stage := range []activitiesv1.GroupStage{formation, transition, maturity} {
		_, err := c.advance(g.GetId(), stage, "2021-08-20")
		wantField(t, err, "endedDate")
		if g, err = c.advance(g.GetId(), stage, ""); err != nil || g.GetStage() != stage {
			t.Fatalf("advanced to %s: %v, %v", stage, g, err)
		}
	}
	c.meet(t, g.GetId(), c.session())
	for _, ended := range []string{"", "2021-06-30", "2021-07-09", tomorrow(), "2021-02-29"} {
		_, err := c.advance(g.GetId(), ending, ended)
		wantField(t, err, "endedDate")
	}
	_, err = c.AdvanceGroup(c.bureau, &activitiesv1.AdvanceGroupRequest{Id: g.GetId(), Stage: ending, EndedDate: "2021-07-10", Etag: `"1"`})
	wantKind(t, err, apierr.StaleETag)
	g, err = c.advance(g.GetId(), ending, "2021-07-10")
	if err != nil || g.GetStage() != ending || g.GetEndedDate() != "2021-07-10" {
		t.Fatalf("ended: %v, %v", g, err)
	}
	_, err = c.advance(g.GetId(), ending, "2021-07-11")
	wantKind(t, err, apierr.Conflict)
	_, err = c.CreateGroupSession(c.bureau, &activitiesv1.CreateGroupSessionRequest{GroupId: g.GetId(), Session: c.session()})
	wantKind(t, err, apierr.Conflict)
}

func TestEveryResidentWhoAttendsASessionIsOnePersonTime(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	s := c.meet(t, g.GetId(), c.session())
	if s.GetNumber() != 1 || s.GetStationId() != c.East.ID || s.GetGroupId() != g.GetId() {
		t.Errorf("session %v", s)
	}
	want := map[string]string{c.East.Elder: c.East.Household, c.East.Child: c.East.Household, c.East.Neighbour: c.East.Neighbours}
	got := map[string]string{}
	for _, f := range c.Facts(t, "groupSessions", s.GetId()) {
		if f.Measure != "person_times" || f.Amount != 1 || f.Date != "2021-07-10" || f.Domain != "elderly_services" || f.Staff != c.East.Worker {
			t.Errorf("fact %+v", f)
		}
		got[f.Resident] = f.Household
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attendance (-want +got):\n%s", diff)
	}
	c.wantFigures(t, map[string]int{"group": 1, "person_times": 3})
}

func TestSessionsRecordedAtOnceAreNumberedWithoutGapOrDouble(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	const sessions = 12
	var all sync.WaitGroup
	errs := make(chan error, sessions)
	for range sessions {
		all.Go(func() {
			_, err := c.CreateGroupSession(c.bureau, &activitiesv1.CreateGroupSessionRequest{GroupId: g.GetId(), Session: c.session()})
			errs <- err
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	req := &activitiesv1.ListGroupSessionsRequest{GroupId: g.GetId(), PageSize: 5}
	var numbers []int32
	var last string
	for {
		reply, err := c.ListGroupSessions(c.bureau, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range reply.GetGroupSessions() {
			if s.GetId() <= last || len(s.GetAttendeeIds()) != 3 {
				t.Errorf("session %v follows %s", s, last)
			}
			last = s.GetId()
			numbers = append(numbers, s.GetNumber())
		}
		if req.PageToken = reply.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	slices.Sort(numbers)
	want := []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	if diff := cmp.Diff(want, numbers); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
	c.wantFigures(t, map[string]int{"group": 1, "person_times": 3 * sessions})
}

func TestAnotherDomainOfAGroupMovesTheFiguresOfItsSessions(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	s := c.meet(t, g.GetId(), c.session())
	moved, err := c.UpdateGroup(c.bureau, &activitiesv1.UpdateGroupRequest{
		Group: &activitiesv1.Group{Id: g.GetId(), Domain: "child_welfare", StaffId: c.East.Colleague, MemberIds: []string{c.East.Child}},
	})
	if err != nil || moved.GetDomain() != "child_welfare" || !slices.Equal(moved.GetMemberIds(), []string{c.East.Child}) {
		t.Fatalf("moved: %v, %v", moved, err)
	}
	net := map[string]int32{}
	for _, f := range append(c.Facts(t, "groups", g.GetId()), c.Facts(t, "groupSessions", s.GetId())...) {
		net[f.Measure+" "+f.Domain+" "+f.Staff] += f.Amount
	}
	want := map[string]int32{
		"group elderly_services " + c.East.Worker: 0, "group child_welfare " + c.East.Colleague: 1,
		"person_times elderly_services " + c.East.Worker: 0, "person_times child_welfare " + c.East.Worker: 3,
	}
	if diff := cmp.Diff(want, net); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func TestAGroupThatBreaksARuleIsRefusedByField(t *testing.T) {
	c := newCity(t)
	for name, r := range map[string]struct {
		change func(*activitiesv1.Group)
		field  string
	}{
		"opened tomorrow":             {func(g *activitiesv1.Group) { g.OpenedDate = tomorrow() }, "group.openedDate"},
		"no day":                      {func(g *activitiesv1.Group) { g.OpenedDate = "" }, "group.openedDate"},
		"unknown domain":              {func(g *activitiesv1.Group) { g.Domain = "sports" }, "group.domain"},
		"unknown station":             {func(g *activitiesv1.Group) { g.StationId = world.NewID() }, "group.stationId"},
		"a worker of another station": {func(g *activitiesv1.Group) { g.StaffId = c.West.Worker }, "group.staffId"},
		"a member of another station": {func(g *activitiesv1.Group) { g.MemberIds = []string{c.East.Elder, c.West.Elder} }, "group.memberIds[1]"},
		"no id":                       {func(g *activitiesv1.Group) { g.Id = "x" }, "group.id"},
	} {
		t.Run(name, func(t *testing.T) {
			g := c.elders()
			r.change(g)
			_, err := c.CreateGroup(c.bureau, &activitiesv1.CreateGroupRequest{Group: g})
			wantField(t, err, r.field)
		})
	}
	g := c.open(t, c.elders())
	for name, r := range map[string]struct {
		change *activitiesv1.Group
		mask   []string
		field  string
	}{
		"opened before the station": {change: &activitiesv1.Group{OpenedDate: "2021-04-30"}, field: "group.openedDate"},
		"a name is required":        {mask: []string{"display_name"}, field: "group.displayName"},
		"members are the station's": {change: &activitiesv1.Group{MemberIds: []string{c.West.Elder}}, field: "group.memberIds[0]"},
		"so is the worker":          {change: &activitiesv1.Group{StaffId: c.West.Worker}, field: "group.staffId"},
		"the domain is known":       {change: &activitiesv1.Group{Domain: "sports"}, field: "group.domain"},
	} {
		t.Run(name, func(t *testing.T) {
			req := &activitiesv1.UpdateGroupRequest{Group: &activitiesv1.Group{}}
			if r.change != nil {
				req.Group = r.change
			}
			req.Group.Id = g.GetId()
			if r.mask != nil {
				req.UpdateMask = &fieldmaskpb.FieldMask{Paths: r.mask}
			}
			_, err := c.UpdateGroup(c.bureau, req)
			wantField(t, err, r.field)
		})
	}
	c.wantFigures(t, map[string]int{"group": 1})
}

func TestASessionThatBreaksARuleIsRefusedByField(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	for name, r := range map[string]struct {
		change func(*session)
		field  string
	}{
		"before the group was opened":   {func(s *session) { s.SessionDate = "2021-06-30" }, "session.sessionDate"},
		"tomorrow":                      {func(s *session) { s.SessionDate = tomorrow() }, "session.sessionDate"},
		"a worker of another station":   {func(s *session) { s.StaffId = c.West.Worker }, "session.staffId"},
		"a resident of another station": {func(s *session) { s.AttendeeIds = []string{c.West.Elder} }, "session.attendeeIds[0]"},
		"a resident who attended twice": {func(s *session) { s.AttendeeIds = []string{c.East.Elder, c.East.Elder} }, "session.attendeeIds[1]"},
		"no id":                         {func(s *session) { s.Id = "x" }, "session.id"},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.session()
			r.change(s)
			_, err := c.CreateGroupSession(c.bureau, &activitiesv1.CreateGroupSessionRequest{GroupId: g.GetId(), Session: s})
			wantField(t, err, r.field)
		})
	}
	s := c.session()
	s.Id = world.NewID()
	c.meet(t, g.GetId(), s)
	_, err := c.CreateGroupSession(c.bureau, &activitiesv1.CreateGroupSessionRequest{GroupId: g.GetId(), Session: s})
	wantKind(t, err, apierr.AlreadyExists)
	c.wantFigures(t, map[string]int{"group": 1, "person_times": 3})
}

func TestAGroupOutsideTheScopeIsNotFoundNorAreItsSessions(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	for who, ctx := range map[string]context.Context{"another station": c.At(t, c.West), "another worker": c.Own(t, c.East, "lin")} {
		t.Run(who, func(t *testing.T) {
			_, err := c.GetGroup(ctx, &activitiesv1.GetGroupRequest{Id: g.GetId()})
			wantKind(t, err, apierr.NotFound)
			_, err = c.AdvanceGroup(ctx, &activitiesv1.AdvanceGroupRequest{Id: g.GetId(), Stage: formation})
			wantKind(t, err, apierr.NotFound)
			_, err = c.UpdateGroup(ctx, &activitiesv1.UpdateGroupRequest{Group: &activitiesv1.Group{Id: g.GetId(), Purpose: "x"}})
			wantKind(t, err, apierr.NotFound)
			_, err = c.CreateGroupSession(ctx, &activitiesv1.CreateGroupSessionRequest{GroupId: g.GetId(), Session: c.session()})
			wantKind(t, err, apierr.NotFound)
			_, err = c.ListGroupSessions(ctx, &activitiesv1.ListGroupSessionsRequest{GroupId: g.GetId()})
			wantKind(t, err, apierr.NotFound)
			list, err := c.ListGroups(ctx, &activitiesv1.ListGroupsRequest{})
			if err != nil || len(list.GetGroups()) != 0 {
				t.Errorf("list %v, %v", list, err)
			}
		})
	}
	list, err := c.ListGroups(c.At(t, c.East), &activitiesv1.ListGroupsRequest{
		StationId: c.East.ID, Stage: activitiesv1.GroupStage_GROUP_STAGE_PREPARATION, Domain: "elderly_services",
	})
	if err != nil || len(list.GetGroups()) != 1 {
		t.Errorf("the own station's list: %v, %v", list, err)
	}
	list, err = c.ListGroups(c.bureau, &activitiesv1.ListGroupsRequest{Stage: ending})
	if err != nil || len(list.GetGroups()) != 0 {
		t.Errorf("ended groups: %v, %v", list, err)
	}
}

func TestTheOpeningOfAGroupIsCorrectedWithItsFigures(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	held := c.meet(t, g.GetId(), c.session()) // on 2021-07-10
	update := func(day string) (*activitiesv1.Group, error) {
		return c.UpdateGroup(c.bureau, &activitiesv1.UpdateGroupRequest{
			Group: &activitiesv1.Group{Id: g.GetId(), OpenedDate: day}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"opened_date"}},
		})
	}
	for _, day := range []string{"2021-04-30", "2021-07-11", tomorrow(), "2021-02-30", ""} {
		_, err := update(day)
		wantField(t, err, "group.openedDate")
	}
	if got, err := update("2021-07-10"); err != nil || got.GetOpenedDate() != "2021-07-10" {
		t.Errorf("opened %v, error %v", got, err)
	}
	facts := c.Facts(t, "groups", g.GetId())
	if len(facts) != 3 || facts[1].Date != "2021-07-01" || facts[1].Amount != -1 || facts[2].Date != "2021-07-10" {
		t.Errorf("counted as %v", facts)
	}
	if _, err := c.void(held); err != nil {
		t.Fatal(err)
	}
	if _, err := update("2021-07-20"); err != nil {
		t.Errorf("a void session holds the opening back: %v", err)
	}
	for _, stage := range []activitiesv1.GroupStage{formation, transition, maturity} {
		if _, err := c.advance(g.GetId(), stage, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.advance(g.GetId(), ending, "2021-08-01"); err != nil {
		t.Fatal(err)
	}
	_, err := update("2021-08-02")
	wantField(t, err, "group.openedDate")
}

func TestAGroupGoesBackAStageWithAReason(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	for _, stage := range []activitiesv1.GroupStage{formation, transition, maturity} {
		if _, err := c.advance(g.GetId(), stage, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.advance(g.GetId(), ending, "2021-07-09"); err != nil {
		t.Fatal(err)
	}
	_, err := c.advance(g.GetId(), maturity, "")
	wantField(t, err, "reason")
	back := &activitiesv1.AdvanceGroupRequest{Id: g.GetId(), Stage: transition, Reason: "by mistake"}
	_, err = c.AdvanceGroup(c.bureau, back)
	wantKind(t, err, apierr.Conflict) // two stages at once
	back.Stage = maturity
	g, err = c.AdvanceGroup(c.bureau, back)
	if err != nil || g.GetStage() != maturity || g.GetEndedDate() != "" || g.GetReturnReason() != "by mistake" {
		t.Fatalf("went back as %v, error %v", g, err)
	}
	c.meet(t, g.GetId(), c.session()) // on 2021-07-10
	_, err = c.advance(g.GetId(), ending, "2021-07-09")
	wantField(t, err, "endedDate")
	g, err = c.advance(g.GetId(), ending, "2021-07-10")
	if err != nil || g.GetReturnReason() != "by mistake" {
		t.Errorf("ended again as %v, error %v", g, err)
	}
	c.wantFigures(t, map[string]int{"group": 1, "person_times": 3})
}

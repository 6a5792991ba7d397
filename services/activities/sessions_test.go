package activities_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	activitiesv1 "circle15.dev/api/activities/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/testenv/world"
)

// correct changes the paths of a session to those of change.
func (c city) correct(of, change *session, paths ...string) (*session, error) {
	change.Id = of.GetId()
	return c.UpdateGroupSession(c.bureau, &activitiesv1.UpdateGroupSessionRequest{
		GroupId: of.GetGroupId(), Session: change, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
	})
}

func (c city) void(of *session) (*session, error) {
	return c.VoidGroupSession(c.bureau, &activitiesv1.VoidGroupSessionRequest{GroupId: of.GetGroupId(), Id: of.GetId(), Reason: "by mistake"})
}

func (c city) voidGroup(of string) (*activitiesv1.Group, error) {
	return c.VoidGroup(c.bureau, &activitiesv1.VoidGroupRequest{Id: of, Reason: "by mistake"})
}

var moveResident = tenantdb.SQL(`UPDATE {tenant}.residents SET household_id = $2, station_id = $3 WHERE id = $1`)

func (c city) move(t *testing.T, resident, household string, to world.Station) {
	t.Helper()
	err := c.DB.Write(c.bureau, func(_ context.Context, tx *tenantdb.Tx) error {
		tx.Queue(moveResident, uuid.MustParse(resident), uuid.MustParse(household), uuid.MustParse(to.ID))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheAttendanceOfASessionIsCorrectedWithItsFigures(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	s := c.session()
	s.AttendeeIds = []string{c.East.Elder, c.East.Child}
	held := c.meet(t, g.GetId(), s)
	// Whoever moves away stays among those who attended, with the household of that time.
	c.move(t, c.East.Elder, c.West.Household, c.West)

	fixed, err := c.correct(held, &session{
		AttendeeIds: []string{c.East.Elder, c.East.Neighbour}, SessionDate: "2021-07-11", StaffId: c.East.Colleague,
	}, "attendee_ids", "session_date", "staff_id")
	if err != nil || len(fixed.GetAttendeeIds()) != 2 || fixed.GetEtag() != `"2"` {
		t.Fatalf("corrected to %v, error %v", fixed, err)
	}
	c.wantFigures(t, map[string]int{"group": 1, "person_times": 2})
	households := map[string]string{}
	for _, f := range c.Facts(t, "groupSessions", held.GetId())[4:] {
		if f.Date != "2021-07-11" || f.Staff != c.East.Colleague || f.Amount != 1 {
			t.Errorf("counted %+v", f)
		}
		households[f.Resident] = f.Household
	}
	want := map[string]string{c.East.Elder: c.East.Household, c.East.Neighbour: c.East.Neighbours}
	if diff := cmp.Diff(want, households); diff != "" {
		t.Error(diff)
	}
	got, err := c.GetGroupSession(c.bureau, &activitiesv1.GetGroupSessionRequest{GroupId: g.GetId(), Id: held.GetId()})
	if err != nil || !proto.Equal(got, fixed) {
		t.Errorf("read back %v, error %v", got, err)
	}
	_, err = c.correct(held, &session{AttendeeIds: []string{c.East.Neighbour, c.West.Elder}}, "attendee_ids")
	wantField(t, err, "session.attendeeIds[1]")

	if _, err = c.correct(held, &session{}, "attendee_ids"); err != nil {
		t.Fatal(err)
	}
	c.wantFigures(t, map[string]int{"group": 1})
}

func TestAVoidGroupSessionLeavesTheFiguresAndKeepsItsNumber(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	first, late := c.meet(t, g.GetId(), c.session()), c.session()
	late.SessionDate = "2021-08-10"
	second := c.meet(t, g.GetId(), late)
	void, err := c.void(second)
	if err != nil || void.GetVoidReason() != "by mistake" || void.GetNumber() != 2 || len(void.GetAttendeeIds()) != 3 {
		t.Fatalf("void as %v, error %v", void, err)
	}
	c.wantFigures(t, map[string]int{"group": 1, "person_times": 3})
	_, err = c.void(second)
	wantKind(t, err, apierr.Conflict)
	_, err = c.correct(second, &session{Theme: "t"}, "theme")
	wantKind(t, err, apierr.Conflict)
	if third := c.meet(t, g.GetId(), c.session()); third.GetNumber() != 3 {
		t.Errorf("the next session has the number %d", third.GetNumber())
	}
	for _, stage := range []activitiesv1.GroupStage{formation, transition, maturity} {
		if _, err := c.advance(g.GetId(), stage, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.advance(g.GetId(), ending, "2021-07-10"); err != nil {
		t.Fatalf("a void session keeps the group from ending: %v", err)
	}

	// What is recorded of a group that has ended can still be corrected, within its days.
	if _, err := c.correct(first, &session{Theme: "t"}, "theme"); err != nil {
		t.Error(err)
	}
	for _, day := range []string{"2021-06-30", "2021-07-11", tomorrow()} {
		_, err := c.correct(first, &session{SessionDate: day}, "session_date")
		wantField(t, err, "session.sessionDate")
	}
	_, err = c.correct(first, &session{StaffId: c.West.Worker}, "staff_id")
	wantField(t, err, "session.staffId")
}

func TestAVoidGroupLeavesTheFiguresWithItsSessionsAndTakesNothingMore(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	held := c.meet(t, g.GetId(), c.session())
	if _, err := c.void(c.meet(t, g.GetId(), c.session())); err != nil {
		t.Fatal(err)
	}
	_, err := c.VoidGroup(c.bureau, &activitiesv1.VoidGroupRequest{Id: g.GetId(), Reason: "r", Etag: `"7"`})
	wantKind(t, err, apierr.StaleETag)
	void, err := c.voidGroup(g.GetId())
	if err != nil || void.GetStage() != activitiesv1.GroupStage_GROUP_STAGE_VOID || void.GetVoidReason() != "by mistake" {
		t.Fatalf("void as %v, error %v", void, err)
	}
	c.wantFigures(t, map[string]int{})

	_, voidErr := c.voidGroup(g.GetId())
	_, updateErr := c.UpdateGroup(c.bureau, &activitiesv1.UpdateGroupRequest{Group: &activitiesv1.Group{Id: g.GetId(), Purpose: "p"}})
	_, advanceErr := c.advance(g.GetId(), formation, "")
	_, sessionErr := c.CreateGroupSession(c.bureau, &activitiesv1.CreateGroupSessionRequest{GroupId: g.GetId(), Session: c.session()})
	_, correctErr := c.correct(held, &session{Theme: "t"}, "theme")
	_, takeBackErr := c.void(held)
	for _, err := range []error{voidErr, updateErr, advanceErr, sessionErr, correctErr, takeBackErr} {
		wantKind(t, err, apierr.Conflict)
	}
	c.wantFigures(t, map[string]int{})
}

func TestAGroupSessionIsTakenBackByWhoRecordedItAlone(t *testing.T) {
	c := newCity(t)
	g := c.open(t, c.elders())
	held := c.meet(t, g.GetId(), c.session())
	req := &activitiesv1.VoidGroupSessionRequest{GroupId: g.GetId(), Id: held.GetId(), Reason: "by mistake"}
	for name, ctx := range map[string]context.Context{
		"a colleague": c.Own(t, c.East, "colleague"), "another station": c.At(t, c.West), "its namesake there": c.Own(t, c.West, "bureau"),
	} {
		if _, err := c.VoidGroupSession(ctx, req); apierr.KindOf(err) != apierr.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	elsewhere := &activitiesv1.VoidGroupSessionRequest{GroupId: c.open(t, c.elders()).GetId(), Id: held.GetId(), Reason: "r"}
	_, err := c.VoidGroupSession(c.bureau, elsewhere)
	wantKind(t, err, apierr.NotFound)
	if _, err := c.VoidGroupSession(c.Own(t, c.East, "bureau"), req); err != nil {
		t.Errorf("the recorder: %v", err)
	}
}

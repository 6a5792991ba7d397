package activities

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"circle15.dev/internal/apierr"
)

func day(s string) *time.Time {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return &d
}

func TestAnActivityBeginsHeldOrPlannedByItsDays(t *testing.T) {
	for name, c := range map[string]struct {
		in    event
		want  state
		field string // where it is refused
	}{
		"a held day means held":             {in: event{HeldDate: day("2021-09-01"), Attendees: 30}, want: held},
		"a planned day alone means planned": {in: event{PlannedDate: day("2021-09-01")}, want: planned},
		"a day late":                        {in: event{PlannedDate: day("2021-09-01"), HeldDate: day("2021-09-02"), Attendees: 9}, want: held},
		"neither day":                       {in: event{}, field: "activity.plannedDate"},
		"held without anybody":              {in: event{HeldDate: day("2021-09-01")}, field: "activity.attendeeCount"},
		"attended before it was held":       {in: event{PlannedDate: day("2021-09-01"), Attendees: 3}, field: "activity.attendeeCount"},
		"attended on no day at all":         {in: event{Attendees: 3}, field: "activity.plannedDate"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.in.begin()
			if c.field != "" {
				wantField(t, err, c.field)
				return
			}
			if err != nil || got.State != c.want {
				t.Errorf("state %s, error %v; want %s", got.State, err, c.want)
			}
		})
	}
}

func TestAChangeMayNotHoldAPlannedActivityNorUnholdAHeldOne(t *testing.T) {
	wantField(t, event{State: planned, PlannedDate: day("2021-09-01"), HeldDate: day("2021-09-01")}.check(), "activity.heldDate")
	wantField(t, event{State: held, PlannedDate: day("2021-09-01"), Attendees: 3}.check(), "activity.heldDate")
}

func TestAGroupPassesThroughEveryStageInOrderAndReturnsWithAReason(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := progress{Stage: preparation, Opened: *day("2021-06-01")}
		at := 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			m := move{
				To:     rapid.SampledFrom(append([]stage{"", voidGroup}, stages...)).Draw(t, "to"),
				Ended:  rapid.SampledFrom([]*time.Time{nil, day("2021-05-31"), day("2021-06-01"), day("2021-08-01")}).Draw(t, "ended"),
				Reason: rapid.SampledFrom([]string{"", "", " ", "by mistake"}).Draw(t, "reason"),
			}
			last := rapid.SampledFrom([]*time.Time{nil, day("2021-06-01"), day("2021-07-01")}).Draw(t, "last session")
			back := at > 0 && m.To == stages[at-1] && m.Reason == "by mistake" && m.Ended == nil
			onward := at < 4 && m.To == stages[min(at+1, 4)] && m.Reason == "" && (m.Ended != nil) == (m.To == ending)
			if onward && m.To == ending {
				onward = !m.Ended.Before(p.Opened) && (last == nil || !m.Ended.Before(*last))
			}
			next, err := p.advance(m, last)
			switch {
			case (back || onward) != (err == nil):
				t.Fatalf("from %s by %+v, last session %v: error %v", p.Stage, m, last, err)
			case err != nil && next != p:
				t.Fatalf("a refused step changed the group to %+v", next)
			case err == nil:
				p, at = next, slices.Index(stages, next.Stage)
			}
			if p.Stage != stages[at] || (p.Stage == ending) != (p.Ended != nil) {
				t.Fatalf("stage %s with ended day %v", p.Stage, p.Ended)
			}
		}
	})
}

func TestAVoidGroupStaysVoid(t *testing.T) {
	void, err := progress{Stage: ending, Opened: *day("2021-06-01"), Ended: day("2021-08-01")}.takeBack("by mistake")
	if err != nil || void.Stage != voidGroup {
		t.Fatalf("void as %+v, error %v", void, err)
	}
	_, againErr := void.takeBack("r")
	_, advanceErr := void.advance(move{To: maturity, Reason: "r"}, nil)
	for _, err := range []error{againErr, advanceErr, void.admits(*day("2021-07-01"))} {
		if apierr.KindOf(err) != apierr.Conflict {
			t.Errorf("error %v, want a conflict", err)
		}
	}
}

func TestASessionIsHeldBetweenTheOpeningAndTheEndOfItsGroup(t *testing.T) {
	open := progress{Stage: formation, Opened: *day("2021-06-01")}
	if err := open.admits(*day("2021-06-01")); err != nil {
		t.Errorf("on the day of the opening: %v", err)
	}
	wantField(t, open.admits(*day("2021-05-31")), "session.sessionDate")
	wantField(t, progress{Stage: ending, Opened: open.Opened, Ended: day("2021-08-01")}.covers(*day("2021-08-02")), "session.sessionDate")
	ended := progress{Stage: ending, Opened: open.Opened, Ended: day("2021-08-01")}
	if err := ended.admits(*day("2021-07-01")); apierr.KindOf(err) != apierr.Conflict {
		t.Errorf("an ended group: %v, want a conflict", err)
	}
}

// wantField checks that err is Invalid and names the field first.
func wantField(t *testing.T, err error, field string) {
	t.Helper()
	var e *apierr.Error
	if !errors.As(err, &e) || e.Kind != apierr.Invalid || len(e.Fields) == 0 || e.Fields[0].Name != field {
		t.Errorf("error %v, want one about %s", err, field)
	}
}

package cases

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"circle15.dev/internal/apierr"
)

func day(n int) time.Time { return time.Date(2021, 6, 1+n, 0, 0, 0, 0, time.UTC) }

func dayOrNil(n int) *time.Time {
	d := day(n)
	return &d
}

// wantFault checks the kind of an error and, for Invalid, its first field.
func wantFault(t *testing.T, err error, kind apierr.Kind, field string) {
	t.Helper()
	var fault *apierr.Error
	if !errors.As(err, &fault) || fault.Kind != kind {
		t.Fatalf("got %v, want kind %s", err, kind)
	}
	if field != "" && (len(fault.Fields) == 0 || fault.Fields[0].Name != field) {
		t.Fatalf("got fields %v, want %s", fault.Fields, field)
	}
}

func TestACaseAdvancesOnlyToTheNextStage(t *testing.T) {
	full := forms{Assessment: "a", Goals: "g", Plan: "p", Summary: "s", Reflection: "r", Evaluated: dayOrNil(0)}
	all := append(slices.Clone(order), void)
	for from := range all {
		for to := range all {
			p := progress{Stage: all[from], forms: full, Opened: day(0)}
			now, err := p.advance(step{To: all[to], On: day(1)}, day(0))
			if to == from+1 && all[to] != void {
				if err != nil || now.Stage != all[to] {
					t.Errorf("%s to %s: got %s, %v", all[from], all[to], now.Stage, err)
				}
				continue
			}
			wantFault(t, err, apierr.Conflict, "")
			if now.Stage != all[from] {
				t.Errorf("%s to %s: the refused step moved it to %s", all[from], all[to], now.Stage)
			}
		}
	}
}

func TestLeavingAStageNeedsItsForm(t *testing.T) {
	evaluated := forms{Assessment: "a", Goals: "g", Plan: "p", Summary: "s", Reflection: "r", Evaluated: dayOrNil(0)}
	undated := evaluated
	undated.Evaluated = nil
	for name, c := range map[string]struct {
		from  stage
		forms forms
		step  step
		field string // "" for a step that is allowed
	}{
		"assessment missing":          {assessment, forms{}, step{To: planning}, "assessment"},
		"assessment of spaces":        {assessment, forms{}, step{To: planning, Assessment: " \n"}, "assessment"},
		"assessment given":            {assessment, forms{}, step{To: planning, Assessment: "a"}, ""},
		"assessment there before":     {assessment, forms{Assessment: "a"}, step{To: planning}, ""},
		"goals missing":               {planning, forms{Assessment: "a"}, step{To: intervention, Plan: "p"}, "goals"},
		"plan missing":                {planning, forms{Assessment: "a"}, step{To: intervention, Goals: "g"}, "plan"},
		"goals and plan given":        {planning, forms{Assessment: "a"}, step{To: intervention, Goals: "g", Plan: "p"}, ""},
		"evaluation missing":          {evaluation, forms{Assessment: "a", Goals: "g", Plan: "p"}, step{To: closure}, "evaluation"},
		"evaluation of before":        {evaluation, undated, step{To: closure}, "evaluation"},
		"evaluated":                   {evaluation, evaluated, step{To: closure, ClosureReason: "goals met"}, ""},
		"assessment of another stage": {planning, evaluated, step{To: intervention, Assessment: "a"}, "assessment"},
		"goals of another stage":      {assessment, evaluated, step{To: planning, Goals: "g"}, "goals"},
		"plan of another stage":       {intake, forms{}, step{To: assessment, Plan: "p"}, "plan"},
		"closure of another stage":    {intervention, evaluated, step{To: evaluation, ClosureReason: "r"}, "closureReason"},
	} {
		t.Run(name, func(t *testing.T) {
			c.step.On = day(2)
			now, err := progress{Stage: c.from, forms: c.forms, Opened: day(0)}.advance(c.step, day(1))
			if c.field != "" {
				wantFault(t, err, apierr.Invalid, c.field)
			} else if err != nil || now.Stage != c.step.To {
				t.Fatalf("got %s, %v", now.Stage, err)
			}
		})
	}
}

func TestTheDaysOfACaseNeverGoBack(t *testing.T) {
	full := forms{Assessment: "a", Goals: "g", Plan: "p", Summary: "s", Reflection: "r", Evaluated: dayOrNil(5)}
	at := func(s stage) progress { return progress{Stage: s, forms: full, Opened: day(0)} }

	_, err := at(intake).advance(step{To: assessment, On: day(2)}, day(3))
	wantFault(t, err, apierr.Invalid, "changeDate")
	_, err = at(evaluation).advance(step{To: closure, On: day(4)}, day(3))
	wantFault(t, err, apierr.Invalid, "changeDate")
	_, err = at(evaluation).evaluate("s", "r", "", day(2), day(3), nil)
	wantFault(t, err, apierr.Invalid, "evaluatedDate")
	_, err = at(evaluation).evaluate("s", "r", "", day(4), day(3), dayOrNil(5))
	wantFault(t, err, apierr.Invalid, "evaluatedDate")
	_, err = at(closure).reopen(day(2), day(3))
	wantFault(t, err, apierr.Invalid, "changeDate")
	wantFault(t, at(intake).sinceOpened("session.sessionDate", day(-1)), apierr.Invalid, "session.sessionDate")

	closed, err := at(evaluation).advance(step{To: closure, On: day(5)}, day(5))
	if err != nil || !closed.Closed.Equal(day(5)) {
		t.Fatalf("closing on the day of the evaluation: %v, %v", closed.Closed, err)
	}
}

func TestAReopenedCaseIsEvaluatedAgainBeforeItCloses(t *testing.T) {
	closed := progress{
		Stage: closure, Opened: day(0), Closed: dayOrNil(5), ClosureReason: "goals met",
		forms: forms{Assessment: "a", Goals: "g", Plan: "p", Summary: "s", Reflection: "r", Evaluated: dayOrNil(5)},
	}
	again, err := closed.reopen(day(6), day(5))
	if err != nil {
		t.Fatal(err)
	}
	if again.Stage != intervention || again.Closed != nil || again.ClosureReason != "" || again.Evaluated != nil || again.Summary != "s" {
		t.Fatalf("got %+v", again)
	}
	again, err = again.advance(step{To: evaluation, On: day(7)}, day(6))
	if err != nil {
		t.Fatal(err)
	}
	_, err = again.advance(step{To: closure, On: day(7)}, day(7))
	wantFault(t, err, apierr.Invalid, "evaluation")
}

func TestWhatAStageTakes(t *testing.T) {
	for s, want := range map[stage]struct{ work, followUp, evaluation bool }{
		intake: {work: true}, assessment: {work: true}, planning: {work: true}, intervention: {work: true},
		evaluation: {work: true, followUp: true, evaluation: true}, closure: {followUp: true}, void: {},
	} {
		p := progress{Stage: s}
		_, err := p.evaluate("s", "r", "", day(1), day(1), nil)
		for what, got := range map[string]struct {
			err  error
			want bool
		}{
			"work": {p.takesWork(), want.work}, "follow-up": {p.takesFollowUp(), want.followUp}, "evaluation": {err, want.evaluation},
		} {
			if (got.err == nil) != got.want {
				t.Errorf("%s in %s: %v", what, s, got.err)
			}
		}
	}
}

// TestNoWayThroughACaseSkipsAForm walks cases at random: whatever is tried in whatever order, a closed case has every
// form of the standard, its days are in order, and a void case stays void.
func TestNoWayThroughACaseSkipsAForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := progress{Stage: intake, Opened: day(0)}
		last := p.Opened
		reached := []stage{intake}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			was := p
			on := day(rapid.IntRange(-2, 40).Draw(t, "day"))
			var err error
			switch rapid.SampledFrom([]string{"advance", "advance", "advance", "next", "next", "evaluate", "reopen", "void"}).Draw(t, "act") {
			case "advance":
				p, err = p.advance(randomStep(t, on), last)
			case "next":
				next, _ := p.Stage.next()
				s := randomStep(t, on)
				s.To = next
				p, err = p.advance(s, last)
			case "evaluate":
				p, err = p.evaluate(text(t), text(t), "", on, last, nil)
			case "reopen":
				p, err = p.reopen(on, last)
			case "void":
				if rapid.IntRange(0, 5).Draw(t, "really") != 0 {
					continue
				}
				p, err = p.takeBack("by mistake")
			}
			if err != nil {
				if fmt.Sprint(p) != fmt.Sprint(was) {
					t.Fatalf("a refused step changed %+v to %+v", was, p)
				}
				continue
			}
			if p.Stage != was.Stage {
				reached = append(reached, p.Stage)
				if p.Stage != void {
					last = on
				}
			}
			checkInvariants(t, was, p, last, reached)
		}
	})
}

func randomStep(t *rapid.T, on time.Time) step {
	return step{
		To: rapid.SampledFrom(append(slices.Clone(order), void)).Draw(t, "to"), On: on,
		Assessment: text(t), Goals: text(t), Plan: text(t), ClosureReason: text(t),
	}
}

func text(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", " ", "text"}).Draw(t, "text")
}

func checkInvariants(t *rapid.T, was, now progress, last time.Time, reached []stage) {
	if was.Stage == void {
		t.Fatalf("a void case became %+v", now)
	}
	if last.Before(now.Opened) {
		t.Fatalf("changed on %s, before its opening", last)
	}
	if now.Stage != closure {
		return
	}
	if !filled(now.Assessment) || !filled(now.Goals) || !filled(now.Plan) || !filled(now.Summary) || !filled(now.Reflection) {
		t.Fatalf("closed without a form: %+v", now)
	}
	if now.Closed == nil || now.Evaluated == nil || now.Closed.Before(*now.Evaluated) || now.Evaluated.Before(now.Opened) {
		t.Fatalf("closed with days out of order: %+v", now)
	}
	for _, s := range order {
		if !slices.Contains(reached, s) {
			t.Fatalf("closed without the stage %s: %v", s, reached)
		}
	}
}

package cases

import (
	"slices"
	"strings"
	"time"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
)

// stage is a stage of individual casework (MZ/T 094-2017), as stored.
type stage string

const (
	intake       stage = "INTAKE"       // 接案
	assessment   stage = "ASSESSMENT"   // 预估
	planning     stage = "PLANNING"     // 计划
	intervention stage = "INTERVENTION" // 介入
	evaluation   stage = "EVALUATION"   // 评估
	closure      stage = "CLOSURE"      // 结案
	void         stage = "VOID"         // taken back; not of the standard
)

// order is the standard's way through a case; a case only ever takes the next step, or is reopened or void.
var order = []stage{intake, assessment, planning, intervention, evaluation, closure}

// next is the stage that follows; false where none does.
func (s stage) next() (stage, bool) {
	i := slices.Index(order, s)
	if i < 0 || i+1 == len(order) {
		return "", false
	}
	return order[i+1], true
}

// beyond says whether the case has left the stage other on its way.
func (s stage) beyond(other stage) bool { return slices.Index(order, s) > slices.Index(order, other) }

// forms are the texts of the standard's forms that a case fills on its way.
type forms struct {
	Assessment     string // 预估表
	Goals          string // 服务计划表
	Plan           string
	Summary        string // 个案工作评估表
	Reflection     string
	GoalAttainment string
	Evaluated      *time.Time // nil until evaluated, and again after a reopening
}

// progress is where a case stands. Its methods return what it becomes, or with an error what it is.
type progress struct {
	Stage stage
	forms
	Opened        time.Time
	Closed        *time.Time
	ClosureReason string
	VoidReason    string
}

// step is a request to enter the next stage. The forms are those of the stage that ends; empty leaves what is there.
type step struct {
	To                      stage
	On                      time.Time
	Assessment, Goals, Plan string
	ClosureReason           string
}

// advance enters the next stage. last is the day of the case's last change, its opening where there was none.
// Errors: Conflict where the stage is not the next one, Invalid for the day and for forms that are empty or of
// another stage.
func (p progress) advance(s step, last time.Time) (progress, error) {
	next, ok := p.Stage.next()
	switch {
	case !ok:
		return p, apierr.New(apierr.Conflict, "a case in stage %s has no next stage", p.Stage)
	case s.To != next:
		return p, apierr.New(apierr.Conflict, "a case in stage %s can only enter %s", p.Stage, next)
	}
	if err := s.checkForms(p.Stage); err != nil {
		return p, err
	}
	if err := notBefore("changeDate", s.On, last, "the last change of the case"); err != nil {
		return p, err
	}
	now := p
	now.Stage = next
	fill(&now.Assessment, s.Assessment)
	fill(&now.Goals, s.Goals)
	fill(&now.Plan, s.Plan)
	if err := now.checkFilled(""); err != nil {
		return p, err
	}
	if next == closure {
		if err := notBefore("changeDate", s.On, *p.Evaluated, "the evaluation"); err != nil {
			return p, err
		}
		now.Closed, now.ClosureReason = &s.On, s.ClosureReason
	}
	return now, nil
}

// checkForms refuses the form of a stage other than the one that ends, rather than dropping it unseen.
func (s step) checkForms(ends stage) error {
	for _, form := range []struct {
		field, text string
		of          stage
	}{
		{"assessment", s.Assessment, assessment},
		{"goals", s.Goals, planning},
		{"plan", s.Plan, planning},
		{"closureReason", s.ClosureReason, evaluation},
	} {
		if form.text != "" && form.of != ends {
			return apierr.InvalidField(form.field, "is given when the stage %s ends, not %s", form.of, ends)
		}
	}
	return nil
}

// checkFilled holds the standard's rule at every change: a case that has left a stage keeps that stage's form filled.
// The prefix goes before the fields' JSON names.
func (p progress) checkFilled(prefix string) error {
	for _, form := range []struct {
		field  string
		filled bool
		of     stage
	}{
		{"assessment", filled(p.Assessment), assessment},
		{"goals", filled(p.Goals), planning},
		{"plan", filled(p.Plan), planning},
		{"evaluation", filled(p.Summary) && filled(p.Reflection) && p.Evaluated != nil, evaluation},
	} {
		if p.Stage.beyond(form.of) && !form.filled {
			return apierr.InvalidField(prefix+form.field, "must be filled before the stage %s ends", form.of)
		}
	}
	return nil
}

// evaluate fills the evaluation form. last is the day of the case's last change, session that of its last session (nil: it
// had none). Errors: Conflict in another stage, Invalid for the day.
func (p progress) evaluate(summary, reflection, attainment string, on, last time.Time, session *time.Time) (progress, error) {
	if p.Stage != evaluation {
		return p, apierr.New(apierr.Conflict, "a case in stage %s is not evaluated", p.Stage)
	}
	if err := notBefore("evaluatedDate", on, last, "the last change of the case"); err != nil {
		return p, err
	}
	if session != nil {
		if err := notBefore("evaluatedDate", on, *session, "the last session"); err != nil {
			return p, err
		}
	}
	for _, form := range []struct{ field, text string }{{"summary", summary}, {"reflection", reflection}} {
		if !filled(form.text) {
			return p, apierr.InvalidField(form.field, "must be filled")
		}
	}
	p.Summary, p.Reflection, p.GoalAttainment, p.Evaluated = summary, reflection, attainment, &on
	return p, nil
}

// reopen goes back to intervention. The evaluation loses its day, so that the case is evaluated again before it
// closes again. Errors: Conflict where the case is not closed, Invalid for the day.
func (p progress) reopen(on, last time.Time) (progress, error) {
	if p.Stage != closure {
		return p, apierr.New(apierr.Conflict, "a case in stage %s is not closed", p.Stage)
	}
	if err := notBefore("changeDate", on, last, "the last change of the case"); err != nil {
		return p, err
	}
	p.Stage, p.Evaluated, p.Closed, p.ClosureReason = intervention, nil, nil, ""
	return p, nil
}

// takeBack makes the case void, for good. Errors: Conflict where it is.
func (p progress) takeBack(reason string) (progress, error) {
	if err := p.notVoid(); err != nil {
		return p, err
	}
	p.Stage, p.VoidReason = void, reason
	return p, nil
}

func (p progress) notVoid() error {
	if p.Stage == void {
		return apierr.New(apierr.Conflict, "the case is void")
	}
	return nil
}

// takesWork says whether sessions and referrals may be recorded.
func (p progress) takesWork() error {
	if p.Stage == closure || p.Stage == void {
		return apierr.New(apierr.Conflict, "a case in stage %s takes no further work", p.Stage)
	}
	return nil
}

// takesFollowUp says whether a follow-up (回访) may be recorded: it comes after the work.
func (p progress) takesFollowUp() error {
	if p.Stage != evaluation && p.Stage != closure {
		return apierr.New(apierr.Conflict, "a case in stage %s is not followed up", p.Stage)
	}
	return nil
}

// sinceOpened refuses the day of work on a case that was not open yet.
func (p progress) sinceOpened(field string, day time.Time) error {
	return notBefore(field, day, p.Opened, "the opening of the case")
}

// notBefore refuses a day that is earlier than the one of what came first.
func notBefore(field string, day, first time.Time, what string) error {
	if day.Before(first) {
		return apierr.InvalidField(field, "must not be before %s on %s", what, civildate.Format(first))
	}
	return nil
}

func filled(text string) bool { return strings.TrimSpace(text) != "" }

func fill(form *string, text string) {
	if text != "" {
		*form = text
	}
}

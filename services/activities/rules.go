package activities

import (
	"slices"
	"strings"
	"time"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
)

// state is where an activity stands, as stored.
type state string

const (
	planned   state = "PLANNED"
	held      state = "HELD"
	cancelled state = "CANCELLED"
	void      state = "VOID"
)

// event is what happens to an activity: where it stands, on which day, and how many took part.
type event struct {
	State       state
	PlannedDate *time.Time
	HeldDate    *time.Time
	Attendees   int32 // person-times (人次)
}

// begin gives an activity its first state: with a held day it was held, with a planned day alone it is planned.
func (e event) begin() (event, error) {
	e.State = planned
	if e.HeldDate != nil {
		e.State = held
	}
	return e, e.check()
}

// check says what an activity that is planned or held must have. The fields are those of the message "activity".
func (e event) check() error {
	switch {
	case e.State == held && e.HeldDate == nil:
		return apierr.InvalidField("activity.heldDate", "is required: the activity was held")
	case e.State == held && e.Attendees < 1:
		return apierr.InvalidField("activity.attendeeCount", "must be at least 1 for an activity that was held")
	case e.State == planned && e.HeldDate != nil:
		return apierr.InvalidField("activity.heldDate", "is set by :hold")
	case e.State == planned && e.PlannedDate == nil:
		return apierr.New(apierr.Invalid, "an activity needs the day on which it was held or is planned").
			With("activity.plannedDate", "is required, or heldDate is").With("activity.heldDate", "is required, or plannedDate is")
	case e.State == planned && e.Attendees != 0:
		return apierr.InvalidField("activity.attendeeCount", "must be 0 until the activity was held")
	}
	return nil
}

// mustBe is the precondition of an act on an activity.
func (s state) mustBe(want state) error {
	if s != want {
		return apierr.New(apierr.Conflict, "the activity is %s; only one that is %s allows it", s, want)
	}
	return nil
}

// stage is the stage of a group (MZ/T 095-2017), as stored.
type stage string

const (
	preparation stage = "PREPARATION" // 筹备期
	formation   stage = "FORMATION"   // 形成期
	transition  stage = "TRANSITION"  // 转折期
	maturity    stage = "MATURITY"    // 成熟期
	ending      stage = "ENDING"      // 结束期
	voidGroup   stage = "VOID"        // taken back; not of the standard
)

// stages are in the order in which a group passes through them, none left out.
var stages = []stage{preparation, formation, transition, maturity, ending}

// progress is how far a group has come.
type progress struct {
	Stage        stage
	Opened       time.Time
	Ended        *time.Time
	VoidReason   string
	ReturnReason string // why it last went back to the stage before
}

// move is a request to enter another stage: the next one, or with a reason the one before.
type move struct {
	To     stage
	Ended  *time.Time
	Reason string
}

// advance moves a group to its next stage, or one back. ENDING takes the day on which the group ended, which is not before
// its last session (nil: it had none). Going back takes a reason. The fields are those of AdvanceGroupRequest.
func (p progress) advance(m move, lastSession *time.Time) (progress, error) {
	if err := p.notVoid(); err != nil {
		return p, err
	}
	at := slices.Index(stages, p.Stage)
	if at > 0 && m.To == stages[at-1] {
		return p.goBack(m)
	}
	switch {
	case p.Stage == ending:
		return p, apierr.New(apierr.Conflict, "the group has ended")
	case stages[at+1] != m.To:
		return p, apierr.New(apierr.Conflict, "the group is in stage %s; its next stage is %s", p.Stage, stages[at+1])
	case m.Reason != "":
		return p, apierr.InvalidField("reason", "goes with the stage before alone")
	case m.To != ending && m.Ended != nil:
		return p, apierr.InvalidField("endedDate", "goes with stage GROUP_STAGE_ENDING alone")
	case m.To == ending && m.Ended == nil:
		return p, apierr.InvalidField("endedDate", "is required to end a group")
	case m.To == ending && m.Ended.Before(p.Opened):
		return p, apierr.InvalidField("endedDate", "must not be before the group was opened, on %s", civildate.Format(p.Opened))
	case m.To == ending && lastSession != nil && m.Ended.Before(*lastSession):
		return p, apierr.InvalidField("endedDate", "must not be before the last session, on %s", civildate.Format(*lastSession))
	}
	p.Stage, p.Ended = m.To, m.Ended
	return p, nil
}

// goBack moves a group to the stage before. No session contradicts it: a session is of a day, not of a stage, and there is
// none after the end.
func (p progress) goBack(m move) (progress, error) {
	switch {
	case strings.TrimSpace(m.Reason) == "":
		return p, apierr.InvalidField("reason", "is required to go back to the stage before")
	case m.Ended != nil:
		return p, apierr.InvalidField("endedDate", "goes with stage GROUP_STAGE_ENDING alone")
	}
	p.Stage, p.Ended, p.ReturnReason = m.To, nil, m.Reason
	return p, nil
}

// mayOpen says whether the group can have been opened on the day, given the day of its first session (nil: it had none).
// The field is that of UpdateGroupRequest.
func (p progress) mayOpen(day time.Time, firstSession *time.Time) error {
	switch {
	case firstSession != nil && day.After(*firstSession):
		return apierr.InvalidField("group.openedDate", "must not be after the first session, on %s", civildate.Format(*firstSession))
	case p.Ended != nil && day.After(*p.Ended):
		return apierr.InvalidField("group.openedDate", "must not be after the group ended, on %s", civildate.Format(*p.Ended))
	}
	return nil
}

// takeBack makes the group void, for good. Errors: Conflict where it is.
func (p progress) takeBack(reason string) (progress, error) {
	if err := p.notVoid(); err != nil {
		return p, err
	}
	p.Stage, p.VoidReason = voidGroup, reason
	return p, nil
}

func (p progress) notVoid() error {
	if p.Stage == voidGroup {
		return apierr.New(apierr.Conflict, "the group is void")
	}
	return nil
}

// admits says whether a session of the day can be recorded: Conflict where the group has ended or is void, Invalid for
// the day. The field is that of CreateGroupSessionRequest.
func (p progress) admits(session time.Time) error {
	if err := p.notVoid(); err != nil {
		return err
	}
	if p.Stage == ending {
		return apierr.New(apierr.Conflict, "the group has ended")
	}
	return p.covers(session)
}

// covers refuses a day of a session on which the group was not open. The field is that of the message "session".
func (p progress) covers(session time.Time) error {
	switch {
	case session.Before(p.Opened):
		return apierr.InvalidField("session.sessionDate", "must not be before the group was opened, on %s", civildate.Format(p.Opened))
	case p.Ended != nil && session.After(*p.Ended):
		return apierr.InvalidField("session.sessionDate", "must not be after the group ended, on %s", civildate.Format(*p.Ended))
	}
	return nil
}

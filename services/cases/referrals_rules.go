package cases

import (
	"time"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
)

// referralState is where a referral stands, as stored.
type referralState string

const (
	sent              referralState = "SENT"
	accepted          referralState = "ACCEPTED"
	declined          referralState = "DECLINED"
	completedReferral referralState = "COMPLETED"
	voidReferral      referralState = "VOID" // taken back
)

// answer is what an outside body said to a referral, and what it is worth.
type answer struct {
	State          referralState
	Outcome        string
	OutcomeDate    *time.Time
	LinkedValueFen int64 // value of the linked resources, in fen (0.01 CNY)
}

// settle records the next answer. first is the day before which there can be none: that of the referral, or of the
// answer before. Errors: Conflict where the body has given its last answer or repeats one, Invalid for the day and
// for a value that a declined referral cannot have.
func (a answer) settle(next answer, first time.Time) (answer, error) {
	switch {
	case next.State == sent, next.State == voidReferral:
		return a, apierr.InvalidField("state", "must be ACCEPTED, DECLINED or COMPLETED")
	case a.State == declined, a.State == completedReferral, a.State == next.State:
		return a, apierr.New(apierr.Conflict, "the referral is already %s", a.State)
	case next.State == declined && next.LinkedValueFen != 0:
		return a, apierr.InvalidField("linkedValueFen", "must be 0 when the referral is declined")
	}
	if err := notBefore("outcomeDate", *next.OutcomeDate, first, "the referral or its last answer"); err != nil {
		return a, err
	}
	return next, nil
}

// notAfterAnswer refuses a day of the referral after that of its answer, if there is one.
func (a answer) notAfterAnswer(field string, day time.Time) error {
	if a.OutcomeDate != nil && day.After(*a.OutcomeDate) {
		return apierr.InvalidField(field, "must not be after the answer on %s", civildate.Format(*a.OutcomeDate))
	}
	return nil
}

package cases

import (
	"testing"

	"circle15.dev/internal/apierr"
)

func TestAReferralIsAnsweredToItsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		from, to referralState
		value    int64
		on       int
		kind     apierr.Kind // "" for an answer that is taken
		field    string
	}{
		"accepted":                {from: sent, to: accepted, on: 1},
		"completed at once":       {from: sent, to: completedReferral, value: 100, on: 1},
		"declined":                {from: sent, to: declined, on: 1},
		"completed later":         {from: accepted, to: completedReferral, value: 100, on: 1},
		"declined after all":      {from: accepted, to: declined, on: 1},
		"accepted twice":          {from: accepted, to: accepted, on: 1, kind: apierr.Conflict},
		"accepted once declined":  {from: declined, to: accepted, on: 1, kind: apierr.Conflict},
		"declined once completed": {from: completedReferral, to: declined, on: 1, kind: apierr.Conflict},
		"sent again":              {from: sent, to: sent, on: 1, kind: apierr.Invalid, field: "state"},
		"declined with a value":   {from: sent, to: declined, value: 1, on: 1, kind: apierr.Invalid, field: "linkedValueFen"},
		"answered before sent":    {from: sent, to: accepted, on: -1, kind: apierr.Invalid, field: "outcomeDate"},
	} {
		t.Run(name, func(t *testing.T) {
			next := answer{State: c.to, Outcome: "a place", OutcomeDate: dayOrNil(c.on), LinkedValueFen: c.value}
			now, err := answer{State: c.from}.settle(next, day(0))
			if c.kind != "" {
				wantFault(t, err, c.kind, c.field)
				return
			}
			if err != nil || now != next {
				t.Fatalf("got %+v, %v", now, err)
			}
		})
	}
}

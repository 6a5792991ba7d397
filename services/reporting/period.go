package reporting

import (
	"time"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
)

// maxYears bounds a period, and with it the work and the answer of a report.
const maxYears = 10

// period is a span of days, both included.
type period struct{ From, To time.Time }

func parsePeriod(from, to string) (period, error) {
	var p period
	var err error
	if p.From, err = civildate.Parse("from", from); err != nil {
		return p, err
	}
	if p.To, err = civildate.Parse("to", to); err != nil {
		return p, err
	}
	switch {
	case p.To.Before(p.From):
		return p, apierr.InvalidField("to", "must not be before from")
	case !p.To.Before(p.From.AddDate(maxYears, 0, 0)):
		return p, apierr.InvalidField("to", "must be less than %d years after from", maxYears)
	}
	return p, nil
}

// in is the part of the period that lies in the month (YYYY-MM), or all of it for an empty month.
func (p period) in(month string) (period, error) {
	if month == "" {
		return p, nil
	}
	first, err := time.Parse("2006-01", month)
	if err != nil {
		return p, apierr.InvalidField("month", "must be a month, as YYYY-MM")
	}
	last := first.AddDate(0, 1, -1)
	if last.Before(p.From) || first.After(p.To) {
		return p, apierr.InvalidField("month", "must lie between from and to")
	}
	if first.After(p.From) {
		p.From = first
	}
	if last.Before(p.To) {
		p.To = last
	}
	return p, nil
}

package registry

import (
	"strings"
	"time"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/divisions"
)

// period is the time during which something is in being: its first and its last day, nil while it has none.
type period struct {
	first time.Time
	last  *time.Time
}

// parsePeriod reads a period; lastField must not lie before firstField. A planned end may lie in the future.
func parsePeriod(firstField, first, lastField, last string) (period, error) {
	var p period
	var err error
	if p.first, err = civildate.Parse(firstField, first); err != nil {
		return p, err
	}
	if p.last, err = civildate.ParseOptional(lastField, last); err != nil {
		return p, err
	}
	if p.last != nil && p.last.Before(p.first) {
		return p, apierr.InvalidField(lastField, "must not be before %s", civildate.Format(p.first))
	}
	return p, nil
}

// parsePastPeriod is parsePeriod for what must have begun by today.
func parsePastPeriod(firstField, first, lastField, last string) (period, error) {
	if _, err := civildate.ParsePast(firstField, first); err != nil {
		return period{}, err
	}
	return parsePeriod(firstField, first, lastField, last)
}

// endsWithin refuses a period that outlasts the end of what it belongs to; nil is no end. Field names the last day of
// the period, and whole what it belongs to.
func (p period) endsWithin(end *time.Time, field, whole string) error {
	if end == nil || p.last != nil && !p.last.After(*end) {
		return nil
	}
	return apierr.InvalidField(field, "must be given and not be after the end of the %s on %s", whole, civildate.Format(*end))
}

// beginsWithin refuses a period that begins before what it belongs to. Field names the first day of the period.
func (p period) beginsWithin(begin time.Time, field, whole string) error {
	if !p.first.Before(begin) {
		return nil
	}
	return apierr.InvalidField(field, "must not be before the beginning of the %s on %s", whole, civildate.Format(begin))
}

// goesOn says whether the period lasts beyond today, so that a quota counts it.
func (p period) goesOn() bool { return p.last == nil || p.last.After(civildate.Today()) }

func (p period) equal(q period) bool { return p.first.Equal(q.first) && sameDay(p.last, q.last) }

func sameDay(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// checkTownship refuses a code that is not a township or street of the division table, or one that does not lie below
// the tenant's division.
func checkTownship(field, code, tenantDivision string) error {
	if d, ok := divisions.Lookup(code); !ok || d.Level != divisions.Township {
		return apierr.InvalidField(field, "must be the code of a township or street of the division table")
	}
	if !divisions.Within(code, tenantDivision) {
		return apierr.InvalidField(field, "must lie in %s, the tenant's division; %s does not", named(tenantDivision), named(code))
	}
	return nil
}

// checkCommunityCode refuses a community's code that does not begin with that of the station's township, or that has
// no number of its own (GB/T 10114: 001 to 999).
func checkCommunityCode(field, code, township string) error {
	number, below := strings.CutPrefix(code, township)
	switch {
	case !below:
		return apierr.InvalidField(field, "must lie in %s, the station's township; %s does not", named(township), named(code))
	case len(number) != 3 || number == "000":
		return apierr.InvalidField(field, "must be %s, the station's township, and three digits from 001", township)
	}
	return nil
}

// named is a division's code with its name where the table has one: "460107003 (海南省 / 海口市 / 琼山区 / 滨江街道)".
func named(code string) string {
	if path := divisions.Path(code); path != "" {
		return code + " (" + path + ")"
	}
	return code
}

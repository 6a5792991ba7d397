// Package civildate reads and writes the calendar days of requests: YYYY-MM-DD (RFC 3339 full-date) in China
// Standard Time (Asia/Shanghai, UTC+8 without daylight saving).
package civildate

import (
	"time"

	"circle15.dev/internal/apierr"
)

var china = time.FixedZone("Asia/Shanghai", 8*60*60)

// earliest is before anything that a record can be about. What lies before it is a slip of the pen, and the zero
// time.Time, 0001-01-01, which elsewhere means no day at all, is among that.
var earliest = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

// Parse reads the day in the field of a request, as midnight UTC, which is how pgx writes a date. A day before 1900 is
// Invalid.
func Parse(field, s string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}, apierr.InvalidField(field, "must be a day of the calendar, as YYYY-MM-DD")
	}
	if day.Before(earliest) {
		return time.Time{}, apierr.InvalidField(field, "must not be before %s", Format(earliest))
	}
	return day, nil
}

// ParseOptional is Parse, with nil for an empty value.
func ParseOptional(field, s string) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	day, err := Parse(field, s)
	if err != nil {
		return nil, err
	}
	return &day, nil
}

// ParsePast is Parse for an act that took place: a day after today in China is Invalid.
func ParsePast(field, s string) (time.Time, error) {
	day, err := Parse(field, s)
	if err != nil {
		return time.Time{}, err
	}
	if day.After(Today()) {
		return time.Time{}, apierr.InvalidField(field, "must not be in the future")
	}
	return day, nil
}

// Today is the current day in China, as midnight UTC.
func Today() time.Time {
	y, m, d := time.Now().In(china).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// Format writes a day as YYYY-MM-DD.
func Format(day time.Time) string { return day.Format(time.DateOnly) }

// FormatOptional writes a day, empty for nil.
func FormatOptional(day *time.Time) string {
	if day == nil {
		return ""
	}
	return Format(*day)
}

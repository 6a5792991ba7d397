package haikou

import (
	"fmt"
	"time"
)

// day is a calendar day in China as midnight UTC.
func day(month time.Month, d int) time.Time { return time.Date(2021, month, d, 0, 0, 0, 0, time.UTC) }

func format(d time.Time) string { return d.Format(time.DateOnly) }

// lastDay is the last of the reported period, 2021-05-01 to 2021-10-01.
var lastDay = day(time.October, 1)

// Holidays and the weekend days worked in their place in 2021 (notice of the State Council General Office, November 2020).
var (
	holidays = daysOf(
		span{day(time.May, 1), day(time.May, 5)},
		span{day(time.June, 12), day(time.June, 14)},
		span{day(time.September, 19), day(time.September, 21)},
		span{day(time.October, 1), day(time.October, 7)},
	)
	workedWeekends = daysOf(
		span{day(time.May, 8), day(time.May, 8)},
		span{day(time.September, 18), day(time.September, 18)},
		span{day(time.September, 26), day(time.September, 26)},
	)
)

type span struct{ from, to time.Time }

func daysOf(spans ...span) map[time.Time]bool {
	days := map[time.Time]bool{}
	for _, s := range spans {
		for d := s.from; !d.After(s.to); d = d.AddDate(0, 0, 1) {
			days[d] = true
		}
	}
	return days
}

// rhythm says how much of a kind of work falls on a day, relative to an ordinary working day.
type rhythm func(time.Time) float64

// officeWork is what workers do by appointment: little at weekends, less in the heat of August, most in September.
func officeWork(d time.Time) float64 {
	return season[d.Month()] * byWeekday(d, [7]float64{0.12, 0.9, 1.1, 1.1, 1.05, 0.95, 0.35})
}

// communityWork is what needs people who are free: activities and group sessions.
func communityWork(d time.Time) float64 {
	return season[d.Month()] * byWeekday(d, [7]float64{0.6, 0.6, 0.8, 0.9, 0.8, 1.1, 1.3})
}

// phoneWork has its peak in August, when visits at home were held back.
func phoneWork(d time.Time) float64 {
	if d.Month() == time.August {
		return 1.6 * officeWork(d) / season[time.August]
	}
	return officeWork(d)
}

var season = map[time.Month]float64{
	time.May: 0.8, time.June: 1, time.July: 1.05, time.August: 0.75, time.September: 1.2, time.October: 1,
}

func byWeekday(d time.Time, weights [7]float64) float64 {
	switch {
	case holidays[d]:
		return 0.06
	case workedWeekends[d]:
		return 0.9
	default:
		return weights[d.Weekday()]
	}
}

// pickDay draws a day of the span by the rhythm.
func pickDay(d *dice, r rhythm, s span) time.Time {
	if s.to.Before(s.from) {
		panic(fmt.Sprintf("the span %s to %s is empty", format(s.from), format(s.to)))
	}
	var days []weighted[time.Time]
	for at := s.from; !at.After(s.to); at = at.AddDate(0, 0, 1) {
		days = append(days, weighted[time.Time]{at, r(at)})
	}
	return pickWeighted(d, days)
}

// near draws a day around another, within the plan's period.
func near(d *dice, r rhythm, at time.Time, slack int) (time.Time, bool) {
	s := span{at.AddDate(0, 0, -slack), at.AddDate(0, 0, slack)}
	if s.to.After(lastDay) {
		return time.Time{}, false
	}
	return pickDay(d, r, s), true
}

// later draws a day from least to most days after another, not after the end of the period.
func later(d *dice, r rhythm, at time.Time, least, most int) time.Time {
	s := span{at.AddDate(0, 0, least), at.AddDate(0, 0, most)}
	if s.to.After(lastDay) {
		s.to = lastDay
	}
	if s.from.After(s.to) {
		s.from = s.to
	}
	return pickDay(d, r, s)
}

package reporting_test

import (
	"slices"
	"time"

	reportingv1 "circle15.dev/api/reporting/v1"
	"circle15.dev/internal/facts"
)

// model is the facts that stand: it forgets what was taken back. Its reports are as naive as their definitions.
type model []facts.Fact

// question is a GetWorkSummaryRequest.
type question struct {
	from, to                     time.Time
	byStation, byMonth, byDomain bool
	stations                     []string // in reach
}

type key struct{ Station, Month, Domain string }

// answer is a report: the total and the groups that are not all 0.
type answer struct {
	Total  counts
	Groups map[key]counts
}

// counts are figures by the JSON name of their field, without those that are 0.
type counts map[string]int32

var figureNames = map[facts.Measure]string{
	facts.Stations: "stations", facts.HomeVisit: "homeVisits", facts.Case: "cases", facts.CaseSession: "caseSessions",
	facts.Activity: "activities", facts.Group: "groups", facts.VolunteerTeam: "volunteerTeams", facts.Volunteer: "volunteers",
	facts.PersonTimes: "personTimes", facts.Need: "needs", facts.NeedMet: "needsMet", facts.File: "files",
}

func (m model) answer(q question) answer {
	out := answer{Total: m.count(q.stations, q.from, q.to, nil), Groups: map[key]counts{}}
	if !q.byStation && !q.byMonth && !q.byDomain {
		return out
	}
	for _, station := range choices(q.byStation, q.stations) {
		for _, month := range choices(q.byMonth, months(q.from, q.to)) {
			for _, domain := range choices(q.byDomain, m.domains()) {
				from, to := within(q.from, q.to, month)
				reach := q.stations
				if station != nil {
					reach = []string{*station}
				}
				if c := m.count(reach, from, to, domain); len(c) > 0 {
					out.Groups[key{text(station), text(month), text(domain)}] = c
				}
			}
		}
	}
	return out
}

// count is the figures of the stations, the days and the domain (nil for all).
func (m model) count(stations []string, from, to time.Time, domain *string) counts {
	out := counts{}
	households := map[string]bool{}
	for _, f := range m {
		switch {
		case !slices.Contains(stations, f.Station.String()), domain != nil && f.Domain != *domain, f.Date.After(to):
			continue
		case !f.Measure.Stock() && f.Date.Before(from):
			continue
		case f.Measure == facts.HomeVisit:
			households[f.Household.String()] = true
		}
		out[figureNames[f.Measure]] += f.Amount
	}
	out["householdsVisited"] = int32(len(households))
	for name, n := range out {
		if n == 0 {
			delete(out, name)
		}
	}
	return out
}

func (m model) domains() []string {
	var out []string
	for _, f := range m {
		if !slices.Contains(out, f.Domain) {
			out = append(out, f.Domain)
		}
	}
	return out
}

// choices are the values of a key: one that stands for all where it is not grouped by.
func choices(grouped bool, values []string) []*string {
	if !grouped {
		return []*string{nil}
	}
	var out []*string
	for _, v := range values {
		out = append(out, &v)
	}
	return out
}

func months(from, to time.Time) []string {
	var out []string
	for d := from; !d.After(to); d = d.AddDate(0, 0, 1) {
		if m := d.Format("2006-01"); !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out
}

// within is the part of the days that lies in the month.
func within(from, to time.Time, month *string) (time.Time, time.Time) {
	if month == nil {
		return from, to
	}
	for from.Format("2006-01") != *month {
		from = from.AddDate(0, 0, 1)
	}
	for to.Format("2006-01") != *month {
		to = to.AddDate(0, 0, -1)
	}
	return from, to
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// answerOf is a reply in the terms of the model.
func answerOf(s *reportingv1.WorkSummary) answer {
	out := answer{Total: countsOf(s.GetTotal()), Groups: map[key]counts{}}
	for _, g := range s.GetGroups() {
		out.Groups[key{g.GetStationId(), g.GetMonth(), g.GetDomain()}] = countsOf(g.GetMeasures())
	}
	return out
}

func countsOf(m *reportingv1.WorkMeasures) counts {
	out := counts{}
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if n := int32(m.ProtoReflect().Get(fields.Get(i)).Int()); n != 0 {
			out[fields.Get(i).JSONName()] = n
		}
	}
	return out
}

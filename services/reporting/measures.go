package reporting

import (
	"fmt"
	"strings"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/facts"
)

// figure is a field of WorkMeasures and the facts from which it is counted.
type figure struct {
	name     string // JSON name of the field
	measure  facts.Measure
	distinct bool // counts households rather than amounts
}

// figures are in the order of the fields of WorkMeasures.
var figures = []figure{
	{name: "stations", measure: facts.Stations},
	{name: "householdsVisited", measure: facts.HomeVisit, distinct: true},
	{name: "homeVisits", measure: facts.HomeVisit},
	{name: "cases", measure: facts.Case},
	{name: "caseSessions", measure: facts.CaseSession},
	{name: "activities", measure: facts.Activity},
	{name: "groups", measure: facts.Group},
	{name: "volunteerTeams", measure: facts.VolunteerTeam},
	{name: "volunteers", measure: facts.Volunteer},
	{name: "personTimes", measure: facts.PersonTimes},
	{name: "needs", measure: facts.Need},
	{name: "needsMet", measure: facts.NeedMet},
	{name: "files", measure: facts.File},
}

// figureOf is the figure that a request names.
func figureOf(name string) (figure, error) {
	var names []string
	for _, f := range figures {
		if f.name == name {
			return f, nil
		}
		names = append(names, f.name)
	}
	return figure{}, apierr.InvalidField("measure", "must be one of %s", strings.Join(names, ", "))
}

// sourcePath is the REST path of a fact's source. Sessions have no path of their own: theirs is the list of the case or
// group to which they belong.
func (r sourceRow) sourcePath() string {
	switch r.SourceType {
	case facts.SourceCaseSessions:
		return fmt.Sprintf("/v1/cases/%s/sessions", r.ParentID)
	case facts.SourceGroupSessions:
		return fmt.Sprintf("/v1/groups/%s/sessions", r.ParentID)
	default:
		return fmt.Sprintf("/v1/%s/%s", r.SourceType, r.SourceID)
	}
}

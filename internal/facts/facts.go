// Package facts writes what the reports count. Every counted act appends facts in the transaction of the act itself,
// and a correction appends their negation: nothing is changed or deleted, and no total is stored.
package facts

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"circle15.dev/internal/tenantdb"
)

// Measure is what a fact counts. Amounts of different measures have different units and are never added.
type Measure string

// The measures of service_facts. The last three below are stocks: they are appended with +1 when the thing comes into
// being and -1 on the day after its last, and are summed up to a day. The others are flows, summed over a period.
const (
	HomeVisit   Measure = "home_visit"   // 户次: a completed visit at home
	Case        Measure = "case"         // 个: a case opened
	CaseSession Measure = "case_session" // 节: a case session held
	Activity    Measure = "activity"     // 场: an activity held
	Group       Measure = "group"        // 个: a group opened
	PersonTimes Measure = "person_times" // 人次: persons served, each time anew
	Need        Measure = "need"         // a need recorded
	NeedMet     Measure = "need_met"     // a need met
	File        Measure = "file"         // a service file (服务档案) built

	Stations      Measure = "stations"       // 社工站: a station opened or closed
	VolunteerTeam Measure = "volunteer_team" // 个: a volunteer team founded or dissolved
	Volunteer     Measure = "volunteer"      // 人: a volunteer registered or withdrawn
)

// The collections whose rows are counted, as in their REST paths.
const (
	SourceStations       = "stations"
	SourceVisits         = "visits"
	SourceCases          = "cases"
	SourceCaseSessions   = "caseSessions"
	SourceActivities     = "activities"
	SourceGroups         = "groups"
	SourceGroupSessions  = "groupSessions"
	SourceVolunteerTeams = "volunteerTeams"
	SourceVolunteers     = "volunteers"
	SourceNeeds          = "needs"
	SourceServiceFiles   = "serviceFiles"
)

var (
	flows  = []Measure{HomeVisit, Case, CaseSession, Activity, Group, PersonTimes, Need, NeedMet, File}
	stocks = []Measure{Stations, VolunteerTeam, Volunteer}

	sources = []string{
		SourceStations, SourceVisits, SourceCases, SourceCaseSessions, SourceActivities, SourceGroups, SourceGroupSessions,
		SourceVolunteerTeams, SourceVolunteers, SourceNeeds, SourceServiceFiles,
	}
)

// Stock says whether the measure is summed up to a day (what is in being) rather than over a period (what was done).
func (m Measure) Stock() bool { return slices.Contains(stocks, m) }

func (m Measure) known() bool { return m.Stock() || slices.Contains(flows, m) }

// Fact is one counted act, or one part of it.
type Fact struct {
	Measure    Measure
	Date       time.Time // the day on which it counts, midnight UTC
	Station    uuid.UUID
	Staff      *uuid.UUID
	Household  *uuid.UUID
	Resident   *uuid.UUID
	Domain     string // service domain code; empty for what belongs to none
	Amount     int32  // in the measure's unit; positive, except that a stock that has ended counts -1
	SourceType string // the collection of the source row: one of the Source constants
	SourceID   uuid.UUID
}

func (f Fact) check() error {
	switch {
	case !f.Measure.known():
		return fmt.Errorf("fact of unknown measure %q", f.Measure)
	case f.Amount == 0, f.Amount < 0 && !f.Measure.Stock():
		return fmt.Errorf("fact %s of amount %d", f.Measure, f.Amount)
	case f.Date.IsZero():
		return fmt.Errorf("fact %s without a date", f.Measure)
	case f.Measure == HomeVisit && f.Household == nil:
		return fmt.Errorf("fact %s without a household", f.Measure)
	case !slices.Contains(sources, f.SourceType):
		return fmt.Errorf("fact %s of unknown source type %q", f.Measure, f.SourceType)
	}
	return nil
}

var insertFact = tenantdb.SQL(`
	INSERT INTO {tenant}.service_facts
		(measure, fact_date, station_id, staff_id, household_id, resident_id, domain, amount, source_type, source_id)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`)

// Append adds the facts of an act to its transaction. They are queued: they travel with the transaction's next
// statement or its commit, and a database error surfaces there. The error returned here says that a fact is not one.
func Append(_ context.Context, tx *tenantdb.Tx, fs ...Fact) error {
	for _, f := range fs {
		if err := f.check(); err != nil {
			return err
		}
	}
	for _, f := range fs {
		tx.Queue(insertFact, string(f.Measure), f.Date, f.Station, f.Staff, f.Household, f.Resident, f.Domain, f.Amount,
			f.SourceType, f.SourceID)
	}
	return nil
}

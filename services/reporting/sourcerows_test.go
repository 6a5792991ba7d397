package reporting_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	reportingv1 "circle15.dev/api/reporting/v1"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
)

// of is the request for the rows of a figure in the summer of 2021.
func of(measure string) *reportingv1.ListSourceRowsRequest {
	return &reportingv1.ListSourceRowsRequest{Measure: measure, From: "2021-06-01", To: "2021-08-31"}
}

func TestEveryFigureOfTheContractHasSourceRowsUnderItsName(t *testing.T) {
	c := newCity(t)
	for _, name := range figuresInOrder() {
		if _, err := c.ListSourceRows(c.bureau, of(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"home_visits", "visits", ""} {
		_, err := c.ListSourceRows(c.bureau, of(name))
		wantField(t, err, "measure")
		for _, known := range figuresInOrder() {
			if err == nil || !strings.Contains(err.Error(), known) {
				t.Errorf("%q: %v does not name %s", name, err, known)
			}
		}
	}
}

func TestACorrectionShowsBothItsRows(t *testing.T) {
	c := newCity(t)
	mistake, visit := fact(facts.HomeVisit, c.East, "2021-06-01"), fact(facts.HomeVisit, c.East, "2021-06-02")
	c.append(t, mistake, visit)
	c.reverse(t, mistake.SourceID)
	rows, err := c.rows(c.bureau, of("homeVisits"))
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Source, Path, Date string
		Amount             int32
		Reversal           bool
	}
	got := make([]row, 0, len(rows))
	for _, r := range rows {
		got = append(got, row{r.GetSourceId(), r.GetSourcePath(), r.GetFactDate(), r.GetAmount(), r.GetReversal()})
	}
	want := []row{
		{mistake.SourceID.String(), "/v1/visits/" + mistake.SourceID.String(), "2021-06-01", 1, false},
		{visit.SourceID.String(), "/v1/visits/" + visit.SourceID.String(), "2021-06-02", 1, false},
		{mistake.SourceID.String(), "/v1/visits/" + mistake.SourceID.String(), "2021-06-01", -1, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestADistinctHouseholdShowsItsFirstVisitThatStands(t *testing.T) {
	c := newCity(t)
	mistake, later := fact(facts.HomeVisit, c.East, "2021-06-01"), fact(facts.HomeVisit, c.East, "2021-07-02")
	first, before := fact(facts.HomeVisit, c.East, "2021-07-01"), fact(facts.HomeVisit, c.East, "2021-05-01")
	other := fact(facts.HomeVisit, c.West, "2021-08-01")
	c.append(t, mistake, later, first, other, before)
	c.reverse(t, mistake.SourceID)
	req := of("householdsVisited")
	req.PageSize = 1
	rows, err := c.rows(c.bureau, req)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, 0, len(rows))
	for _, r := range rows {
		if r.GetAmount() != 1 || r.GetReversal() {
			t.Errorf("row %v", r)
		}
		got = append(got, r.GetSourceId())
	}
	if diff := cmp.Diff([]string{first.SourceID.String(), other.SourceID.String()}, got); diff != "" {
		t.Errorf("visits (-want +got):\n%s", diff)
	}
}

func TestTheRowsOfAStockGoBackToItsBeginning(t *testing.T) {
	c := newCity(t)
	c.append(t, fact(facts.Stations, c.East, "2019-01-01"), fact(facts.Stations, c.West, "2021-07-31"),
		fact(facts.Stations, c.West, "2021-09-01"))
	for month, want := range map[string]int{"": 2, "2021-06": 1, "2021-07": 2} {
		req := of("stations")
		req.Month = month
		rows, err := c.rows(c.bureau, req)
		if err != nil || len(rows) != want {
			t.Errorf("month %q: %d rows, error %v; want %d", month, len(rows), err, want)
		}
	}
}

var (
	insertCase = tenantdb.SQL(`INSERT INTO {tenant}.cases (id, station_id, household_id, resident_id, staff_id, domain, title,
			presenting_problem, stage, opened_date, created_by)
		VALUES ($1, $2, $3, $4, $5, 'child_welfare', 'Tongtong', 'school', 'INTAKE', '2021-06-01', 'test')`)
	insertCaseSession = tenantdb.SQL(`INSERT INTO {tenant}.case_sessions (id, station_id, case_id, staff_id, number, session_date,
			duration_minutes, persons_served, record, created_by)
		VALUES ($1, $2, $3, $4, 1, '2021-06-02', 60, 1, 'r', 'test')`)
	insertGroup = tenantdb.SQL(`INSERT INTO {tenant}.groups (id, station_id, staff_id, display_name, domain, stage, opened_date, created_by)
		VALUES ($1, $2, $3, '耆才展能', 'elderly_services', 'PREPARATION', '2021-06-01', 'test')`)
	insertGroupSession = tenantdb.SQL(`INSERT INTO {tenant}.group_sessions (id, station_id, group_id, staff_id, number, theme,
			session_date, duration_minutes, created_by)
		VALUES ($1, $2, $3, $4, 1, 't', '2021-06-02', 60, 'test')`)
)

func TestTheRowsOfASessionLeadToItsCaseOrGroup(t *testing.T) {
	c := newCity(t)
	caseID, groupID, caseSession, groupSession := ids.New(), ids.New(), ids.New(), ids.New()
	station, worker := uuid.MustParse(c.East.ID), uuid.MustParse(c.East.Worker)
	inCase, inGroup := fact(facts.PersonTimes, c.East, "2021-06-02"), fact(facts.PersonTimes, c.East, "2021-06-02")
	inCase.SourceType, inCase.SourceID = facts.SourceCaseSessions, caseSession
	inGroup.SourceType, inGroup.SourceID = facts.SourceGroupSessions, groupSession
	err := c.DB.Write(c.bureau, func(ctx context.Context, tx *tenantdb.Tx) error {
		tx.Queue(insertCase, caseID, station, uuid.MustParse(c.East.Household), uuid.MustParse(c.East.Child), worker)
		tx.Queue(insertCaseSession, caseSession, station, caseID, worker)
		tx.Queue(insertGroup, groupID, station, worker)
		tx.Queue(insertGroupSession, groupSession, station, groupID, worker)
		return facts.Append(ctx, tx, inCase, inGroup)
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := c.rows(c.bureau, of("personTimes"))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, 0, len(rows))
	for _, r := range rows {
		got = append(got, r.GetSourcePath())
	}
	want := []string{"/v1/cases/" + caseID.String() + "/sessions", "/v1/groups/" + groupID.String() + "/sessions"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

func TestRowsStayInsideTheScopeAndTheFilter(t *testing.T) {
	c := newCity(t)
	child := fact(facts.Need, c.East, "2021-06-01")
	child.Domain = "child_welfare"
	c.append(t, child, fact(facts.Need, c.East, "2021-07-01"), fact(facts.Need, c.West, "2021-07-01"))
	east := authz.WithScope(c.bureau, authz.Scope{Level: authz.LevelStation, Stations: []uuid.UUID{uuid.MustParse(c.East.ID)}})
	none := authz.WithScope(c.bureau, authz.Scope{})
	empty := ""
	type request = reportingv1.ListSourceRowsRequest
	for name, r := range map[string]struct {
		ctx    context.Context
		change func(*request)
		want   int
	}{
		"the tenant":             {ctx: c.bureau, want: 3},
		"the own station":        {ctx: east, want: 2},
		"no scope at all":        {ctx: none, want: 0},
		"one station":            {ctx: c.bureau, change: func(r *request) { r.StationId = c.West.ID }, want: 1},
		"one month":              {ctx: c.bureau, change: func(r *request) { r.Month = "2021-07" }, want: 2},
		"one domain":             {ctx: c.bureau, change: func(r *request) { r.Domain = &child.Domain }, want: 1},
		"what belongs to none":   {ctx: c.bureau, change: func(r *request) { r.Domain = &empty }, want: 2},
		"one day, ends included": {ctx: c.bureau, change: func(r *request) { r.From, r.To = "2021-07-01", "2021-07-01" }, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			req := of("needs")
			if r.change != nil {
				r.change(req)
			}
			rows, err := c.rows(r.ctx, req)
			if err != nil || len(rows) != r.want {
				t.Errorf("%d rows, error %v; want %d", len(rows), err, r.want)
			}
		})
	}
}

func TestADrillDownThatCannotBeAnsweredNamesTheField(t *testing.T) {
	c := newCity(t)
	west := authz.WithScope(c.bureau, authz.Scope{Level: authz.LevelStation, Stations: []uuid.UUID{uuid.MustParse(c.West.ID)}})
	for name, r := range map[string]struct {
		ctx    context.Context
		change func(*reportingv1.ListSourceRowsRequest)
		field  string
	}{
		"no calendar day":        {c.bureau, func(r *reportingv1.ListSourceRowsRequest) { r.From = "2021-06-31" }, "from"},
		"ends before it begins":  {c.bureau, func(r *reportingv1.ListSourceRowsRequest) { r.To = "2021-05-31" }, "to"},
		"no month":               {c.bureau, func(r *reportingv1.ListSourceRowsRequest) { r.Month = "2021-13" }, "month"},
		"a month outside":        {c.bureau, func(r *reportingv1.ListSourceRowsRequest) { r.Month = "2021-09" }, "month"},
		"unknown station":        {c.bureau, func(r *reportingv1.ListSourceRowsRequest) { r.StationId = ids.New().String() }, "stationId"},
		"a station out of scope": {west, func(r *reportingv1.ListSourceRowsRequest) { r.StationId = c.East.ID }, "stationId"},
		"a forged page token":    {c.bureau, func(r *reportingv1.ListSourceRowsRequest) { r.PageToken = "AAAA" }, "pageToken"},
	} {
		t.Run(name, func(t *testing.T) {
			req := of("homeVisits")
			r.change(req)
			_, err := c.ListSourceRows(r.ctx, req)
			wantField(t, err, r.field)
		})
	}
}

func TestAPageTokenServesItsOwnFilterAlone(t *testing.T) {
	c := newCity(t)
	c.append(t, fact(facts.Need, c.East, "2021-06-01"), fact(facts.Need, c.East, "2021-06-02"))
	req := of("needs")
	req.PageSize = 1
	reply, err := c.ListSourceRows(c.bureau, req)
	if err != nil || reply.GetNextPageToken() == "" {
		t.Fatalf("reply %v, error %v", reply, err)
	}
	req.PageToken = reply.GetNextPageToken()
	empty := ""
	req.Domain = &empty // absent and empty are two filters
	_, err = c.ListSourceRows(c.bureau, req)
	wantField(t, err, "pageToken")
}

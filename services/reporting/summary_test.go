package reporting_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	reportingv1 "circle15.dev/api/reporting/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
	"circle15.dev/services/internal/testenv/world"
)

// figuresInOrder are the JSON names of the contract's figures.
func figuresInOrder() []string {
	fields := (&reportingv1.WorkMeasures{}).ProtoReflect().Descriptor().Fields()
	out := make([]string, 0, fields.Len())
	for i := range fields.Len() {
		out = append(out, fields.Get(i).JSONName())
	}
	return out
}

func TestAHouseholdVisitedInTwoMonthsIsOneInTheTotalAndOneInEachMonth(t *testing.T) {
	c := newCity(t)
	c.append(t, fact(facts.HomeVisit, c.East, "2021-05-31"), fact(facts.HomeVisit, c.East, "2021-06-01"),
		fact(facts.HomeVisit, c.East, "2021-06-02"))
	reply, err := c.GetWorkSummary(c.bureau, &reportingv1.GetWorkSummaryRequest{
		From: "2021-05-01", To: "2021-06-30", GroupBy: []string{"month"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := answer{
		Total: counts{"householdsVisited": 1, "homeVisits": 3},
		Groups: map[key]counts{
			{Month: "2021-05"}: {"householdsVisited": 1, "homeVisits": 1},
			{Month: "2021-06"}: {"householdsVisited": 1, "homeVisits": 2},
		},
	}
	if diff := cmp.Diff(want, answerOf(reply)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestEveryMonthShowsTheStocksAtItsEnd(t *testing.T) {
	c := newCity(t)
	dissolved := fact(facts.VolunteerTeam, c.East, "2021-07-15")
	dissolved.Amount = -1
	c.append(t, fact(facts.Stations, c.East, "2020-12-01"), fact(facts.VolunteerTeam, c.East, "2021-05-31"), dissolved,
		fact(facts.Stations, c.West, "2021-08-20"))
	reply, err := c.GetWorkSummary(c.bureau, &reportingv1.GetWorkSummaryRequest{
		From: "2021-05-10", To: "2021-08-19", GroupBy: []string{"month"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := answer{
		Total: counts{"stations": 1},
		Groups: map[key]counts{
			{Month: "2021-05"}: {"stations": 1, "volunteerTeams": 1},
			{Month: "2021-06"}: {"stations": 1, "volunteerTeams": 1},
			{Month: "2021-07"}: {"stations": 1},
			{Month: "2021-08"}: {"stations": 1}, // the period ends before the second is opened
		},
	}
	if diff := cmp.Diff(want, answerOf(reply)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestGroupsNameTheirStationAndComeInOrder(t *testing.T) {
	c := newCity(t)
	c.append(t, fact(facts.File, c.West, "2021-06-01"), fact(facts.File, c.East, "2021-07-01"), fact(facts.File, c.East, "2021-06-01"))
	reply, err := c.GetWorkSummary(c.bureau, &reportingv1.GetWorkSummaryRequest{
		From: "2021-06-01", To: "2021-07-31", GroupBy: []string{"station", "month"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, 0, len(reply.GetGroups()))
	for _, g := range reply.GetGroups() {
		got = append(got, strings.Join([]string{g.GetDivisionCode(), g.GetStationName(), g.GetMonth()}, " "))
	}
	want := []string{"460107001 社工站 2021-06", "460107001 社工站 2021-07", "460107002 社工站 2021-06"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestAnEmptyPeriodIsAllZero(t *testing.T) {
	c := newCity(t)
	for _, ctx := range []context.Context{c.bureau, c.analyst} {
		reply, err := c.GetWorkSummary(ctx, &reportingv1.GetWorkSummaryRequest{From: "2021-05-01", To: "2021-05-01", GroupBy: []string{"domain"}})
		if err != nil || len(countsOf(reply.GetTotal())) != 0 || reply.GetTotal() == nil || len(reply.GetGroups()) != 0 {
			t.Errorf("report %v, error %v", reply, err)
		}
	}
}

func TestARequestThatCannotBeAnsweredNamesTheField(t *testing.T) {
	c := newCity(t)
	west := authz.WithScope(c.bureau, authz.Scope{Level: authz.LevelStation, Stations: []uuid.UUID{uuid.MustParse(c.West.ID)}})
	nowhere := world.NewID()
	for name, r := range map[string]struct {
		ctx                      context.Context
		from, to, group, station string
		field                    string
	}{
		"no calendar day":                {from: "2021-02-29", to: "2021-03-01", field: "from"},
		"no last day":                    {from: "2021-02-01", field: "to"},
		"ends before it begins":          {from: "2021-05-02", to: "2021-05-01", field: "to"},
		"longer than ten years":          {from: "2011-05-01", to: "2021-05-01", field: "to"},
		"unknown key":                    {from: "2021-05-01", to: "2021-05-01", group: "staff", field: "groupBy"},
		"no id":                          {from: "2021-05-01", to: "2021-05-01", station: "east", field: "stationId"},
		"unknown station":                {from: "2021-05-01", to: "2021-05-01", station: nowhere, field: "stationId"},
		"unknown station, aggregates":    {ctx: c.analyst, from: "2021-05-01", to: "2021-05-01", station: nowhere, field: "stationId"},
		"a station outside of the scope": {ctx: west, from: "2021-05-01", to: "2021-05-01", station: c.East.ID, field: "stationId"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := r.ctx
			if ctx == nil {
				ctx = c.bureau
			}
			req := &reportingv1.GetWorkSummaryRequest{From: r.from, To: r.to, StationId: r.station}
			if r.group != "" {
				req.GroupBy = []string{r.group}
			}
			_, err := c.GetWorkSummary(ctx, req)
			wantField(t, err, r.field)
		})
	}
	if _, err := c.GetWorkSummary(c.bureau, &reportingv1.GetWorkSummaryRequest{From: "2011-05-01", To: "2021-04-30"}); err != nil {
		t.Errorf("ten years: %v", err)
	}
}

func TestAFigureThatDoesNotFitIsRefusedRatherThanCut(t *testing.T) {
	c := newCity(t)
	much := []facts.Fact{fact(facts.PersonTimes, c.East, "2021-05-01"), fact(facts.PersonTimes, c.East, "2021-05-02")}
	much[0].Amount, much[1].Amount = 1<<31-1, 1
	c.append(t, much...)
	_, err := c.GetWorkSummary(c.bureau, &reportingv1.GetWorkSummaryRequest{From: "2021-05-01", To: "2021-05-02"})
	wantField(t, err, "to")
	reply, err := c.GetWorkSummary(c.bureau, &reportingv1.GetWorkSummaryRequest{From: "2021-05-01", To: "2021-05-01"})
	if err != nil || reply.GetTotal().GetPersonTimes() != 1<<31-1 {
		t.Errorf("report %v, error %v", reply, err)
	}
}

// connect is a session of a login role or, with the superuser's URL, of anybody.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

var (
	countFacts      = tenantdb.SQL(`SELECT count(*) FROM {tenant}.service_facts`)
	summaryOfCities = `SELECT home_visits FROM %s.work_summary(p_from => '2021-05-01', p_to => '2021-05-31',
		p_by_station => false, p_by_month => false, p_by_domain => false, p_stations => NULL)`
)

func TestTheAggregateRoleReadsTheSummaryAndNotOneTable(t *testing.T) {
	c := newCity(t)
	c.append(t, fact(facts.HomeVisit, c.East, "2021-05-01"))
	err := c.DB.Aggregate(c.bureau, func(ctx context.Context, tx *tenantdb.Tx) error {
		_, err := tenantdb.One(ctx, tx, pgx.RowTo[int64], countFacts)
		return err
	})
	if err == nil {
		t.Error("a table was read through DB.Aggregate")
	}

	conn := connect(t, testenv.Provisioned(t).AppURL)
	schema := pgx.Identifier{c.Tenant.Schema()}.Sanitize()
	if _, err := conn.Exec(t.Context(), "SET ROLE circle15_aggregate"); err != nil {
		t.Fatal(err)
	}
	var visits int64
	if err := conn.QueryRow(t.Context(), strings.ReplaceAll(summaryOfCities, "%s", schema)).Scan(&visits); err != nil || visits != 1 {
		t.Errorf("the summary: %d, %v", visits, err)
	}
	tables, err := pgx.CollectRows(must(connect(t, testenv.Provisioned(t).SuperuserURL).Query(t.Context(),
		"SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'p', 'S') AND relnamespace = $1::regnamespace", schema)),
		pgx.RowTo[string])
	if err != nil || len(tables) < 25 {
		t.Fatalf("tables %v, error %v", tables, err)
	}
	for _, table := range tables {
		_, err := conn.Exec(t.Context(), "SELECT FROM "+schema+"."+pgx.Identifier{table}.Sanitize())
		if err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("reading %s: %v, want permission denied (42501)", table, err)
		}
	}
	functions, err := pgx.CollectRows(must(connect(t, testenv.Provisioned(t).SuperuserURL).Query(t.Context(),
		`SELECT proname::text FROM pg_proc
		WHERE pronamespace = $1::regnamespace AND has_function_privilege('circle15_aggregate', oid, 'EXECUTE')`, schema)), pgx.RowTo[string])
	if diff := cmp.Diff([]string{"work_summary"}, functions); err != nil || diff != "" {
		t.Errorf("functions it may execute (-want +got):\n%s (%v)", diff, err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// work_summary runs with the rights of the schema's owner, so a caller's temporary table must not stand in for the facts.
func TestATemporaryTableDoesNotStandInForTheFacts(t *testing.T) {
	c := newCity(t)
	c.append(t, fact(facts.HomeVisit, c.East, "2021-05-01"))
	conn := connect(t, testenv.Provisioned(t).SuperuserURL)
	schema := pgx.Identifier{c.Tenant.Schema()}.Sanitize()
	if _, err := conn.Exec(t.Context(), "CREATE TEMPORARY TABLE service_facts (LIKE "+schema+".service_facts)"); err != nil {
		t.Fatal(err)
	}
	var visits int64
	if err := conn.QueryRow(t.Context(), strings.ReplaceAll(summaryOfCities, "%s", schema)).Scan(&visits); err != nil || visits != 1 {
		t.Errorf("the summary: %d, %v", visits, err)
	}
}

func TestWhoReadsAggregatesOrTheirOwnRecordsGetsNoRow(t *testing.T) {
	c := newCity(t)
	own := authz.WithScope(c.bureau, authz.Scope{
		Level: authz.LevelOwn, Subject: "worker", Stations: []uuid.UUID{uuid.MustParse(c.East.ID)},
	})
	for name, ctx := range map[string]context.Context{"aggregates": c.analyst, "own records": own} {
		_, err := c.ListSourceRows(ctx, &reportingv1.ListSourceRowsRequest{Measure: "homeVisits", From: "2021-05-01", To: "2021-05-31"})
		if apierr.KindOf(err) != apierr.Denied {
			t.Errorf("%s: error %v, want a denial", name, err)
		}
	}
}

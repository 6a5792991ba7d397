package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"

	activitiesv1 "circle15.dev/api/activities/v1"
	casesv1 "circle15.dev/api/cases/v1"
	registryv1 "circle15.dev/api/registry/v1"
	reportingv1 "circle15.dev/api/reporting/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/tenant"
	"circle15.dev/services/demo"
	"circle15.dev/services/demo/haikou"
)

const (
	city     tenant.Name = haikou.Tenant
	province tenant.Name = haikou.Province
)

// TestHaikou imports the demo data through REST, stopped and begun again several times, and reads every figure of
// 海南日报, 2021-10-02, from the reports.
func TestHaikou(t *testing.T) {
	provisionHaikou(t)
	p := boot(t)
	importInPieces(t, p)
	bureau, analyst := overREST(t, p, "demo-bureau_admin", city), overREST(t, p, "demo-province_analyst", city, province)

	t.Run("the report has the seven figures of the paper", func(t *testing.T) { theSevenFigures(t, bureau) })
	t.Run("the two stations have the paper's details", func(t *testing.T) { theTwoStations(t, bureau) })
	t.Run("groups add up to the total", func(t *testing.T) { groupsAddUp(t, bureau) })
	t.Run("source rows add up to each figure", func(t *testing.T) { sourceRowsAddUp(t, bureau) })
	t.Run("source rows lead to their sources", func(t *testing.T) { sourceRowsLeadToTheirSources(t, bureau) })
	t.Run("a day before or after counts otherwise", func(t *testing.T) { thePeriodIsInclusive(t, bureau) })
	t.Run("a province analyst has the sums and no row", func(t *testing.T) { sumsWithoutRows(t, bureau, analyst) })
	t.Run("a social worker sees the own station", func(t *testing.T) {
		theOwnStation(t, bureau, overREST(t, p, haikou.Subject(haikou.Binjiang, 2), city))
	})
	t.Run("the story of Tongtong can be read", func(t *testing.T) { theStoryCanBeRead(t, bureau) })
	t.Run("corrected records stand as corrected", func(t *testing.T) { correctionsStand(t, bureau) })
}

// importInPieces stops the import at random moments, and begins again from a plan made anew, as another process would.
func importInPieces(t *testing.T, p *running) {
	t.Helper()
	importer := &demo.Importer{
		Base: p.rest, Token: p.token(t, "demo-importer", city), SecurityToken: p.token(t, "demo-security_admin", city),
	}
	pieces := 0
	for {
		plan, err := haikou.New(haikou.DefaultSeed)
		if err != nil {
			t.Fatal(err)
		}
		if pieces == 3 {
			importer.Progress = nil
			if err := importer.Run(t.Context(), plan); err != nil {
				t.Fatal(err)
			}
			if done, err := importer.Imported(t.Context(), haikou.DefaultSeed); !done || err != nil {
				t.Fatalf("after the import: %v, %v", done, err)
			}
			return
		}
		ctx, stop := context.WithCancel(t.Context())
		importer.Progress = &stopper{after: int64(500 + rand.N(plan.Calls()-1000)), stop: stop}
		if err := importer.Run(ctx, plan); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped: %v", err)
		}
		stop()
		if done, err := importer.Imported(t.Context(), haikou.DefaultSeed); done || err != nil {
			t.Fatalf("in the middle of the import: %v, %v", done, err)
		}
		pieces++
	}
}

// stopper stops an import after some requests.
type stopper struct {
	after int64
	done  atomic.Int64
	stop  func()
}

func (s *stopper) Begin(string, int) {}
func (s *stopper) End()              {}
func (s *stopper) Done() {
	if s.done.Add(1) == s.after {
		s.stop()
	}
}

// period is that of the paper.
func period(groupBy ...string) *reportingv1.GetWorkSummaryRequest {
	return &reportingv1.GetWorkSummaryRequest{From: "2021-05-01", To: "2021-10-01", GroupBy: groupBy}
}

func summary(t *testing.T, c caller, request *reportingv1.GetWorkSummaryRequest) *reportingv1.WorkSummary {
	t.Helper()
	return ask(t, c, request, &reportingv1.WorkSummary{})
}

func theSevenFigures(t *testing.T, bureau caller) {
	type figures struct{ Stations, HouseholdsVisited, Cases, Activities, VolunteerTeams, Volunteers, PersonTimes int32 }
	m := summary(t, bureau, period()).GetTotal()
	got := figures{
		m.GetStations(), m.GetHouseholdsVisited(), m.GetCases(), m.GetActivities(), m.GetVolunteerTeams(), m.GetVolunteers(), m.GetPersonTimes(),
	}
	if diff := cmp.Diff(figures{21, 2518, 42, 183, 21, 851, 28332}, got); diff != "" {
		t.Error(diff)
	}
	t.Logf("%v", m)
}

func theTwoStations(t *testing.T, bureau caller) {
	for code, want := range map[string]struct {
		head         string
		needs, files func(int32) bool
	}{
		haikou.Binjiang: {"林婵", func(n int32) bool { return n == 180 }, func(n int32) bool { return n == 56 }},
		haikou.Guoxing:  {"伍燕浪", func(int32) bool { return true }, func(n int32) bool { return n > 350 }},
	} {
		station := stationOf(t, bureau, code)
		request := period()
		request.StationId = station.GetId()
		m := summary(t, bureau, request).GetTotal()
		if !want.needs(m.GetNeeds()) || !want.files(m.GetFiles()) || m.GetStations() != 1 {
			t.Errorf("%s: %v", station.GetDisplayName(), m)
		}
		staff := ask(t, bureau, &registryv1.ListStaffRequest{StationId: station.GetId()}, &registryv1.ListStaffResponse{}).GetStaff()
		heads := slices.DeleteFunc(slices.Clone(staff), func(s *registryv1.Staff) bool {
			return s.GetPosition() != registryv1.StaffPosition_STAFF_POSITION_HEAD
		})
		if len(staff) != 3 || len(heads) != 1 || heads[0].GetName() != want.head || station.GetOpenedDate()[:7] != "2021-05" {
			t.Errorf("%s, opened %s, has the staff %v", station.GetDisplayName(), station.GetOpenedDate(), staff)
		}
	}
}

func stationOf(t *testing.T, c caller, code string) *registryv1.Station {
	t.Helper()
	found := ask(t, c, &registryv1.ListStationsRequest{DivisionCode: code}, &registryv1.ListStationsResponse{}).GetStations()
	if len(found) != 1 {
		t.Fatalf("%d stations of %s", len(found), code)
	}
	return found[0]
}

// groupsAddUp holds for what is done in a period, whatever it is grouped by. Distinct households are counted once in the
// total: a station's households are its own, but a household may be visited in several months and domains.
func groupsAddUp(t *testing.T, bureau caller) {
	total := figuresOf(summary(t, bureau, period()).GetTotal())
	for _, groupBy := range [][]string{{"station"}, {"month"}, {"domain"}, {"station", "month"}, {"station", "month", "domain"}} {
		sum := map[string]int32{}
		groups := summary(t, bureau, period(groupBy...)).GetGroups()
		for _, g := range groups {
			for name, n := range figuresOf(g.GetMeasures()) {
				sum[name] += n
			}
		}
		want := maps.Clone(total)
		for _, stock := range []string{"stations", "volunteerTeams", "volunteers"} {
			if len(groupBy) > 1 || groupBy[0] == "month" { // a stock is counted at the end of every month
				delete(want, stock)
				delete(sum, stock)
			}
		}
		if len(groupBy) > 1 || groupBy[0] != "station" {
			if sum["householdsVisited"] <= want["householdsVisited"] {
				t.Errorf("by %v: no household was visited twice", groupBy)
			}
			delete(want, "householdsVisited")
			delete(sum, "householdsVisited")
		}
		if diff := cmp.Diff(want, sum); diff != "" {
			t.Errorf("by %v in %d groups: %s", groupBy, len(groups), diff)
		}
	}
	if n := len(summary(t, bureau, period("station")).GetGroups()); n != 21 {
		t.Errorf("%d groups by station", n)
	}
	for _, g := range summary(t, bureau, period("month")).GetGroups() {
		if g.GetMonth() < "2021-05" || g.GetMonth() > "2021-10" {
			t.Errorf("a group of %s", g.GetMonth())
		}
	}
}

// figuresOf are the measures by their JSON names.
func figuresOf(m *reportingv1.WorkMeasures) map[string]int32 {
	figures := map[string]int32{}
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		figures[field.JSONName()] = int32(m.ProtoReflect().Get(field).Int())
	}
	return figures
}

func sourceRowsAddUp(t *testing.T, bureau caller) {
	for name, want := range figuresOf(summary(t, bureau, period()).GetTotal()) {
		rows := sourceRows(t, bureau, &reportingv1.ListSourceRowsRequest{Measure: name, From: "2021-05-01", To: "2021-10-01"})
		var sum int32
		net := map[string]int32{} // of each household
		for _, r := range rows {
			sum += r.GetAmount()
			net[r.GetHouseholdId()] += r.GetAmount()
		}
		if name == "householdsVisited" {
			sum = 0
			for _, n := range net {
				sum += min(n, 1)
			}
		}
		if sum != want {
			t.Errorf("%s is %d, but its %d source rows give %d", name, want, len(rows), sum)
		}
	}
	station := stationOf(t, bureau, haikou.Guoxing)
	for _, g := range summary(t, bureau, &reportingv1.GetWorkSummaryRequest{
		From: "2021-05-01", To: "2021-10-01", GroupBy: []string{"month", "domain"}, StationId: station.GetId(),
	}).GetGroups() {
		var sum int32
		for _, r := range sourceRows(t, bureau, &reportingv1.ListSourceRowsRequest{
			Measure: "personTimes", From: "2021-05-01", To: "2021-10-01", StationId: station.GetId(), Month: g.GetMonth(), Domain: new(g.GetDomain()),
		}) {
			sum += r.GetAmount()
		}
		if sum != g.GetMeasures().GetPersonTimes() {
			t.Errorf("%s %s: %d person-times, but source rows of %d", g.GetMonth(), g.GetDomain(), g.GetMeasures().GetPersonTimes(), sum)
		}
	}
}

// sourceRows reads all pages.
func sourceRows(t *testing.T, c caller, request *reportingv1.ListSourceRowsRequest) []*reportingv1.SourceRow {
	t.Helper()
	request = proto.CloneOf(request)
	request.PageSize = 500
	var rows []*reportingv1.SourceRow
	for {
		page := ask(t, c, request, &reportingv1.ListSourceRowsResponse{})
		rows = append(rows, page.GetSourceRows()...)
		if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
			return rows
		}
	}
}

// sourceRowsLeadToTheirSources reads some of the sources of every figure.
func sourceRowsLeadToTheirSources(t *testing.T, bureau caller) {
	for name := range figuresOf(&reportingv1.WorkMeasures{}) {
		page := ask(t, bureau, &reportingv1.ListSourceRowsRequest{
			Measure: name, From: "2021-05-01", To: "2021-10-01", PageSize: 20,
		}, &reportingv1.ListSourceRowsResponse{})
		for _, row := range page.GetSourceRows() {
			request, reply := sourceRequest(t, row)
			ask(t, bureau, request, reply)
			station := reply.ProtoReflect().Descriptor().Fields().ByName("station_id")
			if station != nil && reply.ProtoReflect().Get(station).String() != row.GetStationId() {
				t.Errorf("%s: the source %s belongs to another station", name, row.GetSourcePath())
			}
		}
	}
}

// sourceRequest asks for the source of a row by its path.
func sourceRequest(t *testing.T, row *reportingv1.SourceRow) (request, reply proto.Message) {
	t.Helper()
	id := row.GetSourceId()
	collection, rest, _ := strings.Cut(strings.TrimPrefix(row.GetSourcePath(), "/v1/"), "/")
	parent, _, nested := strings.Cut(rest, "/")
	switch {
	case collection == "cases" && nested:
		return &casesv1.ListCaseSessionsRequest{CaseId: parent}, &casesv1.ListCaseSessionsResponse{}
	case collection == "groups" && nested:
		return &activitiesv1.ListGroupSessionsRequest{GroupId: parent}, &activitiesv1.ListGroupSessionsResponse{}
	}
	switch collection {
	case "stations":
		return &registryv1.GetStationRequest{Id: id}, &registryv1.Station{}
	case "visits":
		return &visitsv1.GetVisitRequest{Id: id}, &visitsv1.Visit{}
	case "cases":
		return &casesv1.GetCaseRequest{Id: id}, &casesv1.Case{}
	case "activities":
		return &activitiesv1.GetActivityRequest{Id: id}, &activitiesv1.Activity{}
	case "groups":
		return &activitiesv1.GetGroupRequest{Id: id}, &activitiesv1.Group{}
	case "needs":
		return &registryv1.GetNeedRequest{Id: id}, &registryv1.Need{}
	case "serviceFiles":
		return &registryv1.GetServiceFileRequest{Id: id}, &registryv1.ServiceFile{}
	case "volunteerTeams":
		return &registryv1.GetVolunteerTeamRequest{Id: id}, &registryv1.VolunteerTeam{}
	case "volunteers":
		return &registryv1.GetVolunteerRequest{Id: id}, &registryv1.Volunteer{}
	}
	t.Fatalf("a source row leads to %q", row.GetSourcePath())
	return nil, nil
}

func thePeriodIsInclusive(t *testing.T, bureau caller) {
	visits := func(from, to string) int32 {
		return summary(t, bureau, &reportingv1.GetWorkSummaryRequest{From: from, To: to}).GetTotal().GetHomeVisits()
	}
	whole := visits("2021-05-01", "2021-10-01")
	if last := visits("2021-10-01", "2021-10-01"); last < 1 || visits("2021-05-01", "2021-09-30")+last != whole {
		t.Errorf("%d home visits on the last day, %d in all", last, whole)
	}
	if before, after := visits("2021-01-01", "2021-04-30"), visits("2021-10-02", "2021-12-31"); before+after != 0 {
		t.Errorf("%d home visits before the period, %d after it", before, after)
	}
	if m := summary(t, bureau, &reportingv1.GetWorkSummaryRequest{From: "2021-07-05", To: "2021-08-31"}).GetTotal(); m.GetVolunteerTeams() != 22 {
		t.Errorf("%d teams in the summer holidays, when the students' team served", m.GetVolunteerTeams())
	}
}

func sumsWithoutRows(t *testing.T, bureau, analyst caller) {
	for _, request := range []*reportingv1.GetWorkSummaryRequest{period(), period("station", "month", "domain")} {
		if diff := cmp.Diff(summary(t, bureau, request), summary(t, analyst, request), protocmp.Transform()); diff != "" {
			t.Errorf("the province reads otherwise: %s", diff)
		}
	}
	refused(t, analyst, &reportingv1.ListSourceRowsRequest{Measure: "cases", From: "2021-05-01", To: "2021-10-01"}, "PERMISSION_DENIED")
	for _, request := range []proto.Message{
		&registryv1.ListHouseholdsRequest{}, &registryv1.ListResidentsRequest{}, &casesv1.ListCasesRequest{}, &visitsv1.ListVisitsRequest{},
		&activitiesv1.ListActivitiesRequest{}, &registryv1.ListNeedsRequest{}, &registryv1.ListServiceFilesRequest{}, &registryv1.ListStaffRequest{},
	} {
		refused(t, analyst, request, "PERMISSION_DENIED")
	}
}

func theOwnStation(t *testing.T, bureau, worker caller) {
	station := stationOf(t, bureau, haikou.Binjiang)
	request := period()
	request.StationId = station.GetId()
	if diff := cmp.Diff(summary(t, bureau, request), summary(t, worker, period()), protocmp.Transform()); diff != "" {
		t.Errorf("the worker's report is not the station's: %s", diff)
	}
	for _, h := range ask(t, worker, &registryv1.ListHouseholdsRequest{PageSize: 500}, &registryv1.ListHouseholdsResponse{}).GetHouseholds() {
		if h.GetStationId() != station.GetId() {
			t.Fatalf("a household of %s", h.GetStationId())
		}
	}
	other := ask(t, bureau, &registryv1.ListHouseholdsRequest{
		StationId: stationOf(t, bureau, haikou.Guoxing).GetId(), PageSize: 1,
	}, &registryv1.ListHouseholdsResponse{}).GetHouseholds()[0]
	refused(t, worker, &registryv1.GetHouseholdRequest{Id: other.GetId()}, "NOT_FOUND")
}

func theStoryCanBeRead(t *testing.T, bureau caller) {
	station := stationOf(t, bureau, haikou.Binjiang)
	var told *casesv1.Case
	for _, c := range ask(t, bureau, &casesv1.ListCasesRequest{StationId: station.GetId()}, &casesv1.ListCasesResponse{}).GetCases() {
		if strings.Contains(c.GetTitle(), "童童") {
			told = c
		}
	}
	if told.GetStage() != casesv1.CaseStage_CASE_STAGE_CLOSURE || told.GetEvaluation().GetReflection() == "" {
		t.Fatalf("the case is %v", told)
	}
	need := ask(t, bureau, &registryv1.GetNeedRequest{Id: told.GetNeedIds()[0]}, &registryv1.Need{})
	if need.GetState() != registryv1.NeedState_NEED_STATE_MET || !strings.Contains(need.GetOutcome(), "琼山第九小学") {
		t.Errorf("the need is %v", need)
	}
	followUps := ask(t, bureau, &casesv1.ListFollowUpsRequest{CaseId: told.GetId()}, &casesv1.ListFollowUpsResponse{}).GetFollowUps()
	last := slices.MaxFunc(followUps, func(a, b *casesv1.FollowUp) int { return strings.Compare(a.GetFollowUpDate(), b.GetFollowUpDate()) })
	head := ask(t, bureau, &registryv1.GetStaffRequest{Id: last.GetStaffId()}, &registryv1.Staff{})
	if last.GetFollowUpDate() != "2021-10-01" || head.GetName() != "林婵" {
		t.Errorf("the last follow-up is %v by %s", last, head.GetName())
	}
	again := ask(t, bureau, &visitsv1.ListVisitsRequest{CaseId: told.GetId()}, &visitsv1.ListVisitsResponse{}).GetVisits()
	if len(again) != len(followUps) {
		t.Errorf("%d visits for %d follow-ups", len(again), len(followUps))
	}
	for _, v := range again {
		if v.GetFollowUpOf() != need.GetVisitId() {
			t.Errorf("the visit on %s follows up %q, not the first visit", v.GetVisitDate(), v.GetFollowUpOf())
		}
	}
	household := ask(t, bureau, &registryv1.GetHouseholdRequest{Id: told.GetHouseholdId()}, &registryv1.Household{})
	community := ask(t, bureau, &registryv1.GetCommunityRequest{Id: household.GetCommunityId()}, &registryv1.Community{})
	if household.GetHeadName() != "卓阿婆" || community.GetDisplayName() != "博桂社区" {
		t.Errorf("the household is %v in %s", household, community.GetDisplayName())
	}
}

// correctionsStand checks that the plan's wrong records were put right, of which the figures must show nothing.
func correctionsStand(t *testing.T, bureau caller) {
	void := ask(t, bureau, &visitsv1.ListVisitsRequest{State: visitsv1.VisitState_VISIT_STATE_VOID, PageSize: 500}, &visitsv1.ListVisitsResponse{}).GetVisits()
	if len(void) != 21 {
		t.Errorf("%d void visits", len(void))
	}
	var reversals int
	for _, r := range sourceRows(t, bureau, &reportingv1.ListSourceRowsRequest{Measure: "homeVisits", From: "2021-05-01", To: "2021-10-01"}) {
		if r.GetReversal() {
			reversals++
		}
	}
	if reversals < 21 {
		t.Errorf("%d reversals of home visits", reversals)
	}
	planned := ask(t, bureau, &visitsv1.ListVisitsRequest{
		State: visitsv1.VisitState_VISIT_STATE_PLANNED, PageSize: 500,
	}, &visitsv1.ListVisitsResponse{}).GetVisits()
	if len(planned) != 85 {
		t.Errorf("%d visits are planned", len(planned))
	}
	for _, v := range planned {
		if v.GetPlannedDate() <= "2021-10-01" {
			t.Errorf("visit %s is still planned for %s", v.GetId(), v.GetPlannedDate())
		}
	}
}

// replyOf makes an empty reply of the type.
func replyOf(t *testing.T, d protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		t.Fatal(fmt.Errorf("reply type: %w", err))
	}
	return kind.New().Interface()
}

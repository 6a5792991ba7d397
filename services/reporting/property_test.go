package reporting_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	reportingv1 "circle15.dev/api/reporting/v1"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
)

// history is a random course of acts and corrections, in the database and in the model. It goes on from check to check.
type history struct {
	city
	model
}

var drawnDay = rapid.Custom(func(t *rapid.T) time.Time {
	return day("2021-04-20").AddDate(0, 0, rapid.IntRange(0, 130).Draw(t, "days"))
})

// act does or corrects something.
func (h *history) act(t *rapid.T) {
	if len(h.model) > 0 && rapid.IntRange(0, 3).Draw(t, "correction") == 0 {
		source := rapid.SampledFrom(h.model).Draw(t, "taken back").SourceID
		h.reverse(t, source)
		h.model = slices.DeleteFunc(h.model, func(f facts.Fact) bool { return f.SourceID == source })
		return
	}
	fs := h.drawFacts(t)
	h.append(t, fs...)
	h.model = append(h.model, fs...)
}

// drawFacts is one act: one or two measures of one source, and for a stock perhaps its end.
func (h *history) drawFacts(t *rapid.T) []facts.Fact {
	measures := make([]facts.Measure, 0, len(figureNames))
	for m := range figureNames {
		measures = append(measures, m)
	}
	slices.Sort(measures)
	household := uuid.MustParse(rapid.SampledFrom([]string{
		h.East.Household, h.East.Neighbours, h.West.Household, h.West.Neighbours,
	}).Draw(t, "household"))
	f := facts.Fact{
		Measure: rapid.SampledFrom(measures).Draw(t, "measure"), Date: drawnDay.Draw(t, "date"),
		Station: uuid.MustParse(rapid.SampledFrom(h.stations()).Draw(t, "station")), Household: &household, Amount: 1,
		Domain:     rapid.SampledFrom([]string{"", "child_welfare", "elderly_services"}).Draw(t, "domain"),
		SourceType: facts.SourceVisits, SourceID: ids.New(),
	}
	out := []facts.Fact{f}
	switch {
	case f.Measure.Stock() && rapid.Bool().Draw(t, "ended"):
		f.Amount, f.Date = -1, f.Date.AddDate(0, 0, rapid.IntRange(0, 60).Draw(t, "lasted"))
		out = append(out, f)
	case f.Measure == facts.HomeVisit:
		f.Measure, f.Amount = facts.PersonTimes, rapid.Int32Range(1, 9).Draw(t, "persons")
		out = append(out, f)
	}
	return out
}

// ask draws a question, with who asks and the request that asks it.
func (h *history) ask(t *rapid.T) (context.Context, question, *reportingv1.GetWorkSummaryRequest) {
	q := question{from: drawnDay.Draw(t, "from"), stations: h.stations()}
	q.to = q.from.AddDate(0, 0, rapid.IntRange(0, 130).Draw(t, "length"))
	q.byStation = rapid.Bool().Draw(t, "by station")
	q.byMonth = rapid.Bool().Draw(t, "by month")
	q.byDomain = rapid.Bool().Draw(t, "by domain")
	req := &reportingv1.GetWorkSummaryRequest{From: q.from.Format(time.DateOnly), To: q.to.Format(time.DateOnly)}
	for name, asked := range map[string]bool{"station": q.byStation, "month": q.byMonth, "domain": q.byDomain} {
		if asked {
			req.GroupBy = append(req.GroupBy, name)
		}
	}
	ctx := h.bureau
	switch rapid.SampledFrom([]string{"bureau", "bureau of one", "station", "analyst", "analyst of one"}).Draw(t, "who") {
	case "bureau of one":
		req.StationId, q.stations = h.East.ID, []string{h.East.ID}
	case "station":
		ctx = authz.WithScope(ctx, authz.Scope{Level: authz.LevelStation, Stations: []uuid.UUID{uuid.MustParse(h.West.ID)}})
		q.stations = []string{h.West.ID}
	case "analyst":
		ctx = h.analyst
	case "analyst of one":
		ctx = h.analyst
		req.StationId, q.stations = h.West.ID, []string{h.West.ID}
	}
	return ctx, q, req
}

// drill checks that the source rows of a figure of a group (nil: of the total) add up to it.
func (h *history) drill(ctx context.Context, t *rapid.T, q question, group *key, figure string, want int32) {
	req := &reportingv1.ListSourceRowsRequest{
		Measure: figure, From: q.from.Format(time.DateOnly), To: q.to.Format(time.DateOnly),
		PageSize: rapid.SampledFrom([]int32{1, 7, 500}).Draw(t, "page"),
	}
	if len(q.stations) == 1 {
		req.StationId = q.stations[0]
	}
	if group != nil {
		req.Month = group.Month
		if q.byStation {
			req.StationId = group.Station
		}
		if q.byDomain {
			req.Domain = &group.Domain
		}
	}
	rows, err := h.rows(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	sum, last := int32(0), int64(0)
	for _, row := range rows {
		id, err := strconv.ParseInt(row.GetId(), 10, 64)
		if err != nil || id <= last {
			t.Fatalf("row %s follows row %d", row.GetId(), last)
		}
		last = id
		sum += row.GetAmount()
	}
	if sum != want {
		t.Fatalf("the rows of %s of %+v in %+v add up to %d, the figure is %d", figure, group, q, sum, want)
	}
}

func TestEveryReportIsWhatANaiveCountOfTheStandingActsGivesAndItsRowsAddUp(t *testing.T) {
	h := &history{city: newCity(t)}
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 10).Draw(t, "acts") {
			h.act(t)
		}
		ctx, q, req := h.ask(t)
		reply, err := h.GetWorkSummary(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		want := h.answer(q)
		if diff := cmp.Diff(want, answerOf(reply)); diff != "" {
			t.Fatalf("%+v (-model +report):\n%s", q, diff)
		}
		if authz.ScopeFrom(ctx).Level == authz.LevelAggregate {
			return
		}
		figure := rapid.SampledFrom(figuresInOrder()).Draw(t, "figure")
		h.drill(ctx, t, q, nil, figure, want.Total[figure])
		for k, group := range want.Groups {
			h.drill(ctx, t, q, &k, figure, group[figure])
		}
	})
}

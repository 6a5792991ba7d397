package reporting_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	reportingv1 "circle15.dev/api/reporting/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/testenv/world"
	"circle15.dev/services/reporting"
)

// city is a tenant of two stations with its reports.
type city struct {
	*world.World
	*reporting.Service
	bureau, analyst context.Context
}

func newCity(t testing.TB) city {
	w := world.New(t)
	c := city{World: w, Service: reporting.New(w.DB, w.Pages), bureau: w.Bureau(t)}
	c.analyst = authz.WithScope(c.bureau, authz.Scope{Level: authz.LevelAggregate, Subject: "analyst"})
	return c
}

func (c city) stations() []string { return []string{c.East.ID, c.West.ID} }

// fact is one of a measure at a station, of a source of its own.
func fact(m facts.Measure, station world.Station, date string) facts.Fact {
	f := facts.Fact{
		Measure: m, Date: day(date), Station: uuid.MustParse(station.ID), Amount: 1,
		SourceType: facts.SourceVisits, SourceID: ids.New(),
	}
	if m == facts.HomeVisit {
		household := uuid.MustParse(station.Household)
		f.Household = &household
	}
	return f
}

func (c city) append(t interface{ Fatal(args ...any) }, fs ...facts.Fact) {
	err := c.DB.Write(c.bureau, func(ctx context.Context, tx *tenantdb.Tx) error { return facts.Append(ctx, tx, fs...) })
	if err != nil {
		t.Fatal(err)
	}
}

func (c city) reverse(t interface{ Fatal(args ...any) }, source uuid.UUID) {
	err := c.DB.Write(c.bureau, func(ctx context.Context, tx *tenantdb.Tx) error {
		return facts.Reverse(ctx, tx, facts.SourceVisits, source)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rows are all source rows of a request, page by page.
func (c city) rows(ctx context.Context, req *reportingv1.ListSourceRowsRequest) ([]*reportingv1.SourceRow, error) {
	var out []*reportingv1.SourceRow
	for {
		reply, err := c.ListSourceRows(ctx, req)
		if err != nil {
			return nil, err
		}
		out = append(out, reply.GetSourceRows()...)
		if req.PageToken = reply.GetNextPageToken(); req.GetPageToken() == "" {
			return out, nil
		}
	}
}

func day(s string) time.Time {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return d
}

// wantField checks that err is Invalid and names the field.
func wantField(t *testing.T, err error, field string) {
	t.Helper()
	var e *apierr.Error
	names := func(f apierr.Field) bool { return f.Name == field }
	if !errors.As(err, &e) || e.Kind != apierr.Invalid || !slices.ContainsFunc(e.Fields, names) {
		t.Errorf("error %v, want one about %s", err, field)
	}
}

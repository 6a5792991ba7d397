package reporting

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	reportingv1 "circle15.dev/api/reporting/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
)

// maxGroups bounds an answer: about 2 MB.
const maxGroups = 10000

// workSummary asks for one row more than an answer may have, beside the total.
var workSummary = tenantdb.SQL(`
	SELECT is_total, station_id, station_name, division_code, month, domain, stations, households_visited, home_visits, cases,
		case_sessions, activities, groups, volunteer_teams, volunteers, person_times, needs, needs_met, files
	FROM {tenant}.work_summary($1, $2, $3, $4, $5, $6) LIMIT $7`)

// summaryRow is a row of work_summary, by position.
type summaryRow struct {
	IsTotal                                 bool
	StationID                               *uuid.UUID
	StationName, DivisionCode               *string
	Month                                   *time.Time
	Domain                                  string
	Stations, HouseholdsVisited, HomeVisits int64
	Cases, CaseSessions, Activities, Groups int64
	VolunteerTeams, Volunteers              int64
	PersonTimes, Needs, NeedsMet, Files     int64
}

// summaryQuery is a validated GetWorkSummaryRequest.
type summaryQuery struct {
	period
	byStation, byMonth, byDomain bool
	stations                     []uuid.UUID // nil for all
}

// GetWorkSummary counts the measures of a period.
func (s *Service) GetWorkSummary(ctx context.Context, req *reportingv1.GetWorkSummaryRequest) (*reportingv1.WorkSummary, error) {
	q, err := summaryQueryOf(ctx, req)
	if err != nil {
		return nil, err
	}
	rows, err := s.summary(ctx, q)
	if apierr.KindOf(err) == apierr.Invalid && req.GetStationId() != "" {
		return nil, unknownStation() // the function refuses nothing else that is checked here
	}
	if err != nil {
		return nil, err
	}
	if len(rows) > maxGroups+1 {
		return nil, apierr.InvalidField("groupBy", "gives more than %d groups; ask for a shorter period or fewer keys", maxGroups)
	}
	return toSummary(q.period, rows)
}

func summaryQueryOf(ctx context.Context, req *reportingv1.GetWorkSummaryRequest) (summaryQuery, error) {
	p, err := parsePeriod(req.GetFrom(), req.GetTo())
	if err != nil {
		return summaryQuery{}, err
	}
	q := summaryQuery{period: p}
	for _, key := range req.GetGroupBy() {
		switch key {
		case "station":
			q.byStation = true
		case "month":
			q.byMonth = true
		case "domain":
			q.byDomain = true
		default:
			return q, apierr.InvalidField("groupBy", "must be any of station, month, domain")
		}
	}
	q.stations, err = stationsOf(authz.ScopeFrom(ctx), req.GetStationId())
	return q, err
}

// stationsOf are the stations of which the scope lets sums be read, or the one that is asked for; nil for all.
func stationsOf(scope authz.Scope, asked string) ([]uuid.UUID, error) {
	var reach []uuid.UUID
	if scope.Level != authz.LevelAggregate {
		reach = scope.StationIDs()
	}
	station, err := ids.ParseOptional("stationId", asked)
	switch {
	case err != nil:
		return nil, err
	case station == nil:
		return reach, nil
	case reach != nil && !slices.Contains(reach, *station):
		return nil, unknownStation()
	}
	return []uuid.UUID{*station}, nil
}

func unknownStation() error {
	return apierr.InvalidField("stationId", "must name a station within your data scope")
}

// summary reads the total and the groups. Who may see aggregates alone reads them as the role that can read nothing else.
func (s *Service) summary(ctx context.Context, q summaryQuery) ([]summaryRow, error) {
	args := []any{q.From, q.To, q.byStation, q.byMonth, q.byDomain, q.stations, maxGroups + 2}
	if authz.ScopeFrom(ctx).Level != authz.LevelAggregate {
		return tenantdb.All(ctx, s.db, pgx.RowToStructByPos[summaryRow], workSummary, args...)
	}
	var rows []summaryRow
	err := s.db.Aggregate(ctx, func(ctx context.Context, tx *tenantdb.Tx) (err error) {
		rows, err = tenantdb.All(ctx, tx, pgx.RowToStructByPos[summaryRow], workSummary, args...)
		return err
	})
	return rows, err
}

func toSummary(p period, rows []summaryRow) (*reportingv1.WorkSummary, error) {
	out := &reportingv1.WorkSummary{From: civildate.Format(p.From), To: civildate.Format(p.To)}
	for _, row := range rows {
		m, err := row.measures()
		if err != nil {
			return nil, err
		}
		if row.IsTotal {
			out.Total = m
			continue
		}
		group := &reportingv1.WorkGroup{Domain: row.Domain, Measures: m}
		if row.StationID != nil {
			group.StationId, group.StationName, group.DivisionCode = row.StationID.String(), *row.StationName, *row.DivisionCode
		}
		if row.Month != nil {
			group.Month = row.Month.Format("2006-01")
		}
		out.Groups = append(out.Groups, group)
	}
	return out, nil
}

// measures are the figures of the row. The contract counts in int32, which JSON shows as numbers.
func (r summaryRow) measures() (*reportingv1.WorkMeasures, error) {
	m := &reportingv1.WorkMeasures{}
	for _, f := range []struct {
		to    *int32
		count int64
	}{
		{&m.Stations, r.Stations},
		{&m.HouseholdsVisited, r.HouseholdsVisited},
		{&m.HomeVisits, r.HomeVisits},
		{&m.Cases, r.Cases},
		{&m.CaseSessions, r.CaseSessions},
		{&m.Activities, r.Activities},
		{&m.Groups, r.Groups},
		{&m.VolunteerTeams, r.VolunteerTeams},
		{&m.Volunteers, r.Volunteers},
		{&m.PersonTimes, r.PersonTimes},
		{&m.Needs, r.Needs},
		{&m.NeedsMet, r.NeedsMet},
		{&m.Files, r.Files},
	} {
		if f.count > math.MaxInt32 {
			return nil, apierr.InvalidField("to", "gives a figure above %d; ask for a shorter period", math.MaxInt32)
		}
		*f.to = int32(f.count)
	}
	return m, nil
}

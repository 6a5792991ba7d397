package reporting

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	reportingv1 "circle15.dev/api/reporting/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/refs"
)

// sourceRow is a fact behind a figure; the columns are those of pageOfCounted, by position.
type sourceRow struct {
	ID                               int64
	FactDate                         time.Time
	StationID                        uuid.UUID
	StaffID, HouseholdID, ResidentID *uuid.UUID
	Domain                           string
	Amount                           int32
	SourceType                       string
	SourceID                         uuid.UUID
	ParentID                         *uuid.UUID // the case or group of a session
	Reversal                         bool
	RecordedAt                       time.Time
}

const (
	// ofFigure: $1 measure, $2 and $3 first and last day, $4 stations (NULL for all), $5 domain (NULL for all).
	ofFigure = `f.measure = $1 AND f.fact_date BETWEEN coalesce($2::date, '-infinity') AND $3
		AND ($4::uuid[] IS NULL OR f.station_id = ANY($4)) AND ($5::text IS NULL OR f.domain = $5)`

	// pageOfCounted reads the page of the facts in counted that follows fact $6, of at most $7. The ids are collected first:
	// in their order the planner would look for the facts of a late month through all that came before.
	pageOfCounted = `
		SELECT f.id, f.fact_date, f.station_id, f.staff_id, f.household_id, f.resident_id, f.domain, p.amount, f.source_type,
			f.source_id, coalesce(c.case_id, g.group_id), f.reverses IS NOT NULL, f.recorded_at
		FROM (SELECT n.id, n.amount FROM counted n WHERE n.id > $6 ORDER BY n.id LIMIT $7) p
		JOIN {tenant}.service_facts f ON f.id = p.id
		LEFT JOIN {tenant}.case_sessions c ON f.source_type = 'caseSessions' AND c.id = f.source_id
		LEFT JOIN {tenant}.group_sessions g ON f.source_type = 'groupSessions' AND g.id = f.source_id
		ORDER BY f.id`
)

var (
	listFacts = tenantdb.SQL(`
		WITH counted AS MATERIALIZED (SELECT f.id, f.amount FROM {tenant}.service_facts f WHERE ` + ofFigure + `)` + pageOfCounted)

	// Of each household the first visit that was not taken back; it adds the one household to the figure. Visits count 1,
	// so a household's visits come to more than 0 when one of them stands.
	listHouseholds = tenantdb.SQL(`
		WITH counted AS MATERIALIZED (
			SELECT DISTINCT ON (f.household_id) f.id, 1 AS amount
			FROM {tenant}.service_facts f
			WHERE ` + ofFigure + ` AND f.reverses IS NULL
				AND NOT EXISTS (SELECT FROM {tenant}.service_facts r WHERE r.reverses = f.id)
			ORDER BY f.household_id, f.fact_date, f.id
		)` + pageOfCounted)
)

// sourceQuery is a validated ListSourceRowsRequest.
type sourceQuery struct {
	figure
	period
	stations []uuid.UUID // nil for all
	domain   *string     // nil for all
}

// ListSourceRows lists the facts behind a figure, ordered by id.
func (s *Service) ListSourceRows(
	ctx context.Context, req *reportingv1.ListSourceRowsRequest,
) (*reportingv1.ListSourceRowsResponse, error) {
	p, after, err := s.start(ctx, req)
	if err != nil {
		return nil, err
	}
	q, err := s.sourceQueryOf(ctx, req)
	if err != nil {
		return nil, err
	}
	rows, err := s.sourceRows(ctx, q, after, p.Fetch())
	if err != nil {
		return nil, err
	}
	messages, next := page.Answer(ctx, s.pages, req, p, rows, sourceRow.cursor, sourceRow.toProto)
	return &reportingv1.ListSourceRowsResponse{SourceRows: messages, NextPageToken: next}, nil
}

// start reads the page and the fact after which it begins.
func (s *Service) start(ctx context.Context, req page.Request) (page.Page, int64, error) {
	p, err := s.pages.Start(ctx, req)
	if err != nil || p.After == "" {
		return p, 0, err
	}
	after, err := strconv.ParseInt(p.After, 10, 64)
	if err != nil {
		return p, 0, apierr.InvalidField("pageToken", "must be a token that this list returned for the same filter")
	}
	return p, after, nil
}

func (s *Service) sourceQueryOf(ctx context.Context, req *reportingv1.ListSourceRowsRequest) (sourceQuery, error) {
	q := sourceQuery{domain: req.Domain}
	scope := authz.ScopeFrom(ctx)
	// Facts do not tell who recorded them, so that rows could not be narrowed to the caller's own.
	if scope.Level == authz.LevelAggregate || scope.Level == authz.LevelOwn {
		return q, apierr.New(apierr.Denied, "your role reads sums, not the rows behind them")
	}
	var err error
	if q.figure, err = figureOf(req.GetMeasure()); err != nil {
		return q, err
	}
	if q.period, err = parsePeriod(req.GetFrom(), req.GetTo()); err != nil {
		return q, err
	}
	if q.period, err = q.period.in(req.GetMonth()); err != nil {
		return q, err
	}
	if req.GetStationId() == "" {
		q.stations = scope.StationIDs()
		return q, nil
	}
	station, err := refs.Station(ctx, s.db, "stationId", req.GetStationId())
	q.stations = []uuid.UUID{station}
	return q, err
}

func (s *Service) sourceRows(ctx context.Context, q sourceQuery, after int64, limit int32) ([]sourceRow, error) {
	list, from := listFacts, &q.From
	if q.measure.Stock() {
		from = nil // what is in being counts from whenever it came into being
	}
	if q.distinct {
		list = listHouseholds
	}
	return tenantdb.All(ctx, s.db, pgx.RowToStructByPos[sourceRow], list, string(q.measure), from, q.To, q.stations, q.domain, after,
		limit)
}

func (r sourceRow) cursor() string { return strconv.FormatInt(r.ID, 10) }

func (r sourceRow) toProto() *reportingv1.SourceRow {
	return &reportingv1.SourceRow{
		Id:          strconv.FormatInt(r.ID, 10),
		FactDate:    civildate.Format(r.FactDate),
		StationId:   r.StationID.String(),
		StaffId:     idOrEmpty(r.StaffID),
		Domain:      r.Domain,
		HouseholdId: idOrEmpty(r.HouseholdID),
		ResidentId:  idOrEmpty(r.ResidentID),
		Amount:      r.Amount,
		SourceType:  r.SourceType,
		SourceId:    r.SourceID.String(),
		SourcePath:  r.sourcePath(),
		Reversal:    r.Reversal,
		RecordedAt:  timestamppb.New(r.RecordedAt),
	}
}

func idOrEmpty(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

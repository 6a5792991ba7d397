package visits

import (
	"context"

	"google.golang.org/protobuf/proto"

	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/page"
	"circle15.dev/internal/patch"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
)

// PlanVisit plans a visit; it counts nothing until it is completed.
func (s *Service) PlanVisit(ctx context.Context, req *visitsv1.PlanVisitRequest) (*visitsv1.Visit, error) {
	return s.create(ctx, req, req.GetVisit(), planned)
}

// RecordVisit records a visit that took place, and counts it.
func (s *Service) RecordVisit(ctx context.Context, req *visitsv1.RecordVisitRequest) (*visitsv1.Visit, error) {
	return s.create(ctx, req, req.GetVisit(), completed)
}

func (s *Service) create(ctx context.Context, req proto.Message, in *visitsv1.Visit, as state) (*visitsv1.Visit, error) {
	id, err := ids.OrNew("visit.id", in.GetId())
	if err != nil {
		return nil, err
	}
	told, err := contentOf("visit.", in)
	if err != nil {
		return nil, err
	}
	if told, err = told.check("visit.", as); err != nil {
		return nil, err
	}
	by, err := authn.Subject(ctx)
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*visitsv1.Visit, error) {
		refs, err := load(ctx, tx, told)
		if err != nil {
			return nil, err
		}
		station, err := refs.station("visit.", told)
		if err != nil {
			return nil, err
		}
		if err := refs.check(ctx, "visit.", told, content{}, station); err != nil {
			return nil, err
		}
		row, err := insert(ctx, tx, visitRow{ID: id, StationID: station, content: told, State: as}, by)
		if err != nil {
			return nil, err
		}
		if err := facts.Append(ctx, tx, row.facts()...); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// GetVisit returns a visit of the data scope.
func (s *Service) GetVisit(ctx context.Context, req *visitsv1.GetVisitRequest) (*visitsv1.Visit, error) {
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	row, err := read(ctx, s.db, id)
	if err != nil {
		return nil, err
	}
	return row.toProto(), nil
}

// ListVisits lists the visits of the data scope, ordered by id.
func (s *Service) ListVisits(ctx context.Context, req *visitsv1.ListVisitsRequest) (*visitsv1.ListVisitsResponse, error) {
	p, after, err := s.pages.StartAtID(ctx, req)
	if err != nil {
		return nil, err
	}
	filter, err := filterOf(req)
	if err != nil {
		return nil, err
	}
	rows, err := selectVisits(ctx, s.db, filter, after, p.Fetch())
	if err != nil {
		return nil, err
	}
	messages, next := page.Answer(ctx, s.pages, req, p, rows, visitRow.cursor, visitRow.toProto)
	return &visitsv1.ListVisitsResponse{Visits: messages, NextPageToken: next}, nil
}

func filterOf(req *visitsv1.ListVisitsRequest) (visitFilter, error) {
	f := visitFilter{State: stateFromProto[req.GetState()], Kind: kindFromProto[req.GetKind()]}
	var err error
	if f.Station, err = ids.ParseOptional("stationId", req.GetStationId()); err != nil {
		return f, err
	}
	if f.Household, err = ids.ParseOptional("householdId", req.GetHouseholdId()); err != nil {
		return f, err
	}
	if f.Case, err = ids.ParseOptional("caseId", req.GetCaseId()); err != nil {
		return f, err
	}
	f.PlannedUntil, err = civildate.ParseOptional("plannedOnOrBefore", req.GetPlannedOnOrBefore())
	if f.PlannedUntil != nil && f.State == "" {
		f.State = planned // what is due is what is still planned
	}
	return f, err
}

// UpdateVisit changes what the mask names, of a planned visit or of a completed one, whose figures follow.
func (s *Service) UpdateVisit(ctx context.Context, req *visitsv1.UpdateVisitRequest) (*visitsv1.Visit, error) {
	id, err := ids.Parse("visit.id", req.GetVisit().GetId())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*visitsv1.Visit, error) {
		was, err := lock(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "visit.etag", req.GetVisit().GetEtag(), was.Revision); err != nil {
			return nil, err
		}
		if err := was.State.changeable(); err != nil {
			return nil, err
		}
		merged := was.toProto()
		if err := patch.Apply("visit", merged, req.GetVisit(), req.GetUpdateMask()); err != nil {
			return nil, err
		}
		now := was
		if now.content, err = contentOf("visit.", merged); err != nil {
			return nil, err
		}
		return restate(ctx, tx, "visit.", was, now)
	})
}

// restate stores a locked visit as it is now, after checking what it tells, and corrects the figures.
func restate(ctx context.Context, tx *tenantdb.Tx, prefix string, was, now visitRow) (*visitsv1.Visit, error) {
	told, err := now.check(prefix, now.State)
	if err != nil {
		return nil, err
	}
	now.content = told
	refs, err := load(ctx, tx, told)
	if err != nil {
		return nil, err
	}
	if err := refs.check(ctx, prefix, told, was.content, was.StationID); err != nil {
		return nil, err
	}
	if err := notAfterFollowUps(ctx, tx, prefix, was, now); err != nil {
		return nil, err
	}
	row, err := update(ctx, tx, now)
	if err != nil {
		return nil, err
	}
	if err := correctFigures(ctx, tx, was, row); err != nil {
		return nil, err
	}
	return row.toProto(), nil
}

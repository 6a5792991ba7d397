package visits

import (
	"context"

	"google.golang.org/protobuf/proto"

	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
)

// CompleteVisit completes a planned visit and counts it.
func (s *Service) CompleteVisit(ctx context.Context, req *visitsv1.CompleteVisitRequest) (*visitsv1.Visit, error) {
	on, err := civildate.ParsePast("visitDate", req.GetVisitDate())
	if err != nil {
		return nil, err
	}
	residents, err := residentsOf("residentIds", req.GetResidentIds())
	if err != nil {
		return nil, err
	}
	return s.move(ctx, req, completed, func(ctx context.Context, tx *tenantdb.Tx, was, now visitRow) (*visitsv1.Visit, error) {
		now.VisitDate, now.DurationMinutes, now.PersonsServed = &on, req.GetDurationMinutes(), req.GetPersonsServed()
		now.Findings = req.GetFindings()
		if len(residents) > 0 {
			now.ResidentIDs = residents
		}
		return restate(ctx, tx, "", was, now)
	})
}

// CancelVisit cancels a planned visit.
func (s *Service) CancelVisit(ctx context.Context, req *visitsv1.CancelVisitRequest) (*visitsv1.Visit, error) {
	return s.move(ctx, req, cancelled, because(req.GetReason()))
}

// VoidVisit takes a completed visit back, and its figures. One that others follow up stays.
func (s *Service) VoidVisit(ctx context.Context, req *visitsv1.VoidVisitRequest) (*visitsv1.Visit, error) {
	return s.move(ctx, req, void, func(ctx context.Context, tx *tenantdb.Tx, was, now visitRow) (*visitsv1.Visit, error) {
		if err := notFollowedUp(ctx, tx, was.ID); err != nil {
			return nil, err
		}
		return because(req.GetReason())(ctx, tx, was, now)
	})
}

// because stores the reason for which a visit ends, and takes it out of the figures.
func because(reason string) func(context.Context, *tenantdb.Tx, visitRow, visitRow) (*visitsv1.Visit, error) {
	return func(ctx context.Context, tx *tenantdb.Tx, was, now visitRow) (*visitsv1.Visit, error) {
		now.Reason = reason
		row, err := update(ctx, tx, now)
		if err != nil {
			return nil, err
		}
		if err := correctFigures(ctx, tx, was, row); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	}
}

// moveRequest is a request that moves a visit to another state.
type moveRequest interface {
	proto.Message
	GetId() string
	GetEtag() string
}

// move locks a visit, moves it to the next state, and lets do store it.
func (s *Service) move(ctx context.Context, req moveRequest, next state,
	do func(ctx context.Context, tx *tenantdb.Tx, was, now visitRow) (*visitsv1.Visit, error),
) (*visitsv1.Visit, error) {
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, proto.Message(req), func(ctx context.Context, tx *tenantdb.Tx) (*visitsv1.Visit, error) {
		was, err := lock(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "etag", req.GetEtag(), was.Revision); err != nil {
			return nil, err
		}
		now := was
		if now.State, err = was.State.to(next); err != nil {
			return nil, err
		}
		return do(ctx, tx, was, now)
	})
}

// PlanFollowUpVisit plans a visit of the same kind, domain and case to the household of a completed visit (回访).
func (s *Service) PlanFollowUpVisit(ctx context.Context, req *visitsv1.PlanFollowUpVisitRequest) (*visitsv1.Visit, error) {
	of, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	id, err := ids.OrNew("followUpVisitId", req.GetFollowUpVisitId())
	if err != nil {
		return nil, err
	}
	worker, err := ids.Parse("staffId", req.GetStaffId())
	if err != nil {
		return nil, err
	}
	on, err := civildate.Parse("plannedDate", req.GetPlannedDate())
	if err != nil {
		return nil, err
	}
	by, err := authn.Subject(ctx)
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*visitsv1.Visit, error) {
		first, err := lock(ctx, tx, of)
		if err != nil {
			return nil, err
		}
		if first.State != completed {
			return nil, apierr.New(apierr.Conflict, "a visit in state %s is not followed up", first.State)
		}
		inherited := content{HouseholdID: first.HouseholdID, Kind: first.Kind, Domain: first.Domain, CaseID: first.CaseID, FollowUpOf: &of}
		told := inherited
		told.StaffID, told.PlannedDate, told.Purpose = worker, &on, req.GetPurpose()
		refs, err := load(ctx, tx, told)
		if err != nil {
			return nil, err
		}
		station, err := refs.station("", told)
		if err != nil {
			return nil, err
		}
		if err := refs.check(ctx, "", told, inherited, station); err != nil {
			return nil, err
		}
		row, err := insert(ctx, tx, visitRow{ID: id, StationID: station, content: told, State: planned}, by)
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

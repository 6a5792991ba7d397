package cases

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/refs"
)

// CreateFollowUp records a follow-up (回访) of a case in evaluation or closed.
func (s *Service) CreateFollowUp(ctx context.Context, req *casesv1.CreateFollowUpRequest) (*casesv1.FollowUp, error) {
	in := req.GetFollowUp()
	id, err := ids.OrNew("followUp.id", in.GetId())
	if err != nil {
		return nil, err
	}
	on, err := civildate.ParsePast("followUp.followUpDate", in.GetFollowUpDate())
	if err != nil {
		return nil, err
	}
	visit, err := ids.ParseOptional("followUp.visitId", in.GetVisitId())
	if err != nil {
		return nil, err
	}
	return onCase(ctx, s, req, func(ctx context.Context, tx *tenantdb.Tx, of lockedCase, by string) (*casesv1.FollowUp, error) {
		if err := of.takesFollowUp(); err != nil {
			return nil, err
		}
		if err := of.sinceOpened("followUp.followUpDate", on); err != nil {
			return nil, err
		}
		worker, err := refs.StaffOn(ctx, tx, "followUp.staffId", in.GetStaffId(), of.StationID, on)
		if err != nil {
			return nil, err
		}
		if err := checkVisit(ctx, tx, visit, of.HouseholdID); err != nil {
			return nil, err
		}
		row, err := insertNewFollowUp(ctx, tx, followUpRow{
			ID: id, StationID: of.StationID, CaseID: of.ID, StaffID: worker, VisitID: visit, FollowUpDate: on, Finding: in.GetFinding(),
			NextSteps: in.GetNextSteps(),
		}, by)
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// checkVisit resolves the visit, where one is named, at which the follow-up took place.
func checkVisit(ctx context.Context, tx *tenantdb.Tx, visit *uuid.UUID, household uuid.UUID) error {
	if visit == nil {
		return nil
	}
	_, err := tenantdb.One(ctx, tx, pgx.RowTo[uuid.UUID], findVisit, *visit, household)
	if errors.Is(err, pgx.ErrNoRows) {
		return apierr.InvalidField("followUp.visitId", "must name a completed visit to the client's household")
	}
	return err
}

// ListFollowUps lists the follow-ups of a case, ordered by id.
func (s *Service) ListFollowUps(ctx context.Context, req *casesv1.ListFollowUpsRequest) (*casesv1.ListFollowUpsResponse, error) {
	messages, next, err := listOf[followUpRow](ctx, s, req, listFollowUps, nil)
	if err != nil {
		return nil, err
	}
	return &casesv1.ListFollowUpsResponse{FollowUps: messages, NextPageToken: next}, nil
}

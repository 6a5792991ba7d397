package cases

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/patch"
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
		row, err := followUpRow{
			ID: id, StationID: of.StationID, CaseID: of.ID, VisitID: visit, FollowUpDate: on, Finding: in.GetFinding(),
			NextSteps: in.GetNextSteps(),
		}.checked(ctx, tx, of, in.GetStaffId())
		if err != nil {
			return nil, err
		}
		if row, err = insertNewFollowUp(ctx, tx, row, by); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// checked is the follow-up by the worker, with its day, its worker and its visit checked. It comes after the work, so not
// before the case first entered its evaluation; a case that was opened again since may have been followed up before.
func (f followUpRow) checked(ctx context.Context, tx *tenantdb.Tx, of lockedCase, worker string) (followUpRow, error) {
	const field = "followUp.followUpDate"
	if err := of.sinceOpened(field, f.FollowUpDate); err != nil {
		return f, err
	}
	evaluated, err := tenantdb.One(ctx, tx, pgx.RowTo[*time.Time], firstEvaluation, of.ID)
	if err != nil {
		return f, err
	}
	if evaluated != nil {
		if err := notBefore(field, f.FollowUpDate, *evaluated, "the evaluation of the case began"); err != nil {
			return f, err
		}
	}
	if f.StaffID, err = refs.StaffOn(ctx, tx, "followUp.staffId", worker, of.StationID, f.FollowUpDate); err != nil || f.VisitID == nil {
		return f, err
	}
	visited, err := tenantdb.One(ctx, tx, pgx.RowTo[time.Time], findVisit, *f.VisitID, of.HouseholdID, of.ResidentID,
		authz.ScopeFrom(ctx).StationIDs())
	if errors.Is(err, pgx.ErrNoRows) {
		return f, apierr.InvalidField("followUp.visitId", "must name a completed visit to the household of the case or of the client")
	}
	if err != nil {
		return f, err
	}
	return f, notBefore(field, f.FollowUpDate, visited, "the visit at which it took place,")
}

// ListFollowUps lists the follow-ups of a case, ordered by id.
func (s *Service) ListFollowUps(ctx context.Context, req *casesv1.ListFollowUpsRequest) (*casesv1.ListFollowUpsResponse, error) {
	messages, next, err := listOf[followUpRow](ctx, s, req, listFollowUps, nil)
	if err != nil {
		return nil, err
	}
	return &casesv1.ListFollowUpsResponse{FollowUps: messages, NextPageToken: next}, nil
}

// GetFollowUp returns a follow-up of a case.
func (s *Service) GetFollowUp(ctx context.Context, req *casesv1.GetFollowUpRequest) (*casesv1.FollowUp, error) {
	return getOf[followUpRow](ctx, s, req, getFollowUp, "follow-up")
}

// UpdateFollowUp corrects what the mask names, in whatever stage the case is.
func (s *Service) UpdateFollowUp(ctx context.Context, req *casesv1.UpdateFollowUpRequest) (*casesv1.FollowUp, error) {
	in := req.GetFollowUp()
	at := target{"follow-up", "followUp.id", in.GetId(), "followUp.etag", in.GetEtag()}
	do := func(ctx context.Context, tx *tenantdb.Tx, of lockedCase, was followUpRow) (followUpRow, error) {
		merged := was.toProto()
		if err := patch.Apply("followUp", merged, in, req.GetUpdateMask()); err != nil {
			return was, err
		}
		now, err := was.changed(ctx, tx, of, merged)
		if err != nil {
			return was, err
		}
		return now.update(ctx, tx)
	}
	return correct(ctx, s, req, at, getFollowUp, do)
}

// changed is the follow-up with the client's fields of merged, checked. The day, the worker and the visit are checked
// together, where one of them changes.
func (f followUpRow) changed(ctx context.Context, tx *tenantdb.Tx, of lockedCase, merged *casesv1.FollowUp) (followUpRow, error) {
	now := f
	now.Finding, now.NextSteps = merged.GetFinding(), merged.GetNextSteps()
	was := f.toProto()
	sameDay := merged.GetFollowUpDate() == was.GetFollowUpDate()
	if sameDay && merged.GetStaffId() == was.GetStaffId() && merged.GetVisitId() == was.GetVisitId() {
		return now, nil
	}
	var err error
	if now.FollowUpDate, err = civildate.ParsePast("followUp.followUpDate", merged.GetFollowUpDate()); err != nil {
		return now, err
	}
	if now.VisitID, err = ids.ParseOptional("followUp.visitId", merged.GetVisitId()); err != nil {
		return now, err
	}
	return now.checked(ctx, tx, of, merged.GetStaffId())
}

// VoidFollowUp takes a follow-up back.
func (s *Service) VoidFollowUp(ctx context.Context, req *casesv1.VoidFollowUpRequest) (*casesv1.FollowUp, error) {
	at := target{"follow-up", "id", req.GetId(), "etag", req.GetEtag()}
	do := func(ctx context.Context, tx *tenantdb.Tx, _ lockedCase, was followUpRow) (followUpRow, error) {
		was.VoidReason = req.GetReason()
		return was.update(ctx, tx)
	}
	return correct(ctx, s, req, at, getFollowUp, do)
}

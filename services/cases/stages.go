package cases

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
	"circle15.dev/services/internal/refs"
)

// AdvanceCase moves a case to the next stage.
func (s *Service) AdvanceCase(ctx context.Context, req *casesv1.AdvanceCaseRequest) (*casesv1.Case, error) {
	on, err := civildate.ParsePast("changeDate", req.GetChangeDate())
	if err != nil {
		return nil, err
	}
	next := step{
		To: stageFromProto[req.GetStage()], On: on, Assessment: req.GetAssessment(), Goals: req.GetGoals(), Plan: req.GetPlan(),
		ClosureReason: req.GetClosureReason(),
	}
	return s.change(ctx, req, func(ctx context.Context, tx *tenantdb.Tx, was lockedCase) (progress, *stageChange, error) {
		now, err := was.advance(next, was.LastChange)
		if err != nil {
			return now, nil, err
		}
		if now.Stage == closure {
			if err := checkClosing(ctx, tx, was, on); err != nil {
				return now, nil, err
			}
		}
		worker, err := refs.StaffOn(ctx, tx, "staffId", req.GetStaffId(), was.StationID, on)
		return now, &stageChange{On: on, StaffID: &worker, Note: req.GetNote(), Reason: req.GetClosureReason()}, err
	})
}

// checkClosing refuses to close a case before its last work.
func checkClosing(ctx context.Context, tx *tenantdb.Tx, of lockedCase, on time.Time) error {
	worked, err := lastDays(ctx, tx, of.ID)
	if err != nil || worked.Work == nil {
		return err
	}
	return notBefore("changeDate", on, *worked.Work, "the last session or referral")
}

// EvaluateCase fills the evaluation form.
func (s *Service) EvaluateCase(ctx context.Context, req *casesv1.EvaluateCaseRequest) (*casesv1.Case, error) {
	on, err := civildate.ParsePast("evaluatedDate", req.GetEvaluatedDate())
	if err != nil {
		return nil, err
	}
	return s.change(ctx, req, func(ctx context.Context, tx *tenantdb.Tx, was lockedCase) (progress, *stageChange, error) {
		worked, err := lastDays(ctx, tx, was.ID)
		if err != nil {
			return was.progress, nil, err
		}
		now, err := was.evaluate(req.GetSummary(), req.GetReflection(), req.GetGoalAttainment(), on, was.LastChange, worked.Session)
		return now, nil, err
	})
}

// ReopenCase opens a closed case again at the intervention stage. The figures stay: it is one case.
func (s *Service) ReopenCase(ctx context.Context, req *casesv1.ReopenCaseRequest) (*casesv1.Case, error) {
	on, err := civildate.ParsePast("changeDate", req.GetChangeDate())
	if err != nil {
		return nil, err
	}
	return s.change(ctx, req, func(ctx context.Context, tx *tenantdb.Tx, was lockedCase) (progress, *stageChange, error) {
		now, err := was.reopen(on, was.LastChange)
		if err != nil {
			return now, nil, err
		}
		worker, err := refs.StaffOn(ctx, tx, "staffId", req.GetStaffId(), was.StationID, on)
		return now, &stageChange{On: on, StaffID: &worker, Reason: req.GetReason()}, err
	})
}

// VoidCase takes a case back, and its figures with those of its sessions.
func (s *Service) VoidCase(ctx context.Context, req *casesv1.VoidCaseRequest) (*casesv1.Case, error) {
	return s.change(ctx, req, func(ctx context.Context, tx *tenantdb.Tx, was lockedCase) (progress, *stageChange, error) {
		now, err := was.takeBack(req.GetReason())
		if err != nil {
			return now, nil, err
		}
		err = reverseFigures(ctx, tx, was.caseRow)
		return now, &stageChange{On: civildate.Today(), Reason: req.GetReason()}, err
	})
}

// changeRequest is a request that changes where a case stands.
type changeRequest interface {
	proto.Message
	GetId() string
	GetEtag() string
}

// stageChange is a move between stages to be recorded; from and to are told by the case.
type stageChange struct {
	On           time.Time
	StaffID      *uuid.UUID // nil where no worker is named
	Note, Reason string
}

// change locks the case, lets decide say what becomes of it, stores that, and records a move between stages where
// there was one.
func (s *Service) change(ctx context.Context, req changeRequest,
	decide func(context.Context, *tenantdb.Tx, lockedCase) (progress, *stageChange, error),
) (*casesv1.Case, error) {
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	by, err := authn.Subject(ctx)
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*casesv1.Case, error) {
		was, err := lock(ctx, tx, id, authz.ScopeFrom(ctx).Owner())
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "etag", req.GetEtag(), was.Revision); err != nil {
			return nil, err
		}
		becomes, move, err := decide(ctx, tx, was)
		if err != nil {
			return nil, err
		}
		now := was.caseRow
		now.progress = becomes
		if move != nil {
			tx.Queue(insertStageChange, ids.New(), id, string(was.Stage), string(now.Stage), move.On, move.StaffID, move.Note,
				move.Reason, by)
		}
		row, err := update(ctx, tx, now)
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// ListStageChanges lists how the case moved, oldest first.
func (s *Service) ListStageChanges(ctx context.Context, req *casesv1.ListStageChangesRequest) (*casesv1.ListStageChangesResponse, error) {
	messages, next, err := listOf[stageChangeRow](ctx, s, req, listStageChanges, authz.ScopeFrom(ctx).Owner())
	if err != nil {
		return nil, err
	}
	return &casesv1.ListStageChangesResponse{StageChanges: messages, NextPageToken: next}, nil
}

package cases

import (
	"context"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/refs"
)

// CreateCaseSession records a session (节) with the next number of its case, and counts it.
func (s *Service) CreateCaseSession(ctx context.Context, req *casesv1.CreateCaseSessionRequest) (*casesv1.CaseSession, error) {
	in := req.GetSession()
	id, err := ids.OrNew("session.id", in.GetId())
	if err != nil {
		return nil, err
	}
	held, err := civildate.ParsePast("session.sessionDate", in.GetSessionDate())
	if err != nil {
		return nil, err
	}
	return onCase(ctx, s, req, func(ctx context.Context, tx *tenantdb.Tx, of lockedCase, by string) (*casesv1.CaseSession, error) {
		if err := of.takesWork(); err != nil {
			return nil, err
		}
		if err := of.sinceOpened("session.sessionDate", held); err != nil {
			return nil, err
		}
		worker, err := refs.StaffOn(ctx, tx, "session.staffId", in.GetStaffId(), of.StationID, held)
		if err != nil {
			return nil, err
		}
		row, err := insertNextSession(ctx, tx, sessionRow{
			ID: id, StationID: of.StationID, CaseID: of.ID, StaffID: worker, SessionDate: held, DurationMinutes: in.GetDurationMinutes(),
			PersonsServed: max(1, in.GetPersonsServed()), Goals: in.GetGoals(), Record: in.GetRecord(), NextSteps: in.GetNextSteps(),
		}, by)
		if err != nil {
			return nil, err
		}
		if err := facts.Append(ctx, tx, row.facts(of.caseRow)...); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// ListCaseSessions lists the sessions of a case, ordered by id.
func (s *Service) ListCaseSessions(ctx context.Context, req *casesv1.ListCaseSessionsRequest) (*casesv1.ListCaseSessionsResponse, error) {
	messages, next, err := listOf[sessionRow](ctx, s, req, listSessions, nil)
	if err != nil {
		return nil, err
	}
	return &casesv1.ListCaseSessionsResponse{CaseSessions: messages, NextPageToken: next}, nil
}

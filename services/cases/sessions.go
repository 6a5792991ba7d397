package cases

import (
	"context"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/patch"
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
		if err := checkWorkday(ctx, tx, of, "session.sessionDate", held); err != nil {
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

// GetCaseSession returns a session of a case, in one statement.
func (s *Service) GetCaseSession(ctx context.Context, req *casesv1.GetCaseSessionRequest) (*casesv1.CaseSession, error) {
	return getOf[sessionRow](ctx, s, req, getSession, "case session")
}

// UpdateCaseSession corrects what the mask names, also after the case has closed. The figures follow.
func (s *Service) UpdateCaseSession(ctx context.Context, req *casesv1.UpdateCaseSessionRequest) (*casesv1.CaseSession, error) {
	in := req.GetSession()
	at := target{"case session", "session.id", in.GetId(), "session.etag", in.GetEtag()}
	do := func(ctx context.Context, tx *tenantdb.Tx, of lockedCase, was sessionRow) (sessionRow, error) {
		merged := was.toProto()
		if err := patch.Apply("session", merged, in, req.GetUpdateMask()); err != nil {
			return was, err
		}
		now, err := was.changed(ctx, tx, of, merged)
		if err != nil {
			return now, err
		}
		row, err := now.update(ctx, tx)
		if err != nil || row.counts(was) {
			return row, err
		}
		return row, facts.Recount(ctx, tx, facts.SourceCaseSessions, row.ID, row.facts(of.caseRow)...)
	}
	return correct(ctx, s, req, at, getSession, do)
}

// changed is the session with the client's fields of merged, checked. The day and the worker are checked together, where
// either changes.
func (s sessionRow) changed(ctx context.Context, tx *tenantdb.Tx, of lockedCase, merged *casesv1.CaseSession) (sessionRow, error) {
	now := s
	now.DurationMinutes, now.PersonsServed = merged.GetDurationMinutes(), max(1, merged.GetPersonsServed())
	now.Goals, now.Record, now.NextSteps = merged.GetGoals(), merged.GetRecord(), merged.GetNextSteps()
	if merged.GetSessionDate() == civildate.Format(s.SessionDate) && merged.GetStaffId() == s.StaffID.String() {
		return now, nil
	}
	var err error
	if now.SessionDate, err = civildate.ParsePast("session.sessionDate", merged.GetSessionDate()); err != nil {
		return now, err
	}
	if err := checkWorkday(ctx, tx, of, "session.sessionDate", now.SessionDate); err != nil {
		return now, err
	}
	now.StaffID, err = refs.StaffOn(ctx, tx, "session.staffId", merged.GetStaffId(), of.StationID, now.SessionDate)
	return now, err
}

// VoidCaseSession takes a session back, and takes it out of the figures. It keeps its number.
func (s *Service) VoidCaseSession(ctx context.Context, req *casesv1.VoidCaseSessionRequest) (*casesv1.CaseSession, error) {
	at := target{"case session", "id", req.GetId(), "etag", req.GetEtag()}
	do := func(ctx context.Context, tx *tenantdb.Tx, _ lockedCase, was sessionRow) (sessionRow, error) {
		was.VoidReason = req.GetReason()
		row, err := was.update(ctx, tx)
		if err != nil {
			return row, err
		}
		return row, facts.Reverse(ctx, tx, facts.SourceCaseSessions, row.ID)
	}
	return correct(ctx, s, req, at, getSession, do)
}

// ListCaseSessions lists the sessions of a case, ordered by id.
func (s *Service) ListCaseSessions(ctx context.Context, req *casesv1.ListCaseSessionsRequest) (*casesv1.ListCaseSessionsResponse, error) {
	messages, next, err := listOf[sessionRow](ctx, s, req, listSessions, nil)
	if err != nil {
		return nil, err
	}
	return &casesv1.ListCaseSessionsResponse{CaseSessions: messages, NextPageToken: next}, nil
}

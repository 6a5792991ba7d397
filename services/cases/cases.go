package cases

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/page"
	"circle15.dev/internal/patch"
	"circle15.dev/internal/standards"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
	"circle15.dev/services/internal/refs"
)

// OpenCase opens a case at the intake stage and counts it (个).
func (s *Service) OpenCase(ctx context.Context, req *casesv1.OpenCaseRequest) (*casesv1.Case, error) {
	in := req.GetCase()
	id, err := ids.OrNew("case.id", in.GetId())
	if err != nil {
		return nil, err
	}
	opened, err := civildate.ParsePast("case.openedDate", in.GetOpenedDate())
	if err != nil {
		return nil, err
	}
	if err := standards.Check(ctx, "case.domain", "domains", in.GetDomain()); err != nil {
		return nil, err
	}
	by, err := authn.Subject(ctx)
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*casesv1.Case, error) {
		client, err := refs.Resident(ctx, tx, "case.residentId", in.GetResidentId())
		if err != nil {
			return nil, err
		}
		if err := refs.SinceOpened(ctx, tx, "case.openedDate", client.StationID, opened); err != nil {
			return nil, err
		}
		worker, err := refs.StaffOn(ctx, tx, "case.staffId", in.GetStaffId(), client.StationID, opened)
		if err != nil {
			return nil, err
		}
		needs, err := resolveNeeds(ctx, tx, in.GetNeedIds(), nil, client)
		if err != nil {
			return nil, err
		}
		row, err := insert(ctx, tx, caseRow{
			ID: id, StationID: client.StationID, HouseholdID: client.HouseholdID, ResidentID: client.ID, StaffID: worker,
			Domain: in.GetDomain(), Title: in.GetTitle(), PresentingProblem: in.GetPresentingProblem(),
			progress: progress{
				Opened: opened,
				forms:  forms{Assessment: in.GetAssessment(), Goals: in.GetGoals(), Plan: in.GetPlan()},
			},
			NeedIDs: needs,
		}, by)
		if err != nil {
			return nil, err
		}
		if err := facts.Append(ctx, tx, row.fact()); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// GetCase returns a case of the data scope, in one statement.
func (s *Service) GetCase(ctx context.Context, req *casesv1.GetCaseRequest) (*casesv1.Case, error) {
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	row, err := readCase(ctx, s.db, id)
	if err != nil {
		return nil, err
	}
	return row.toProto(), nil
}

// ListCases lists the cases of the data scope, ordered by id.
func (s *Service) ListCases(ctx context.Context, req *casesv1.ListCasesRequest) (*casesv1.ListCasesResponse, error) {
	p, after, err := s.pages.StartAtID(ctx, req)
	if err != nil {
		return nil, err
	}
	filter, err := filterOf(req)
	if err != nil {
		return nil, err
	}
	rows, err := selectCases(ctx, s.db, filter, after, p.Fetch())
	if err != nil {
		return nil, err
	}
	messages, next := page.Answer(ctx, s.pages, req, p, rows, caseRow.cursor, caseRow.toProto)
	return &casesv1.ListCasesResponse{Cases: messages, NextPageToken: next}, nil
}

func filterOf(req *casesv1.ListCasesRequest) (caseFilter, error) {
	f := caseFilter{Stage: stageFromProto[req.GetStage()], Domain: req.GetDomain()}
	var err error
	if f.Station, err = ids.ParseOptional("stationId", req.GetStationId()); err != nil {
		return f, err
	}
	if f.Resident, err = ids.ParseOptional("residentId", req.GetResidentId()); err != nil {
		return f, err
	}
	f.Staff, err = ids.ParseOptional("staffId", req.GetStaffId())
	return f, err
}

// UpdateCase changes what the mask names. Another day of the opening, worker or domain moves the figures, too.
func (s *Service) UpdateCase(ctx context.Context, req *casesv1.UpdateCaseRequest) (*casesv1.Case, error) {
	id, err := ids.Parse("case.id", req.GetCase().GetId())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*casesv1.Case, error) {
		was, err := lock(ctx, tx, id, authz.ScopeFrom(ctx).Owner())
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "case.etag", req.GetCase().GetEtag(), was.Revision); err != nil {
			return nil, err
		}
		if err := was.notVoid(); err != nil {
			return nil, err
		}
		merged := was.toProto()
		if err := patch.Apply("case", merged, req.GetCase(), req.GetUpdateMask()); err != nil {
			return nil, err
		}
		now, err := changed(ctx, tx, was.caseRow, merged)
		if err != nil {
			return nil, err
		}
		row, err := update(ctx, tx, now)
		if err != nil {
			return nil, err
		}
		row.NeedIDs = now.NeedIDs
		if !slices.Equal(now.NeedIDs, was.NeedIDs) {
			setNeeds(tx, id, now.NeedIDs)
		}
		if err := moveFigures(ctx, tx, was.caseRow, row); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// changed is the case with the client's fields of merged, checked. References are resolved where they change: a worker
// who has left since stays on the cases of that time.
func changed(ctx context.Context, tx *tenantdb.Tx, was caseRow, merged *casesv1.Case) (caseRow, error) {
	now := was
	now.Domain, now.Title, now.PresentingProblem = merged.GetDomain(), merged.GetTitle(), merged.GetPresentingProblem()
	now.Assessment, now.Goals, now.Plan = merged.GetAssessment(), merged.GetGoals(), merged.GetPlan()
	if err := now.checkFilled("case."); err != nil {
		return now, err
	}
	if now.Domain != was.Domain {
		if err := standards.Check(ctx, "case.domain", "domains", now.Domain); err != nil {
			return now, err
		}
	}
	var err error
	if merged.GetStaffId() != was.StaffID.String() {
		if now.StaffID, err = refs.Staff(ctx, tx, "case.staffId", merged.GetStaffId(), was.StationID); err != nil {
			return now, err
		}
	}
	if merged.GetOpenedDate() != civildate.Format(was.Opened) {
		if now.Opened, err = correctedOpening(ctx, tx, now, merged.GetOpenedDate()); err != nil {
			return now, err
		}
	}
	client := refs.ResidentRef{ID: was.ResidentID, HouseholdID: was.HouseholdID, StationID: was.StationID}
	now.NeedIDs, err = resolveNeeds(ctx, tx, merged.GetNeedIds(), was.NeedIDs, client)
	return now, err
}

// correctedOpening reads another day of the opening: one before everything that happened to the case, on which the station
// was open and the worker served.
func correctedOpening(ctx context.Context, tx *tenantdb.Tx, c caseRow, text string) (time.Time, error) {
	opened, err := civildate.ParsePast("case.openedDate", text)
	if err != nil {
		return opened, err
	}
	first, err := tenantdb.One(ctx, tx, pgx.RowTo[*time.Time], firstDay, c.ID)
	if err != nil {
		return opened, err
	}
	if first != nil && opened.After(*first) {
		return opened, apierr.InvalidField("case.openedDate", "must not be after what happened first, on %s", civildate.Format(*first))
	}
	if err := refs.SinceOpened(ctx, tx, "case.openedDate", c.StationID, opened); err != nil {
		return opened, err
	}
	_, err = refs.StaffOn(ctx, tx, "case.staffId", c.StaffID.String(), c.StationID, opened)
	return opened, err
}

// resolveNeeds resolves the needs of a case, sorted. Those that it does not have yet must be needs of the household of the
// case, client.HouseholdID, or of the one where the client lives now, within the data scope.
func resolveNeeds(ctx context.Context, tx *tenantdb.Tx, list []string, had []uuid.UUID, client refs.ResidentRef) ([]uuid.UUID, error) {
	needs := make([]uuid.UUID, len(list))
	fresh := map[uuid.UUID]string{}
	for i, s := range list {
		field := fmt.Sprintf("case.needIds[%d]", i)
		id, err := ids.Parse(field, s)
		if err != nil {
			return nil, err
		}
		needs[i] = id
		if !slices.Contains(had, id) {
			fresh[id] = field
		}
	}
	if len(fresh) > 0 {
		found, err := tenantdb.All(ctx, tx, pgx.RowTo[uuid.UUID], householdNeeds, needs, client.HouseholdID, client.ID,
			authz.ScopeFrom(ctx).StationIDs())
		if err != nil {
			return nil, err
		}
		for _, id := range found {
			delete(fresh, id)
		}
	}
	for _, id := range needs {
		if field, missing := fresh[id]; missing {
			return nil, apierr.InvalidField(field, "must name a need of the household of the case or of the client")
		}
	}
	slices.SortFunc(needs, ids.Compare)
	return slices.Compact(needs), nil
}

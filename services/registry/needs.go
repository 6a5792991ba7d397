package registry

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/standards"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
	"circle15.dev/services/internal/refs"
)

// CreateNeed records a need of a household, or of one of its residents, and counts it.
func (s *Service) CreateNeed(ctx context.Context, req *registryv1.CreateNeedRequest) (*registryv1.Need, error) {
	in := req.GetNeed()
	id, err := ids.OrNew("need.id", in.GetId())
	if err != nil {
		return nil, err
	}
	recorded, err := civildate.ParsePast("need.recordedDate", in.GetRecordedDate())
	if err != nil {
		return nil, err
	}
	if err := checkNeedCodes(ctx, in); err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Need, error) {
		household, err := refs.HouseholdOn(ctx, tx, "need.householdId", in.GetHouseholdId(), in.GetStaffId(), recorded)
		if err != nil {
			return nil, err
		}
		if err := refuseAfterClosing(ctx, tx, "need.recordedDate", household.StationID, recorded); err != nil {
			return nil, err
		}
		need := &needRow{ID: id, HouseholdID: household.ID, StationID: household.StationID, RecordedDate: recorded}
		if err := need.refer(ctx, tx, nil, in); err != nil {
			return nil, err
		}
		row, err := need.insert(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := facts.Append(ctx, tx, row.facts()...); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// GetNeed returns a need of the data scope.
func (s *Service) GetNeed(ctx context.Context, req *registryv1.GetNeedRequest) (*registryv1.Need, error) {
	return get(ctx, s, "need", req.GetId(), scanNeed, selectNeed)
}

// ListNeeds lists the needs of the data scope.
func (s *Service) ListNeeds(ctx context.Context, req *registryv1.ListNeedsRequest) (*registryv1.ListNeedsResponse, error) {
	household, err := ids.ParseOptional("householdId", req.GetHouseholdId())
	if err != nil {
		return nil, err
	}
	resident, err := ids.ParseOptional("residentId", req.GetResidentId())
	if err != nil {
		return nil, err
	}
	needs, next, err := list(ctx, s, req, req.GetStationId(), scanNeed, selectNeeds,
		household, resident, optionalText(needStates.text(req.GetState())), optionalText(req.GetDomain()))
	if err != nil {
		return nil, err
	}
	return &registryv1.ListNeedsResponse{Needs: needs, NextPageToken: next}, nil
}

// UpdateNeed changes a need that is not void. Another day, worker, resident or domain moves the figures along.
func (s *Service) UpdateNeed(ctx context.Context, req *registryv1.UpdateNeedRequest) (*registryv1.Need, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Need, error) {
		old, err := find(ctx, tx, "need.id", "need", req.GetNeed().GetId(), scanNeed, lockNeed)
		if err != nil {
			return nil, err
		}
		merged := old.toProto()
		if err := change(ctx, "need", merged, req.GetNeed(), req.GetUpdateMask(), old.Revision); err != nil {
			return nil, err
		}
		if old.State == needVoid {
			return nil, apierr.New(apierr.Conflict, "the need is void")
		}
		if err := checkNeedCodes(ctx, merged); err != nil {
			return nil, err
		}
		need := *old
		if err := need.recordOn(ctx, tx, merged.GetRecordedDate()); err != nil {
			return nil, err
		}
		if err := need.refer(ctx, tx, old, merged); err != nil {
			return nil, err
		}
		row, err := need.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if !row.countsLike(old) {
			if err := facts.Recount(ctx, tx, facts.SourceNeeds, row.ID, row.facts()...); err != nil {
				return nil, err
			}
		}
		return row.toProto(), nil
	})
}

// MeetNeed records that an open need is met, and counts it.
func (s *Service) MeetNeed(ctx context.Context, req *registryv1.MeetNeedRequest) (*registryv1.Need, error) {
	day, err := civildate.ParsePast("metDate", req.GetMetDate())
	if err != nil {
		return nil, err
	}
	return s.turnNeed(ctx, req,
		func(need *needRow) error { return need.meet(day, req.GetOutcome()) },
		func(ctx context.Context, tx *tenantdb.Tx, need *needRow) error {
			return facts.Append(ctx, tx, need.fact(facts.NeedMet, day))
		})
}

// ReopenNeed opens a met need again; it no longer counts as met.
func (s *Service) ReopenNeed(ctx context.Context, req *registryv1.ReopenNeedRequest) (*registryv1.Need, error) {
	return s.turnNeed(ctx, req,
		func(need *needRow) error { return need.reopen(req.GetReason()) },
		func(ctx context.Context, tx *tenantdb.Tx, need *needRow) error {
			return facts.Reverse(ctx, tx, facts.SourceNeeds, need.ID, facts.NeedMet)
		})
}

// VoidNeed takes a need back, and with it all that it counted.
func (s *Service) VoidNeed(ctx context.Context, req *registryv1.VoidNeedRequest) (*registryv1.Need, error) {
	return s.turnNeed(ctx, req,
		func(need *needRow) error { return need.void(req.GetReason()) },
		func(ctx context.Context, tx *tenantdb.Tx, need *needRow) error {
			return facts.Reverse(ctx, tx, facts.SourceNeeds, need.ID)
		})
}

// turnNeed moves a need to another state and corrects what it counts.
func (s *Service) turnNeed(
	ctx context.Context, req turnRequest, turn func(*needRow) error, count func(context.Context, *tenantdb.Tx, *needRow) error,
) (*registryv1.Need, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Need, error) {
		need, err := find(ctx, tx, "id", "need", req.GetId(), scanNeed, lockNeed)
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "etag", req.GetEtag(), need.Revision); err != nil {
			return nil, err
		}
		if err := turn(need); err != nil {
			return nil, err
		}
		row, err := need.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := count(ctx, tx, row); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// turnRequest is the request of a custom method that moves a record to another state.
type turnRequest interface {
	tagged
	GetId() string
}

func checkNeedCodes(ctx context.Context, m *registryv1.Need) error {
	if err := standards.Check(ctx, "need.domain", standards.Domains, m.GetDomain()); err != nil {
		return err
	}
	return standards.Check(ctx, "need.source", standards.NeedSources, m.GetSource())
}

// recordOn corrects the day on which the need was recorded, no later than it was met.
func (r *needRow) recordOn(ctx context.Context, tx *tenantdb.Tx, date string) error {
	day, err := civildate.ParsePast("need.recordedDate", date)
	if err != nil || day.Equal(r.RecordedDate) {
		return err
	}
	if r.MetDate != nil && day.After(*r.MetDate) {
		return apierr.InvalidField("need.recordedDate", "must not be after %s, when the need was met", civildate.Format(*r.MetDate))
	}
	r.RecordedDate = day
	return refuseAfterClosing(ctx, tx, "need.recordedDate", r.StationID, day)
}

// refer takes over what the message says and resolves whom it names. A reference that stays as it was in the old record,
// nil for a new one, is not resolved again: the resident may have moved since, and the record keeps what it says.
func (r *needRow) refer(ctx context.Context, tx *tenantdb.Tx, old *needRow, m *registryv1.Need) error {
	r.Domain, r.Source, r.Description = m.GetDomain(), m.GetSource(), m.GetDescription()
	if old == nil || m.GetStaffId() != old.StaffID.String() || !r.RecordedDate.Equal(old.RecordedDate) {
		staff, err := refs.StaffOn(ctx, tx, "need.staffId", m.GetStaffId(), r.StationID, r.RecordedDate)
		if err != nil {
			return err
		}
		r.StaffID = staff
	}
	if old == nil || m.GetResidentId() != optionalID(old.ResidentID) {
		resident, err := r.resident(ctx, tx, m.GetResidentId())
		if err != nil {
			return err
		}
		r.ResidentID = resident
	}
	if old == nil || m.GetVisitId() != optionalID(old.VisitID) {
		visit, err := r.visit(ctx, tx, m.GetVisitId())
		if err != nil {
			return err
		}
		r.VisitID = visit
	}
	return nil
}

// resident resolves whose need it is: one of the household when the need was recorded, or since; empty is none.
func (r *needRow) resident(ctx context.Context, tx *tenantdb.Tx, id string) (*uuid.UUID, error) {
	if id == "" {
		return nil, nil
	}
	resident, err := refs.ResidentOn(ctx, tx, "need.residentId", id, r.HouseholdID, r.RecordedDate)
	if err != nil {
		return nil, err
	}
	return &resident, nil
}

// visit resolves the visit at which the need was found: a completed one to the household, not after the day on which the
// need was recorded; empty is none. It is kept from being taken back until the end of the transaction.
func (r *needRow) visit(ctx context.Context, tx *tenantdb.Tx, id string) (*uuid.UUID, error) {
	const field = "need.visitId"
	key, err := ids.ParseOptional(field, id)
	if err != nil || key == nil {
		return nil, err
	}
	day, err := tenantdb.One(ctx, tx, pgx.RowTo[time.Time], shareVisitOfHousehold, *key, r.HouseholdID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, apierr.InvalidField(field, "must name a completed visit to the household")
	}
	if err != nil {
		return nil, err
	}
	if day.After(r.RecordedDate) {
		return nil, apierr.InvalidField(field, "must not name a visit after %s, when the need was recorded", civildate.Format(r.RecordedDate))
	}
	return key, nil
}

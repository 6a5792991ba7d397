package registry

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
)

// CreateStaff records a worker of a station.
func (s *Service) CreateStaff(ctx context.Context, req *registryv1.CreateStaffRequest) (*registryv1.Staff, error) {
	id, err := ids.OrNew("staff.id", req.GetStaff().GetId())
	if err != nil {
		return nil, err
	}
	worker, err := readStaff(id, req.GetStaff())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Staff, error) {
		station, err := openStation(ctx, tx, "staff.stationId", req.GetStaff().GetStationId())
		if err != nil {
			return nil, err
		}
		if err := worker.service().beginsWithin(station.OpenedDate, "staff.startDate", "station"); err != nil {
			return nil, err
		}
		if err := worker.service().endsWithin(station.ClosedDate, "staff.endDate", "station"); err != nil {
			return nil, err
		}
		worker.StationID = station.ID
		if err := worker.checkHead(ctx, s.db, tx); err != nil {
			return nil, err
		}
		row, err := worker.insert(ctx, tx)
		if err != nil {
			return nil, err
		}
		if row.service().goesOn() {
			if err := staffQuota.check(ctx, s.db, tx); err != nil {
				return nil, err
			}
		}
		return row.toProto(), nil
	})
}

// GetStaff returns a worker of the data scope.
func (s *Service) GetStaff(ctx context.Context, req *registryv1.GetStaffRequest) (*registryv1.Staff, error) {
	return get(ctx, s, "worker", req.GetId(), scanStaff, selectStaff)
}

// ListStaff lists the workers of the data scope.
func (s *Service) ListStaff(ctx context.Context, req *registryv1.ListStaffRequest) (*registryv1.ListStaffResponse, error) {
	staff, next, err := list(ctx, s, req, req.GetStationId(), scanStaff, selectAllStaff)
	if err != nil {
		return nil, err
	}
	return &registryv1.ListStaffResponse{Staff: staff, NextPageToken: next}, nil
}

// UpdateStaff changes a worker's record.
func (s *Service) UpdateStaff(ctx context.Context, req *registryv1.UpdateStaffRequest) (*registryv1.Staff, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Staff, error) {
		old, err := find(ctx, tx, "staff.id", "worker", req.GetStaff().GetId(), scanStaff, lockStaff)
		if err != nil {
			return nil, err
		}
		merged := old.toProto()
		merged.PositionSince = "" // given only where the request gives it
		if err := change(ctx, "staff", merged, req.GetStaff(), req.GetUpdateMask(), old.Revision); err != nil {
			return nil, err
		}
		if merged.GetPositionSince() == "" {
			merged.PositionSince = old.positionSince(merged)
		}
		worker, err := readStaff(old.ID, merged)
		if err != nil {
			return nil, err
		}
		worker.StationID = old.StationID
		if err := worker.checkChange(ctx, s.db, tx, old); err != nil {
			return nil, err
		}
		row, err := worker.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if row.service().goesOn() && !old.service().goesOn() {
			if err := staffQuota.check(ctx, s.db, tx); err != nil {
				return nil, err
			}
		}
		return row.toProto(), nil
	})
}

// checkChange checks other days of service, and another position or other days in it.
func (r *staffRow) checkChange(ctx context.Context, db *tenantdb.DB, tx *tenantdb.Tx, old *staffRow) error {
	if !r.service().equal(old.service()) {
		if err := r.moveService(ctx, tx, old); err != nil {
			return err
		}
	}
	if r.Position == old.Position && r.office().equal(old.office()) {
		return nil
	}
	return r.checkHead(ctx, db, tx)
}

// moveService checks other days of service: they lie within the station's, and leave out nothing that the worker did.
func (r *staffRow) moveService(ctx context.Context, tx *tenantdb.Tx, old *staffRow) error {
	station, err := openStation(ctx, tx, "staff.stationId", old.StationID.String())
	if err != nil {
		return err
	}
	if !r.StartDate.Equal(old.StartDate) {
		if err := r.service().beginsWithin(station.OpenedDate, "staff.startDate", "station"); err != nil {
			return err
		}
	}
	if err := r.service().endsWithin(station.ClosedDate, "staff.endDate", "station"); err != nil {
		return err
	}
	return r.checkService(ctx, tx, old)
}

// readStaff reads the message and checks what needs no database. The station is resolved by the caller.
func readStaff(id uuid.UUID, m *registryv1.Staff) (*staffRow, error) {
	service, err := parsePeriod("staff.startDate", m.GetStartDate(), "staff.endDate", m.GetEndDate())
	if err != nil {
		return nil, err
	}
	since, err := civildate.ParseOptional("staff.positionSince", m.GetPositionSince())
	if err != nil {
		return nil, err
	}
	if since != nil && (since.Before(service.first) || service.last != nil && since.After(*service.last)) {
		return nil, apierr.InvalidField("staff.positionSince", "must lie in the time of the worker's service")
	}
	return &staffRow{
		ID: id, Name: m.GetName(), Position: positions.text(m.GetPosition()), PositionSince: since,
		Subject: optionalText(m.GetSubject()), Phone: m.GetPhone(), StartDate: service.first, EndDate: service.last,
	}, nil
}

// positionSince is the first day in the position of a worker whose change does not give it: as it was, or today in
// another position. It is empty, which is the first day of service, where it was that and where service is not of today.
func (r *staffRow) positionSince(changed *registryv1.Staff) string {
	since, today := civildate.FormatOptional(r.PositionSince), civildate.Format(civildate.Today())
	if positions.text(changed.GetPosition()) != r.Position {
		since = today
	}
	if since < changed.GetStartDate() || changed.GetEndDate() != "" && since > changed.GetEndDate() {
		return ""
	}
	return since
}

// office is the time in the present position.
func (r *staffRow) office() period {
	if r.PositionSince != nil {
		return period{*r.PositionSince, r.EndDate}
	}
	return r.service()
}

// checkHead refuses a second head of the station at one time.
func (r *staffRow) checkHead(ctx context.Context, db *tenantdb.DB, tx *tenantdb.Tx) error {
	if r.Position != positions.text(registryv1.StaffPosition_STAFF_POSITION_HEAD) {
		return nil
	}
	return stationsHead.check(ctx, db, tx, r.StationID.String(), r.ID, r.office())
}

// service is the time of the worker's service.
func (r *staffRow) service() period { return period{r.StartDate, r.EndDate} }

// openStation resolves the station of a new or changed record and keeps it from being closed until the end of the
// transaction.
func openStation(ctx context.Context, tx *tenantdb.Tx, field, id string) (*stationRow, error) {
	key, err := ids.Parse(field, id)
	if err != nil {
		return nil, err
	}
	row, err := tenantdb.One(ctx, tx, scanStation, shareStation, key, authz.ScopeFrom(ctx).StationIDs())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, apierr.InvalidField(field, "must name a station within your data scope")
	}
	return row, err
}

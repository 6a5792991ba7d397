package registry

import (
	"context"

	"github.com/google/uuid"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
)

// CreateStation opens a station (社工站) for a township or street and counts it from its first day.
func (s *Service) CreateStation(ctx context.Context, req *registryv1.CreateStationRequest) (*registryv1.Station, error) {
	id, err := ids.OrNew("station.id", req.GetStation().GetId())
	if err != nil {
		return nil, err
	}
	station, err := readStation(id, req.GetStation())
	if err != nil {
		return nil, err
	}
	tenant, err := s.db.Placement(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkTownship("station.divisionCode", station.DivisionCode, tenant.DivisionCode); err != nil {
		return nil, err
	}
	if !authz.ScopeFrom(ctx).Covers(id) {
		return nil, apierr.New(apierr.Denied, "stations are created by those who may reach the whole tenant")
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Station, error) {
		if err := townshipsStation.check(ctx, s.db, tx, station.DivisionCode, station.ID, station.operation()); err != nil {
			return nil, err
		}
		row, err := station.insert(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := facts.Append(ctx, tx, row.facts()...); err != nil {
			return nil, err
		}
		if row.operation().goesOn() {
			if err := stationQuota.check(ctx, s.db, tx); err != nil {
				return nil, err
			}
		}
		return row.toProto(), nil
	})
}

// GetStation returns a station of the data scope.
func (s *Service) GetStation(ctx context.Context, req *registryv1.GetStationRequest) (*registryv1.Station, error) {
	return get(ctx, s, "station", req.GetId(), scanStation, selectStation)
}

// ListStations lists the stations of the data scope.
func (s *Service) ListStations(ctx context.Context, req *registryv1.ListStationsRequest) (*registryv1.ListStationsResponse, error) {
	stations, next, err := list(ctx, s, req, "", scanStation, selectStations, optionalText(req.GetDivisionCode()))
	if err != nil {
		return nil, err
	}
	return &registryv1.ListStationsResponse{Stations: stations, NextPageToken: next}, nil
}

// UpdateStation changes a station. Other days of opening and closing correct the figures.
func (s *Service) UpdateStation(ctx context.Context, req *registryv1.UpdateStationRequest) (*registryv1.Station, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Station, error) {
		old, err := find(ctx, tx, "station.id", "station", req.GetStation().GetId(), scanStation, lockStation)
		if err != nil {
			return nil, err
		}
		merged := old.toProto()
		if err := change(ctx, "station", merged, req.GetStation(), req.GetUpdateMask(), old.Revision); err != nil {
			return nil, err
		}
		station, err := readStation(old.ID, merged)
		if err != nil {
			return nil, err
		}
		if err := station.checkOperation(ctx, s.db, tx, old); err != nil {
			return nil, err
		}
		row, err := station.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if !row.operation().equal(old.operation()) {
			if err := facts.Recount(ctx, tx, facts.SourceStations, row.ID, row.facts()...); err != nil {
				return nil, err
			}
		}
		if row.operation().goesOn() && !old.operation().goesOn() {
			if err := stationQuota.check(ctx, s.db, tx); err != nil {
				return nil, err
			}
		}
		return row.toProto(), nil
	})
}

// readStation reads the message and checks what needs no database.
func readStation(id uuid.UUID, m *registryv1.Station) (*stationRow, error) {
	operation, err := parsePeriod("station.openedDate", m.GetOpenedDate(), "station.closedDate", m.GetClosedDate())
	if err != nil {
		return nil, err
	}
	return &stationRow{
		ID: id, DivisionCode: m.GetDivisionCode(), DisplayName: m.GetDisplayName(), Address: m.GetAddress(), Phone: m.GetPhone(),
		OpenedDate: operation.first, ClosedDate: operation.last,
	}, nil
}

// checkOperation checks other days of opening and closing: they leave out nothing of the station, and take no day of another.
func (r *stationRow) checkOperation(ctx context.Context, db *tenantdb.DB, tx *tenantdb.Tx, old *stationRow) error {
	if r.operation().equal(old.operation()) {
		return nil
	}
	if err := r.checkPeriod(ctx, tx, old); err != nil {
		return err
	}
	return townshipsStation.check(ctx, db, tx, r.DivisionCode, r.ID, r.operation())
}

// facts count the station from its first day to its last.
func (r *stationRow) facts() []facts.Fact {
	return stock(facts.Fact{Measure: facts.Stations, Station: r.ID, SourceType: facts.SourceStations, SourceID: r.ID}, r.operation())
}

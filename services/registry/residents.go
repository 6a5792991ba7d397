package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
)

// CreateResident records a person of a household.
func (s *Service) CreateResident(ctx context.Context, req *registryv1.CreateResidentRequest) (*registryv1.Resident, error) {
	id, err := ids.OrNew("resident.id", req.GetResident().GetId())
	if err != nil {
		return nil, err
	}
	resident, err := readResident(ctx, id, req.GetResident())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Resident, error) {
		if err := resident.joinHousehold(ctx, tx, req.GetResident().GetHouseholdId()); err != nil {
			return nil, err
		}
		if err := resident.checkGuardian(ctx, tx, nil); err != nil {
			return nil, err
		}
		row, err := resident.insert(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := residentQuota.check(ctx, s.db, tx); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// GetResident returns a resident of the data scope.
func (s *Service) GetResident(ctx context.Context, req *registryv1.GetResidentRequest) (*registryv1.Resident, error) {
	return get(ctx, s, "resident", req.GetId(), scanResident, selectResident)
}

// ListResidents lists the residents of the data scope.
func (s *Service) ListResidents(ctx context.Context, req *registryv1.ListResidentsRequest) (*registryv1.ListResidentsResponse, error) {
	household, err := ids.ParseOptional("householdId", req.GetHouseholdId())
	if err != nil {
		return nil, err
	}
	registered := req.Registered // not by the getter, which returns false for none
	residents, next, err := list(ctx, s, req, req.GetStationId(), scanResident, selectResidents,
		household, optionalText(req.GetAssistanceTier()), optionalText(req.GetCategory()), registered)
	if err != nil {
		return nil, err
	}
	return &registryv1.ListResidentsResponse{Residents: residents, NextPageToken: next}, nil
}

// UpdateResident changes a resident. One who moves to another household is served by the station of that household;
// needs, files and cases stay with the station that recorded them.
func (s *Service) UpdateResident(ctx context.Context, req *registryv1.UpdateResidentRequest) (*registryv1.Resident, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Resident, error) {
		if req.GetResident().GetGuardian().GetResidentId() != "" {
			if err := lockGuardians(ctx, s.db, tx); err != nil {
				return nil, err
			}
		}
		holdFirst(tx, shareHousehold, authz.ScopeFrom(ctx), req.GetResident().GetHouseholdId())
		old, err := find(ctx, tx, "resident.id", "resident", req.GetResident().GetId(), scanResident, lockResident)
		if err != nil {
			return nil, err
		}
		merged := old.toWhole()
		if err := change(ctx, "resident", merged, req.GetResident(), req.GetUpdateMask(), old.Revision); err != nil {
			return nil, err
		}
		resident, err := readResident(ctx, old.ID, merged)
		if err != nil {
			return nil, err
		}
		resident.HouseholdID, resident.StationID = old.HouseholdID, old.StationID
		if merged.GetHouseholdId() != old.HouseholdID.String() {
			if err := resident.joinHousehold(ctx, tx, merged.GetHouseholdId()); err != nil {
				return nil, err
			}
		}
		if err := resident.checkGuardian(ctx, tx, old); err != nil {
			return nil, err
		}
		row, err := resident.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if row.HouseholdID != old.HouseholdID {
			tx.Queue(keepResidentStay, row.ID, old.HouseholdID, civildate.Today())
		}
		return row.toProto(), nil
	})
}

// joinHousehold resolves the household, whose station serves the resident, and keeps it from moving until the end of
// the transaction.
func (r *residentRow) joinHousehold(ctx context.Context, tx *tenantdb.Tx, household string) error {
	key, err := ids.Parse("resident.householdId", household)
	if err != nil {
		return err
	}
	home, err := tenantdb.One(ctx, tx, scanHousehold, shareHousehold, key, authz.ScopeFrom(ctx).StationIDs())
	if errors.Is(err, pgx.ErrNoRows) {
		return apierr.InvalidField("resident.householdId", "must name a household within your data scope")
	}
	if err != nil {
		return err
	}
	r.HouseholdID, r.StationID = home.ID, home.StationID
	return nil
}

// item is the JSON path of the element i of a list.
func item(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

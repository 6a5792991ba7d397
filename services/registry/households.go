package registry

import (
	"context"

	"github.com/google/uuid"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
)

// CreateHousehold records a household (户); the station that serves its community serves it.
func (s *Service) CreateHousehold(ctx context.Context, req *registryv1.CreateHouseholdRequest) (*registryv1.Household, error) {
	id, err := ids.OrNew("household.id", req.GetHousehold().GetId())
	if err != nil {
		return nil, err
	}
	household := readHousehold(id, req.GetHousehold())
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Household, error) {
		var err error
		household.CommunityID, household.StationID, err = communityRef(ctx, tx, "household.communityId", req.GetHousehold().GetCommunityId())
		if err != nil {
			return nil, err
		}
		row, err := household.insert(ctx, tx)
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// GetHousehold returns a household of the data scope.
func (s *Service) GetHousehold(ctx context.Context, req *registryv1.GetHouseholdRequest) (*registryv1.Household, error) {
	return get(ctx, s, "household", req.GetId(), scanHousehold, selectHousehold)
}

// ListHouseholds lists the households of the data scope.
func (s *Service) ListHouseholds(ctx context.Context, req *registryv1.ListHouseholdsRequest) (*registryv1.ListHouseholdsResponse, error) {
	community, err := ids.ParseOptional("communityId", req.GetCommunityId())
	if err != nil {
		return nil, err
	}
	households, next, err := list(ctx, s, req, req.GetStationId(), scanHousehold, selectHouseholds, community)
	if err != nil {
		return nil, err
	}
	return &registryv1.ListHouseholdsResponse{Households: households, NextPageToken: next}, nil
}

// UpdateHousehold changes a household. When it moves to a community of another station, its residents come along;
// visits, cases and needs stay with the station that did the work.
func (s *Service) UpdateHousehold(ctx context.Context, req *registryv1.UpdateHouseholdRequest) (*registryv1.Household, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Household, error) {
		holdFirst(tx, shareCommunity, authz.ScopeFrom(ctx), req.GetHousehold().GetCommunityId())
		old, err := find(ctx, tx, "household.id", "household", req.GetHousehold().GetId(), scanHousehold, lockHousehold)
		if err != nil {
			return nil, err
		}
		merged := old.toProto()
		if err := change(ctx, "household", merged, req.GetHousehold(), req.GetUpdateMask(), old.Revision); err != nil {
			return nil, err
		}
		household := readHousehold(old.ID, merged)
		household.CommunityID, household.StationID = old.CommunityID, old.StationID
		if merged.GetCommunityId() != old.CommunityID.String() {
			household.CommunityID, household.StationID, err = communityRef(ctx, tx, "household.communityId", merged.GetCommunityId())
			if err != nil {
				return nil, err
			}
		}
		row, err := household.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if row.StationID != old.StationID {
			tx.Queue(keepHouseholdStay, row.ID, old.StationID, civildate.Today())
			tx.Queue(moveResidents, row.ID, row.StationID)
		}
		return row.toProto(), nil
	})
}

// readHousehold reads the message; community and station are resolved by the caller.
func readHousehold(id uuid.UUID, m *registryv1.Household) *householdRow {
	return &householdRow{ID: id, HeadName: m.GetHeadName(), Address: m.GetAddress(), Phone: m.GetPhone(), Note: m.GetNote()}
}

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

// CreateCommunity records a community or village (社区/村) of the station's township.
func (s *Service) CreateCommunity(ctx context.Context, req *registryv1.CreateCommunityRequest) (*registryv1.Community, error) {
	in := req.GetCommunity()
	id, err := ids.OrNew("community.id", in.GetId())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Community, error) {
		station, err := openStation(ctx, tx, "community.stationId", in.GetStationId())
		if err != nil {
			return nil, err
		}
		if err := station.openOn("community.stationId", civildate.Today()); err != nil {
			return nil, err
		}
		if err := checkCommunityCode("community.divisionCode", in.GetDivisionCode(), station.DivisionCode); err != nil {
			return nil, err
		}
		community := &communityRow{ID: id, StationID: station.ID, DivisionCode: in.GetDivisionCode(), DisplayName: in.GetDisplayName()}
		row, err := community.insert(ctx, tx)
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// GetCommunity returns a community of the data scope.
func (s *Service) GetCommunity(ctx context.Context, req *registryv1.GetCommunityRequest) (*registryv1.Community, error) {
	return get(ctx, s, "community", req.GetId(), scanCommunity, selectCommunity)
}

// ListCommunities lists the communities of the data scope.
func (s *Service) ListCommunities(
	ctx context.Context, req *registryv1.ListCommunitiesRequest,
) (*registryv1.ListCommunitiesResponse, error) {
	communities, next, err := list(ctx, s, req, req.GetStationId(), scanCommunity, selectCommunities, optionalText(req.GetDivisionCode()))
	if err != nil {
		return nil, err
	}
	return &registryv1.ListCommunitiesResponse{Communities: communities, NextPageToken: next}, nil
}

// UpdateCommunity changes a community's name.
func (s *Service) UpdateCommunity(ctx context.Context, req *registryv1.UpdateCommunityRequest) (*registryv1.Community, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Community, error) {
		old, err := find(ctx, tx, "community.id", "community", req.GetCommunity().GetId(), scanCommunity, lockCommunity)
		if err != nil {
			return nil, err
		}
		merged := old.toProto()
		if err := change(ctx, "community", merged, req.GetCommunity(), req.GetUpdateMask(), old.Revision); err != nil {
			return nil, err
		}
		row, err := tenantdb.One(ctx, tx, scanCommunity, updateCommunity, old.ID, merged.GetDisplayName())
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// communityRef resolves the community of a household to its id and station.
func communityRef(ctx context.Context, tx *tenantdb.Tx, field, id string) (community, station uuid.UUID, err error) {
	community, err = ids.Parse(field, id)
	if err != nil {
		return uuid.Nil, uuid.Nil, err
	}
	station, err = tenantdb.One(ctx, tx, pgx.RowTo[uuid.UUID], selectCommunityStation, community, authz.ScopeFrom(ctx).StationIDs())
	if errors.Is(err, pgx.ErrNoRows) {
		err = apierr.InvalidField(field, "must name a community within your data scope")
	}
	return community, station, err
}

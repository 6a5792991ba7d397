package registry

import (
	"context"
	"errors"
	"strings"

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

// UpdateCommunity changes a community. When it goes to another station, as when one closes and another opens in the
// township, its households and their residents come along; visits, cases and needs stay with the station that did the work.
func (s *Service) UpdateCommunity(ctx context.Context, req *registryv1.UpdateCommunityRequest) (*registryv1.Community, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Community, error) {
		holdFirst(tx, shareStation, authz.ScopeFrom(ctx), req.GetCommunity().GetStationId())
		old, err := find(ctx, tx, "community.id", "community", req.GetCommunity().GetId(), scanCommunity, lockCommunity)
		if err != nil {
			return nil, err
		}
		merged := old.toProto()
		if err := change(ctx, "community", merged, req.GetCommunity(), req.GetUpdateMask(), old.Revision); err != nil {
			return nil, err
		}
		station := old.StationID
		if merged.GetStationId() != old.StationID.String() {
			if station, err = old.successor(ctx, tx, merged.GetStationId()); err != nil {
				return nil, err
			}
		}
		row, err := tenantdb.One(ctx, tx, scanCommunity, updateCommunity, old.ID, station, merged.GetDisplayName())
		if err != nil {
			return nil, err
		}
		if row.StationID != old.StationID {
			tx.Queue(moveHouseholds, row.ID, row.StationID, old.StationID, civildate.Today())
			tx.Queue(moveResidentsOfCommunity, row.ID, row.StationID)
		}
		return row.toProto(), nil
	})
}

// successor resolves another station for the community, which is for those who reach the whole tenant: it must serve the
// community's township and be in operation.
func (r *communityRow) successor(ctx context.Context, tx *tenantdb.Tx, id string) (uuid.UUID, error) {
	const field = "community.stationId"
	if authz.ScopeFrom(ctx).Level != authz.LevelTenant {
		return uuid.Nil, apierr.New(apierr.Denied, "communities go to another station by those who may reach the whole tenant")
	}
	station, err := openStation(ctx, tx, field, id)
	if err != nil {
		return uuid.Nil, err
	}
	if !strings.HasPrefix(r.DivisionCode, station.DivisionCode) {
		return uuid.Nil, apierr.InvalidField(field, "must name a station of %s, the community's township", named(r.DivisionCode[:9]))
	}
	if station.OpenedDate.After(civildate.Today()) || !station.operation().goesOn() {
		return uuid.Nil, apierr.InvalidField(field, "must name a station in operation")
	}
	return station.ID, nil
}

// communityRef resolves the community that a household is to belong to, to its id and its station, which must be in
// operation still. It keeps the community at that station, and the station open, until the end of the transaction.
func communityRef(ctx context.Context, tx *tenantdb.Tx, field, id string) (community, station uuid.UUID, err error) {
	community, err = ids.Parse(field, id)
	if err != nil {
		return uuid.Nil, uuid.Nil, err
	}
	station, err = tenantdb.One(ctx, tx, pgx.RowTo[uuid.UUID], shareCommunity, community, authz.ScopeFrom(ctx).StationIDs())
	if errors.Is(err, pgx.ErrNoRows) {
		err = apierr.InvalidField(field, "must name a community within your data scope")
	}
	if err == nil {
		err = refuseAfterClosing(ctx, tx, field, station, civildate.Today())
	}
	return community, station, err
}

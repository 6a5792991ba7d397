package iam

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/emptypb"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
	"circle15.dev/services/internal/refs"
)

// maxGrants bounds the grants of one subject, so that deciding about it stays quick.
const maxGrants = 100

// ListRoleGrants lists grants, also expired ones, ordered by id.
func (s *Service) ListRoleGrants(ctx context.Context, req *iamv1.ListRoleGrantsRequest) (*iamv1.ListRoleGrantsResponse, error) {
	if err := wholeTenant(ctx); err != nil {
		return nil, err
	}
	p, after, err := s.pages.StartAtID(ctx, req)
	if err != nil {
		return nil, err
	}
	station, err := ids.ParseOptional("stationId", req.GetStationId())
	if err != nil {
		return nil, err
	}
	rows, err := selectGrants(ctx, s.db, after, req.GetSubject(), req.GetRole(), station, p.Fetch())
	if err != nil {
		return nil, err
	}
	messages, next := page.Answer(ctx, s.pages, req, p, rows, grantRow.cursor, grantRow.toProto)
	return &iamv1.ListRoleGrantsResponse{RoleGrants: messages, NextPageToken: next}, nil
}

// GetRoleGrant returns a grant.
func (s *Service) GetRoleGrant(ctx context.Context, req *iamv1.GetRoleGrantRequest) (*iamv1.RoleGrant, error) {
	if err := wholeTenant(ctx); err != nil {
		return nil, err
	}
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	row, err := readGrant(ctx, s.db, id)
	if err != nil {
		return nil, err
	}
	return row.toProto(), nil
}

// CreateRoleGrant gives a subject a role.
func (s *Service) CreateRoleGrant(ctx context.Context, req *iamv1.CreateRoleGrantRequest) (*iamv1.RoleGrant, error) {
	if err := wholeTenant(ctx); err != nil {
		return nil, err
	}
	in := req.GetRoleGrant()
	id, err := ids.OrNew("roleGrant.id", in.GetId())
	if err != nil {
		return nil, err
	}
	who, err := authn.Caller(ctx)
	if err != nil {
		return nil, err
	}
	expires, err := expiry(in)
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*iamv1.RoleGrant, error) {
		if who.Subject == in.GetSubject() { // in here, so that the attempt is in the audit trail
			return nil, apierr.New(apierr.Denied, "nobody grants a role to themselves")
		}
		station, err := stationFor(ctx, tx, in)
		if err != nil {
			return nil, err
		}
		if err := keepDutiesApart(ctx, tx, in); err != nil {
			return nil, err
		}
		held, err := countActiveGrants(ctx, tx, in.GetSubject())
		if err != nil {
			return nil, err
		}
		if held >= maxGrants {
			return nil, apierr.New(apierr.Conflict, "the subject has %d grants; delete one first", held)
		}
		row, err := insertGrant(ctx, tx, grantRow{
			ID: id, Subject: in.GetSubject(), Role: in.GetRole(), Station: station, Expires: expires, CreatedBy: who.Subject,
		})
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// DeleteRoleGrant takes a grant back, unless the province asked for it: the operator would only put it back.
func (s *Service) DeleteRoleGrant(ctx context.Context, req *iamv1.DeleteRoleGrantRequest) (*emptypb.Empty, error) {
	if err := wholeTenant(ctx); err != nil {
		return nil, err
	}
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*emptypb.Empty, error) {
		grant, err := readGrant(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if grant.CreatedBy == authz.ByOperator || grant.CreatedBy == authz.ByOperatorAtStation {
			return nil, apierr.New(apierr.Conflict, "the province gives this role with the tenant, in its Tenant object; have it taken back there")
		}
		return &emptypb.Empty{}, deleteGrant(ctx, tx, id)
	})
}

// keepDutiesApart refuses a grant that would make one subject two of the three administrators (MLPS level 3, GB/T 22239).
// Grants of the three roles are made one after the other, so that two at once do not pass each other.
func keepDutiesApart(ctx context.Context, tx *tenantdb.Tx, in *iamv1.RoleGrant) error {
	apart := authz.ApartFrom(in.GetRole())
	if len(apart) == 0 {
		return nil
	}
	if err := lockAdministration(ctx, tx); err != nil {
		return err
	}
	held, err := activeRolesAmong(ctx, tx, in.GetSubject(), apart)
	if err != nil || len(held) == 0 {
		return err
	}
	return apierr.New(apierr.Conflict, "the subject holds the role %s, which is kept apart from %s", held[0], in.GetRole()).
		With("roleGrant.role", "is kept apart from a role that the subject holds")
}

// stationFor is the station of a new grant: required where the role's rules are about stations, out of place where
// none is.
func stationFor(ctx context.Context, tx *tenantdb.Tx, in *iamv1.RoleGrant) (*uuid.UUID, error) {
	role, err := readRole(ctx, tx, in.GetRole())
	if apierr.KindOf(err) == apierr.NotFound {
		return nil, apierr.InvalidField("roleGrant.role", "must name a role of the tenant")
	}
	if err != nil {
		return nil, err
	}
	switch named := in.GetStationId() != ""; {
	case role.reachesStations() && !named:
		return nil, apierr.InvalidField("roleGrant.stationId", "is required: the role is about the records of a station")
	case !role.reachesStations() && named:
		return nil, apierr.InvalidField("roleGrant.stationId", "must be absent: the role is not about a station")
	case !named:
		return nil, nil
	}
	station, err := refs.Station(ctx, tx, "roleGrant.stationId", in.GetStationId())
	if err != nil {
		return nil, err
	}
	return &station, nil
}

func expiry(in *iamv1.RoleGrant) (*time.Time, error) {
	if in.GetExpireTime() == nil {
		return nil, nil
	}
	if err := in.GetExpireTime().CheckValid(); err != nil {
		return nil, apierr.InvalidField("roleGrant.expireTime", "is not a time")
	}
	at := in.GetExpireTime().AsTime()
	if !at.After(time.Now()) {
		return nil, apierr.InvalidField("roleGrant.expireTime", "must lie in the future")
	}
	return &at, nil
}

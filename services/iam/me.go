package iam

import (
	"context"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/tenant"
)

// WhoAmI says who the caller is, which roles it holds and what they permit.
func (s *Service) WhoAmI(ctx context.Context, _ *iamv1.WhoAmIRequest) (*iamv1.Me, error) {
	who, err := authn.Caller(ctx)
	if err != nil {
		return nil, err
	}
	name, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	snapshot, err := s.policies.Snapshot(ctx, name)
	if err != nil {
		return nil, err
	}
	grants, err := selectActiveGrants(ctx, s.db, who.Subject)
	if err != nil {
		return nil, err
	}
	me := &iamv1.Me{Subject: who.Subject, DisplayName: who.Name, Tenant: name.String(), RoleGrants: grantsToProto(grants)}
	for _, p := range authz.Permissions() {
		if scope, allowed := snapshot.Decide(who.Subject, p.Resource, p.Action); allowed {
			me.Permissions = append(me.Permissions, permissionToProto(p, scope))
		}
	}
	return me, nil
}

func permissionToProto(p authz.Permission, scope authz.Scope) *iamv1.Permission {
	out := &iamv1.Permission{Resource: p.Resource, Action: p.Action, Level: levelToProto[scope.Level]}
	for _, id := range scope.Stations {
		out.StationIds = append(out.StationIds, id.String())
	}
	return out
}

package iam

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/emptypb"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/page"
	"circle15.dev/internal/patch"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/validate"
	"circle15.dev/internal/write"
)

// maxOwnRoles bounds the roles that a tenant may add, so that its policy stays small.
const maxOwnRoles = 100

// ListRoles lists the tenant's roles with their rules, ordered by name.
func (s *Service) ListRoles(ctx context.Context, req *iamv1.ListRolesRequest) (*iamv1.ListRolesResponse, error) {
	if err := wholeTenant(ctx); err != nil {
		return nil, err
	}
	p, err := s.pages.Start(ctx, req)
	if err != nil {
		return nil, err
	}
	rows, err := selectRoles(ctx, s.db, p.After, p.Fetch())
	if err != nil {
		return nil, err
	}
	messages, next := page.Answer(ctx, s.pages, req, p, rows, roleRow.cursor, roleRow.toProto)
	return &iamv1.ListRolesResponse{Roles: messages, NextPageToken: next}, nil
}

// GetRole returns a role with its rules.
func (s *Service) GetRole(ctx context.Context, req *iamv1.GetRoleRequest) (*iamv1.Role, error) {
	if err := wholeTenant(ctx); err != nil {
		return nil, err
	}
	row, err := readRole(ctx, s.db, req.GetName())
	if err != nil {
		return nil, err
	}
	return row.toProto(), nil
}

// CreateRole creates a role of the tenant's own.
func (s *Service) CreateRole(ctx context.Context, req *iamv1.CreateRoleRequest) (*iamv1.Role, error) {
	if err := wholeTenant(ctx); err != nil {
		return nil, err
	}
	rules, err := checkRules(req.GetRole().GetRules(), ruleColumns{})
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*iamv1.Role, error) {
		own, err := countOwnRoles(ctx, tx)
		if err != nil {
			return nil, err
		}
		if own >= maxOwnRoles {
			return nil, apierr.New(apierr.Conflict, "the tenant has %d roles of its own; delete one first", own)
		}
		in := req.GetRole()
		row := roleRow{Name: in.GetName(), TitleZh: in.GetTitleZh(), TitleEn: in.GetTitleEn(), Revision: 1, ruleColumns: rules}
		err = insertRole(ctx, tx, row)
		if apierr.KindOf(err) == apierr.AlreadyExists {
			const taken = "is taken by another role"
			return nil, apierr.New(apierr.AlreadyExists, "role.name: %s", taken).With("role.name", taken).Cause(err)
		}
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// UpdateRole changes what the mask names of a role of the tenant's own.
func (s *Service) UpdateRole(ctx context.Context, req *iamv1.UpdateRoleRequest) (*iamv1.Role, error) {
	if err := wholeTenant(ctx); err != nil {
		return nil, err
	}
	// An update is not checked before it is merged: a name that no role can have is named here, as for the other methods.
	if err := validate.Message("role", &iamv1.GetRoleRequest{Name: req.GetRole().GetName()}); err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*iamv1.Role, error) {
		was, err := lockOwnRole(ctx, tx, req.GetRole().GetName(), "role.etag", req.GetRole().GetEtag())
		if err != nil {
			return nil, err
		}
		if err := notHeldByCaller(ctx, tx, was.Name); err != nil {
			return nil, err
		}
		merged := was.toProto()
		if err := patch.Apply("role", merged, req.GetRole(), req.GetUpdateMask()); err != nil {
			return nil, err
		}
		rules, err := checkRules(merged.GetRules(), was.ruleColumns)
		if err != nil {
			return nil, err
		}
		now := was
		now.TitleZh, now.TitleEn, now.Revision, now.ruleColumns = merged.GetTitleZh(), merged.GetTitleEn(), was.Revision+1, rules
		if err := updateRole(ctx, tx, now); err != nil {
			return nil, err
		}
		return now.toProto(), nil
	})
}

// DeleteRole deletes a role of the tenant's own that nobody holds.
func (s *Service) DeleteRole(ctx context.Context, req *iamv1.DeleteRoleRequest) (*emptypb.Empty, error) {
	if err := wholeTenant(ctx); err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*emptypb.Empty, error) {
		row, err := lockOwnRole(ctx, tx, req.GetName(), "etag", req.GetEtag())
		if err != nil {
			return nil, err
		}
		held, err := countGrantsOf(ctx, tx, row.Name)
		if err != nil {
			return nil, err
		}
		if held > 0 {
			return nil, apierr.New(apierr.Conflict, "role %q has %d grants; delete them first", row.Name, held)
		}
		return &emptypb.Empty{}, deleteRole(ctx, tx, row.Name)
	})
}

// lockOwnRole reads a role that is about to change. The platform's roles do not.
func lockOwnRole(ctx context.Context, tx *tenantdb.Tx, name, tagField, tag string) (roleRow, error) {
	row, err := lockRole(ctx, tx, name)
	if err != nil {
		return row, err
	}
	if row.Standard {
		return row, apierr.New(apierr.Conflict, "role %q is a standard role and cannot be changed; create one of your own", name)
	}
	return row, etag.Match(ctx, tagField, tag, row.Revision)
}

// notHeldByCaller keeps callers from widening what they themselves may do.
func notHeldByCaller(ctx context.Context, tx *tenantdb.Tx, role string) error {
	who, err := authn.Caller(ctx)
	if err != nil {
		return err
	}
	held, err := holds(ctx, tx, who.Subject, role)
	if err != nil {
		return err
	}
	if held {
		return apierr.New(apierr.Denied, "nobody changes a role that they hold themselves")
	}
	return nil
}

// checkRules reads the rules of a role; every one must be about a permission that exists and is not for the standard roles
// alone, at a level that means something for it. A rule that the role had may stay.
func checkRules(rules []*iamv1.Rule, had ruleColumns) (ruleColumns, error) {
	type key struct{ resource, action string }
	seen := map[key]bool{}
	sorted := slices.Clone(rules)
	slices.SortFunc(sorted, compareRules)
	for i, r := range rules {
		field := fmt.Sprintf("role.rules[%d]", i)
		level := levelFromProto[r.GetLevel()]
		switch {
		case !authz.Known(r.GetResource(), authz.Any):
			return ruleColumns{}, apierr.InvalidField(field+".resource", "there is no resource %q", r.GetResource())
		case authz.Reserved(r.GetResource()) && !had.contain(r.GetResource(), r.GetAction(), level):
			return ruleColumns{}, apierr.InvalidField(field+".resource",
				"covers roles, grants or the audit trail, which are for the standard roles alone; name other resources one by one")
		case !authz.Known(r.GetResource(), r.GetAction()):
			return ruleColumns{}, apierr.InvalidField(field+".action", "there is no action %q on %q", r.GetAction(), r.GetResource())
		case !authz.Sensible(r.GetResource(), r.GetAction(), level):
			return ruleColumns{}, apierr.InvalidField(field+".level", "means nothing for %s:%s", r.GetResource(), r.GetAction())
		case seen[key{r.GetResource(), r.GetAction()}]:
			return ruleColumns{}, apierr.InvalidField(field, "%s:%s has a rule already", r.GetResource(), r.GetAction())
		}
		seen[key{r.GetResource(), r.GetAction()}] = true
	}
	var columns ruleColumns
	for _, r := range sorted {
		columns.Resources = append(columns.Resources, r.GetResource())
		columns.Actions = append(columns.Actions, r.GetAction())
		columns.Levels = append(columns.Levels, string(levelFromProto[r.GetLevel()]))
	}
	return columns, nil
}

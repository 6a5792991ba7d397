package activities

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	activitiesv1 "circle15.dev/api/activities/v1"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/page"
	"circle15.dev/internal/patch"
	"circle15.dev/internal/standards"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
	"circle15.dev/services/internal/refs"
)

// CreateGroup opens a group in its preparation and counts it (个).
func (s *Service) CreateGroup(ctx context.Context, req *activitiesv1.CreateGroupRequest) (*activitiesv1.Group, error) {
	in := req.GetGroup()
	id, err := ids.OrNew("group.id", in.GetId())
	if err != nil {
		return nil, err
	}
	opened, err := civildate.ParsePast("group.openedDate", in.GetOpenedDate())
	if err != nil {
		return nil, err
	}
	if err := standards.Check(ctx, "group.domain", standards.Domains, in.GetDomain()); err != nil {
		return nil, err
	}
	by, err := authn.Subject(ctx)
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*activitiesv1.Group, error) {
		station, err := refs.Station(ctx, tx, "group.stationId", in.GetStationId())
		if err != nil {
			return nil, err
		}
		if err := refs.SinceOpened(ctx, tx, "group.openedDate", station, opened); err != nil {
			return nil, err
		}
		worker, err := refs.StaffOn(ctx, tx, "group.staffId", in.GetStaffId(), station, opened)
		if err != nil {
			return nil, err
		}
		members, err := refs.Residents(ctx, tx, "group.memberIds", in.GetMemberIds(), station)
		if err != nil {
			return nil, err
		}
		row, err := groupRow{
			ID: id, StationID: station, StaffID: worker, DisplayName: in.GetDisplayName(), Domain: in.GetDomain(),
			Purpose: in.GetPurpose(), progress: progress{Stage: preparation, Opened: opened}, MemberIDs: members,
		}.insert(ctx, tx, by)
		if err != nil {
			return nil, err
		}
		if err := facts.Append(ctx, tx, row.fact()); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// GetGroup returns a group of the data scope, in one statement.
func (s *Service) GetGroup(ctx context.Context, req *activitiesv1.GetGroupRequest) (*activitiesv1.Group, error) {
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	scope := authz.ScopeFrom(ctx)
	row, err := tenantdb.One(ctx, s.db, pgx.RowToStructByPos[groupRow], getGroup, id, scope.StationIDs(), scope.Owner())
	if err != nil {
		return nil, tenantdb.OrMissing(err, "group", id)
	}
	return row.toProto(), nil
}

// ListGroups lists the groups of the data scope, ordered by id.
func (s *Service) ListGroups(ctx context.Context, req *activitiesv1.ListGroupsRequest) (*activitiesv1.ListGroupsResponse, error) {
	p, after, err := s.pages.StartAtID(ctx, req)
	if err != nil {
		return nil, err
	}
	station, err := ids.ParseOptional("stationId", req.GetStationId())
	if err != nil {
		return nil, err
	}
	scope := authz.ScopeFrom(ctx)
	rows, err := tenantdb.All(ctx, s.db, pgx.RowToStructByPos[groupRow], listGroups, after, scope.StationIDs(), scope.Owner(),
		station, string(stageFromProto[req.GetStage()]), req.GetDomain(), p.Fetch())
	if err != nil {
		return nil, err
	}
	messages, next := page.Answer(ctx, s.pages, req, p, rows, groupRow.cursor, groupRow.toProto)
	return &activitiesv1.ListGroupsResponse{Groups: messages, NextPageToken: next}, nil
}

// UpdateGroup changes what the mask names, in whatever stage. The figures follow another day of the opening,
// worker or domain.
func (s *Service) UpdateGroup(ctx context.Context, req *activitiesv1.UpdateGroupRequest) (*activitiesv1.Group, error) {
	id, err := ids.Parse("group.id", req.GetGroup().GetId())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*activitiesv1.Group, error) {
		was, err := lockedGroup(ctx, tx, id, authz.ScopeFrom(ctx).Owner())
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "group.etag", req.GetGroup().GetEtag(), was.Revision); err != nil {
			return nil, err
		}
		if err := was.notVoid(); err != nil {
			return nil, err
		}
		merged := was.toProto()
		if err := patch.Apply("group", merged, req.GetGroup(), req.GetUpdateMask()); err != nil {
			return nil, err
		}
		now, err := was.changed(ctx, tx, merged)
		if err != nil {
			return nil, err
		}
		row, err := now.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := recountGroup(ctx, tx, was, row); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// changed is the group with the client's fields of merged, checked. References are resolved where they change: a worker
// or a member who has left since stays in the groups of that time.
func (g groupRow) changed(ctx context.Context, tx *tenantdb.Tx, merged *activitiesv1.Group) (groupRow, error) {
	now, err := g, error(nil)
	now.DisplayName, now.Domain, now.Purpose = merged.GetDisplayName(), merged.GetDomain(), merged.GetPurpose()
	if now.Domain != g.Domain {
		if err := standards.Check(ctx, "group.domain", standards.Domains, now.Domain); err != nil {
			return now, err
		}
	}
	if merged.GetStaffId() != g.StaffID.String() {
		if now.StaffID, err = refs.Staff(ctx, tx, "group.staffId", merged.GetStaffId(), g.StationID); err != nil {
			return now, err
		}
	}
	if merged.GetOpenedDate() != civildate.Format(g.Opened) {
		if now.Opened, err = correctedOpening(ctx, tx, now, merged.GetOpenedDate()); err != nil {
			return now, err
		}
	}
	if !slices.Equal(merged.GetMemberIds(), ids.Strings(g.MemberIDs)) {
		now.MemberIDs, err = refs.Residents(ctx, tx, "group.memberIds", merged.GetMemberIds(), g.StationID)
	}
	return now, err
}

// correctedOpening reads another day of the opening: one not after the first session or the end, on which the station was
// open and the worker served.
func correctedOpening(ctx context.Context, tx *tenantdb.Tx, g groupRow, text string) (time.Time, error) {
	opened, err := civildate.ParsePast("group.openedDate", text)
	if err != nil {
		return opened, err
	}
	held, err := sessionDays(ctx, tx, g.ID)
	if err != nil {
		return opened, err
	}
	if err := g.mayOpen(opened, held.First); err != nil {
		return opened, err
	}
	if err := refs.SinceOpened(ctx, tx, "group.openedDate", g.StationID, opened); err != nil {
		return opened, err
	}
	_, err = refs.StaffOn(ctx, tx, "group.staffId", g.StaffID.String(), g.StationID, opened)
	return opened, err
}

// VoidGroup takes a group back, and its figures with those of its sessions.
func (s *Service) VoidGroup(ctx context.Context, req *activitiesv1.VoidGroupRequest) (*activitiesv1.Group, error) {
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*activitiesv1.Group, error) {
		row, err := lockedGroup(ctx, tx, id, authz.ScopeFrom(ctx).Owner())
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "etag", req.GetEtag(), row.Revision); err != nil {
			return nil, err
		}
		if row.progress, err = row.takeBack(req.GetReason()); err != nil {
			return nil, err
		}
		if row, err = row.update(ctx, tx); err != nil {
			return nil, err
		}
		if err := reverseGroup(ctx, tx, row); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// AdvanceGroup moves a group to its next stage, or one back. The figures stay: it is one group.
func (s *Service) AdvanceGroup(ctx context.Context, req *activitiesv1.AdvanceGroupRequest) (*activitiesv1.Group, error) {
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	ended, err := pastOrNone("endedDate", req.GetEndedDate())
	if err != nil {
		return nil, err
	}
	to := move{To: stageFromProto[req.GetStage()], Ended: ended, Reason: req.GetReason()}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*activitiesv1.Group, error) {
		row, err := lockedGroup(ctx, tx, id, authz.ScopeFrom(ctx).Owner())
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "etag", req.GetEtag(), row.Revision); err != nil {
			return nil, err
		}
		sessions, err := sessionDays(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if row.progress, err = row.advance(to, sessions.Last); err != nil {
			return nil, err
		}
		if row, err = row.update(ctx, tx); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

package activities

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	activitiesv1 "circle15.dev/api/activities/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
	"circle15.dev/services/internal/refs"
)

// CreateGroupSession records a session of a group with its attendance, and counts the person-times (人次).
func (s *Service) CreateGroupSession(
	ctx context.Context, req *activitiesv1.CreateGroupSessionRequest,
) (*activitiesv1.GroupSession, error) {
	groupID, err := ids.Parse("groupId", req.GetGroupId())
	if err != nil {
		return nil, err
	}
	in := req.GetSession()
	id, err := ids.OrNew("session.id", in.GetId())
	if err != nil {
		return nil, err
	}
	day, err := civildate.ParsePast("session.sessionDate", in.GetSessionDate())
	if err != nil {
		return nil, err
	}
	by, err := authn.Subject(ctx)
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*activitiesv1.GroupSession, error) {
		group, err := lockedGroup(ctx, tx, groupID, authz.ScopeFrom(ctx).Owner())
		if err != nil {
			return nil, err
		}
		if err := group.admits(day); err != nil {
			return nil, err
		}
		worker, err := refs.StaffOn(ctx, tx, "session.staffId", in.GetStaffId(), group.StationID, day)
		if err != nil {
			return nil, err
		}
		attendees, err := resolveAttendees(ctx, tx, in.GetAttendeeIds(), nil, group.StationID)
		if err != nil {
			return nil, err
		}
		row, err := sessionRow{
			ID: id, GroupID: group.ID, StationID: group.StationID, StaffID: worker, Theme: in.GetTheme(), SessionDate: day,
			DurationMinutes: in.GetDurationMinutes(), Record: in.GetRecord(), AttendeeIDs: idsOf(attendees),
		}.insert(ctx, tx, by)
		if err != nil {
			return nil, err
		}
		if err := facts.Append(ctx, tx, attendance(row, group.Domain, attendees)...); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// resolveAttendees resolves those who attended, ordered by id, with the households to which they are counted. Whoever is
// among had, with the household of that time, stays; the others must be residents of the station.
func resolveAttendees(
	ctx context.Context, tx *tenantdb.Tx, list []string, had []attendee, station uuid.UUID,
) ([]attendee, error) {
	keys, fresh := make([]uuid.UUID, len(list)), []uuid.UUID{}
	known := map[uuid.UUID]attendee{}
	for _, a := range had {
		known[a.ID] = a
	}
	for i, text := range list {
		key, err := ids.Parse(attendeeField(i), text)
		if err != nil {
			return nil, err
		}
		if slices.Contains(keys[:i], key) {
			return nil, apierr.InvalidField(attendeeField(i), "must not occur twice")
		}
		if _, ok := known[key]; !ok {
			fresh = append(fresh, key)
		}
		keys[i] = key
	}
	if len(fresh) > 0 {
		found, err := tenantdb.All(ctx, tx, pgx.RowToStructByPos[attendee], findAttendees, fresh, station)
		if err != nil {
			return nil, err
		}
		for _, a := range found {
			known[a.ID] = a
		}
	}
	attendees := make([]attendee, len(keys))
	for i, key := range keys {
		var ok bool
		if attendees[i], ok = known[key]; !ok {
			return nil, apierr.InvalidField(attendeeField(i), "must name a resident of the same station")
		}
	}
	slices.SortFunc(attendees, func(a, b attendee) int { return ids.Compare(a.ID, b.ID) })
	return attendees, nil
}

func attendeeField(i int) string { return fmt.Sprintf("session.attendeeIds[%d]", i) }

func idsOf(attendees []attendee) []uuid.UUID {
	out := make([]uuid.UUID, len(attendees))
	for i, a := range attendees {
		out[i] = a.ID
	}
	return out
}

// GetGroupSession returns a session of a group of the data scope, in one statement.
func (s *Service) GetGroupSession(ctx context.Context, req *activitiesv1.GetGroupSessionRequest) (*activitiesv1.GroupSession, error) {
	group, err := ids.Parse("groupId", req.GetGroupId())
	if err != nil {
		return nil, err
	}
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	scope := authz.ScopeFrom(ctx)
	row, err := tenantdb.One(ctx, s.db, pgx.RowToStructByPos[sessionRow], getSession, group, scope.StationIDs(), scope.Owner(), id)
	if err != nil {
		return nil, tenantdb.OrMissing(err, "group session", id)
	}
	return row.toProto(), nil
}

// ListGroupSessions lists the sessions of a group of the data scope, ordered by id.
func (s *Service) ListGroupSessions(
	ctx context.Context, req *activitiesv1.ListGroupSessionsRequest,
) (*activitiesv1.ListGroupSessionsResponse, error) {
	group, err := ids.Parse("groupId", req.GetGroupId())
	if err != nil {
		return nil, err
	}
	p, after, err := s.pages.StartAtID(ctx, req)
	if err != nil {
		return nil, err
	}
	scope := authz.ScopeFrom(ctx)
	if _, err := tenantdb.One(ctx, s.db, pgx.RowTo[uuid.UUID], findGroup, group, scope.StationIDs(), scope.Owner()); err != nil {
		return nil, tenantdb.OrMissing(err, "group", group)
	}
	rows, err := tenantdb.All(ctx, s.db, pgx.RowToStructByPos[sessionRow], listSessions, group, after, p.Fetch())
	if err != nil {
		return nil, err
	}
	messages, next := page.Answer(ctx, s.pages, req, p, rows, sessionRow.cursor, sessionRow.toProto)
	return &activitiesv1.ListGroupSessionsResponse{GroupSessions: messages, NextPageToken: next}, nil
}

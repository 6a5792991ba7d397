package activities

import (
	"context"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	activitiesv1 "circle15.dev/api/activities/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/patch"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
	"circle15.dev/services/internal/refs"
)

// UpdateGroupSession corrects what the mask names, also after the group has ended. The figures follow.
func (s *Service) UpdateGroupSession(
	ctx context.Context, req *activitiesv1.UpdateGroupSessionRequest,
) (*activitiesv1.GroupSession, error) {
	in := req.GetSession()
	at := target{req.GetGroupId(), "session.id", in.GetId(), "session.etag", in.GetEtag()}
	return s.correct(ctx, req, at, func(ctx context.Context, tx *tenantdb.Tx, of groupRow, was sessionRow) (sessionRow, error) {
		merged := was.toProto()
		if err := patch.Apply("session", merged, in, req.GetUpdateMask()); err != nil {
			return was, err
		}
		had, err := tenantdb.All(ctx, tx, pgx.RowToStructByPos[attendee], countedAttendees, was.ID)
		if err != nil {
			return was, err
		}
		attendees, err := resolveAttendees(ctx, tx, merged.GetAttendeeIds(), had, of.StationID)
		if err != nil {
			return was, err
		}
		now, err := was.changed(ctx, tx, of, merged)
		if err != nil {
			return was, err
		}
		now.AttendeeIDs = idsOf(attendees)
		row, err := now.update(ctx, tx)
		if err != nil || row.counts(was) {
			return row, err
		}
		return row, facts.Recount(ctx, tx, facts.SourceGroupSessions, row.ID, attendance(row, of.Domain, attendees)...)
	})
}

// changed is the session with the client's fields of merged, checked, but for the attendance. The day and the worker are
// checked together, where either changes.
func (s sessionRow) changed(
	ctx context.Context, tx *tenantdb.Tx, of groupRow, merged *activitiesv1.GroupSession,
) (sessionRow, error) {
	now := s
	now.Theme, now.DurationMinutes, now.Record = merged.GetTheme(), merged.GetDurationMinutes(), merged.GetRecord()
	if merged.GetSessionDate() == civildate.Format(s.SessionDate) && merged.GetStaffId() == s.StaffID.String() {
		return now, nil
	}
	var err error
	if now.SessionDate, err = civildate.ParsePast("session.sessionDate", merged.GetSessionDate()); err != nil {
		return now, err
	}
	if err := of.covers(now.SessionDate); err != nil {
		return now, err
	}
	now.StaffID, err = refs.StaffOn(ctx, tx, "session.staffId", merged.GetStaffId(), of.StationID, now.SessionDate)
	return now, err
}

// VoidGroupSession takes a session back, and takes it out of the figures. It keeps its number and its attendance.
func (s *Service) VoidGroupSession(
	ctx context.Context, req *activitiesv1.VoidGroupSessionRequest,
) (*activitiesv1.GroupSession, error) {
	at := target{req.GetGroupId(), "id", req.GetId(), "etag", req.GetEtag()}
	return s.correct(ctx, req, at, func(ctx context.Context, tx *tenantdb.Tx, _ groupRow, was sessionRow) (sessionRow, error) {
		was.VoidReason = req.GetReason()
		row, err := was.update(ctx, tx)
		if err != nil {
			return row, err
		}
		return row, facts.Reverse(ctx, tx, facts.SourceGroupSessions, row.ID)
	})
}

// target is which session of which group a correction is about, and at which revision, with the names of the fields that
// differ between requests.
type target struct {
	group          string
	idField, id    string
	etagField, tag string
}

// correct changes a session, as do says, under the lock of its group. The group need not be the
// caller's own, the session must be where the scope says so. Errors besides those of do: NotFound, StaleETag, Conflict
// where the session or its group is void.
func (s *Service) correct(ctx context.Context, req proto.Message, at target,
	do func(ctx context.Context, tx *tenantdb.Tx, of groupRow, was sessionRow) (sessionRow, error),
) (*activitiesv1.GroupSession, error) {
	groupID, err := ids.Parse("groupId", at.group)
	if err != nil {
		return nil, err
	}
	id, err := ids.Parse(at.idField, at.id)
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*activitiesv1.GroupSession, error) {
		group, err := lockedGroup(ctx, tx, groupID, nil)
		if err != nil {
			return nil, err
		}
		was, err := lockedSession(ctx, tx, group.ID, id, authz.ScopeFrom(ctx).Owner())
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, at.etagField, at.tag, was.Revision); err != nil {
			return nil, err
		}
		if err := group.notVoid(); err != nil {
			return nil, err
		}
		if was.VoidReason != "" {
			return nil, apierr.New(apierr.Conflict, "the session is void")
		}
		row, err := do(ctx, tx, group, was)
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

package activities

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	activitiesv1 "circle15.dev/api/activities/v1"
	"circle15.dev/internal/apierr"
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

// CreateActivity records an activity that was held, or plans one.
func (s *Service) CreateActivity(ctx context.Context, req *activitiesv1.CreateActivityRequest) (*activitiesv1.Activity, error) {
	in := req.GetActivity()
	id, err := ids.OrNew("activity.id", in.GetId())
	if err != nil {
		return nil, err
	}
	what, err := eventOf(in)
	if err != nil {
		return nil, err
	}
	if what, err = what.begin(); err != nil {
		return nil, err
	}
	if err := standards.Check(ctx, "activity.domain", standards.Domains, in.GetDomain()); err != nil {
		return nil, err
	}
	by, err := authn.Subject(ctx)
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*activitiesv1.Activity, error) {
		station, err := refs.Station(ctx, tx, "activity.stationId", in.GetStationId())
		if err != nil {
			return nil, err
		}
		worker, err := workerOn(ctx, tx, "activity.staffId", in.GetStaffId(), station, what.HeldDate)
		if err != nil {
			return nil, err
		}
		helpers, err := volunteers(ctx, tx, "activity.volunteerIds", in.GetVolunteerIds(), station)
		if err != nil {
			return nil, err
		}
		row, err := activityRow{
			ID: id, StationID: station, StaffID: worker, Title: in.GetTitle(), Domain: in.GetDomain(), Location: in.GetLocation(),
			event: what, VolunteerIDs: helpers, Summary: in.GetSummary(),
		}.insert(ctx, tx, by)
		if err != nil {
			return nil, err
		}
		if row.State == held {
			if err := facts.Append(ctx, tx, row.facts()...); err != nil {
				return nil, err
			}
		}
		return row.toProto(), nil
	})
}

// eventOf reads the days and the attendance of an activity; its state is not the client's to say.
func eventOf(in *activitiesv1.Activity) (event, error) {
	plannedDate, err := civildate.ParseOptional("activity.plannedDate", in.GetPlannedDate())
	if err != nil {
		return event{}, err
	}
	heldDate, err := pastOrNone("activity.heldDate", in.GetHeldDate())
	if err != nil {
		return event{}, err
	}
	return event{PlannedDate: plannedDate, HeldDate: heldDate, Attendees: in.GetAttendeeCount()}, nil
}

// pastOrNone is civildate.ParsePast, with nil for an empty value.
func pastOrNone(field, s string) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	day, err := civildate.ParsePast(field, s)
	return &day, err
}

// workerOn resolves a worker of the station, who served there on the day, if there is one.
func workerOn(ctx context.Context, tx *tenantdb.Tx, field, id string, station uuid.UUID, day *time.Time) (uuid.UUID, error) {
	if day == nil {
		return refs.Staff(ctx, tx, field, id, station)
	}
	return refs.StaffOn(ctx, tx, field, id, station, *day)
}

// volunteers resolves volunteers of the station, who may have withdrawn since, in the order of the request.
func volunteers(ctx context.Context, tx *tenantdb.Tx, field string, list []string, station uuid.UUID) ([]uuid.UUID, error) {
	keys := make([]uuid.UUID, 0, len(list))
	for i, s := range list {
		item := fmt.Sprintf("%s[%d]", field, i)
		key, err := ids.Parse(item, s)
		if err != nil {
			return nil, err
		}
		if slices.Contains(keys, key) {
			return nil, apierr.InvalidField(item, "must not occur twice")
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return keys, nil
	}
	found, err := tenantdb.All(ctx, tx, pgx.RowTo[uuid.UUID], stationVolunteers, keys, station)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if !slices.Contains(found, key) {
			return nil, apierr.InvalidField(fmt.Sprintf("%s[%d]", field, i), "must name a volunteer of the station")
		}
	}
	return keys, nil
}

// GetActivity returns an activity of the data scope, in one statement.
func (s *Service) GetActivity(ctx context.Context, req *activitiesv1.GetActivityRequest) (*activitiesv1.Activity, error) {
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	scope := authz.ScopeFrom(ctx)
	row, err := tenantdb.One(ctx, s.db, pgx.RowToStructByPos[activityRow], getActivity, id, scope.StationIDs(), scope.Owner())
	if err != nil {
		return nil, tenantdb.OrMissing(err, "activity", id)
	}
	return row.toProto(), nil
}

// ListActivities lists the activities of the data scope, ordered by id.
func (s *Service) ListActivities(
	ctx context.Context, req *activitiesv1.ListActivitiesRequest,
) (*activitiesv1.ListActivitiesResponse, error) {
	p, after, err := s.pages.StartAtID(ctx, req)
	if err != nil {
		return nil, err
	}
	station, err := ids.ParseOptional("stationId", req.GetStationId())
	if err != nil {
		return nil, err
	}
	scope := authz.ScopeFrom(ctx)
	rows, err := tenantdb.All(ctx, s.db, pgx.RowToStructByPos[activityRow], listActivities, after, scope.StationIDs(), scope.Owner(),
		station, string(stateFromProto[req.GetState()]), req.GetDomain(), p.Fetch())
	if err != nil {
		return nil, err
	}
	messages, next := page.Answer(ctx, s.pages, req, p, rows, activityRow.cursor, activityRow.toProto)
	return &activitiesv1.ListActivitiesResponse{Activities: messages, NextPageToken: next}, nil
}

// UpdateActivity changes what the mask names. The figures of a held activity follow.
func (s *Service) UpdateActivity(ctx context.Context, req *activitiesv1.UpdateActivityRequest) (*activitiesv1.Activity, error) {
	id, err := ids.Parse("activity.id", req.GetActivity().GetId())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*activitiesv1.Activity, error) {
		was, err := lockedActivity(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "activity.etag", req.GetActivity().GetEtag(), was.Revision); err != nil {
			return nil, err
		}
		if was.State != planned && was.State != held {
			return nil, apierr.New(apierr.Conflict, "the activity is %s and does not change any more", was.State)
		}
		merged := was.toProto()
		if err := patch.Apply("activity", merged, req.GetActivity(), req.GetUpdateMask()); err != nil {
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
		if row.State == held && !row.counts(was) {
			if err := facts.Recount(ctx, tx, facts.SourceActivities, id, row.facts()...); err != nil {
				return nil, err
			}
		}
		return row.toProto(), nil
	})
}

// changed is the activity with the client's fields of merged, checked. References are resolved where they change: a
// worker who has left since stays on the activities of that time.
func (a activityRow) changed(ctx context.Context, tx *tenantdb.Tx, merged *activitiesv1.Activity) (activityRow, error) {
	now := a
	what, err := eventOf(merged)
	if err != nil {
		return now, err
	}
	what.State = a.State
	if err := what.check(); err != nil {
		return now, err
	}
	now.event = what
	now.Title, now.Domain, now.Location, now.Summary = merged.GetTitle(), merged.GetDomain(), merged.GetLocation(), merged.GetSummary()
	if now.Domain != a.Domain {
		if err := standards.Check(ctx, "activity.domain", standards.Domains, now.Domain); err != nil {
			return now, err
		}
	}
	moved := a.State == held && !now.HeldDate.Equal(*a.HeldDate)
	if moved || merged.GetStaffId() != a.StaffID.String() {
		now.StaffID, err = workerOn(ctx, tx, "activity.staffId", merged.GetStaffId(), a.StationID, now.HeldDate)
		if err != nil {
			return now, err
		}
	}
	if !slices.Equal(merged.GetVolunteerIds(), ids.Strings(a.VolunteerIDs)) {
		now.VolunteerIDs, err = volunteers(ctx, tx, "activity.volunteerIds", merged.GetVolunteerIds(), a.StationID)
	}
	return now, err
}

// HoldActivity records that a planned activity was held, and counts it.
func (s *Service) HoldActivity(ctx context.Context, req *activitiesv1.HoldActivityRequest) (*activitiesv1.Activity, error) {
	day, err := civildate.ParsePast("heldDate", req.GetHeldDate())
	if err != nil {
		return nil, err
	}
	return s.act(ctx, req, planned, func(ctx context.Context, tx *tenantdb.Tx, a *activityRow) error {
		// The worker of the plan may have left before the day, and the station may have closed.
		worker, err := refs.StaffOn(ctx, tx, "staffId", cmp.Or(req.GetStaffId(), a.StaffID.String()), a.StationID, day)
		if err != nil {
			return err
		}
		a.State, a.StaffID, a.HeldDate, a.Attendees = held, worker, &day, req.GetAttendeeCount()
		if req.GetSummary() != "" {
			a.Summary = req.GetSummary()
		}
		if len(req.GetVolunteerIds()) > 0 {
			helpers, err := volunteers(ctx, tx, "volunteerIds", req.GetVolunteerIds(), a.StationID)
			if err != nil {
				return err
			}
			a.VolunteerIDs = helpers
		}
		return facts.Append(ctx, tx, a.facts()...)
	})
}

// CancelActivity cancels a planned activity.
func (s *Service) CancelActivity(ctx context.Context, req *activitiesv1.CancelActivityRequest) (*activitiesv1.Activity, error) {
	return s.act(ctx, req, planned, func(_ context.Context, _ *tenantdb.Tx, a *activityRow) error {
		a.State, a.Reason = cancelled, req.GetReason()
		return nil
	})
}

// VoidActivity takes back a held activity, and takes it out of the figures.
func (s *Service) VoidActivity(ctx context.Context, req *activitiesv1.VoidActivityRequest) (*activitiesv1.Activity, error) {
	return s.act(ctx, req, held, func(ctx context.Context, tx *tenantdb.Tx, a *activityRow) error {
		a.State, a.Reason = void, req.GetReason()
		return facts.Reverse(ctx, tx, facts.SourceActivities, a.ID)
	})
}

// action is the request of a custom method on an activity.
type action interface {
	proto.Message
	GetId() string
	GetEtag() string
}

// act does a custom method: the activity is locked, must be in the state, and is stored as do leaves it.
func (s *Service) act(
	ctx context.Context, req action, from state, do func(ctx context.Context, tx *tenantdb.Tx, a *activityRow) error,
) (*activitiesv1.Activity, error) {
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*activitiesv1.Activity, error) {
		row, err := lockedActivity(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "etag", req.GetEtag(), row.Revision); err != nil {
			return nil, err
		}
		if err := row.State.mustBe(from); err != nil {
			return nil, err
		}
		if err := do(ctx, tx, &row); err != nil {
			return nil, err
		}
		row, err = row.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

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
	"circle15.dev/internal/etag"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/idnumber"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
)

// CreateVolunteer registers a volunteer (注册志愿者) in a team and counts the person from that day.
func (s *Service) CreateVolunteer(ctx context.Context, req *registryv1.CreateVolunteerRequest) (*registryv1.Volunteer, error) {
	id, err := ids.OrNew("volunteer.id", req.GetVolunteer().GetId())
	if err != nil {
		return nil, err
	}
	volunteer, err := readVolunteer(id, req.GetVolunteer())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Volunteer, error) {
		if err := volunteer.joinTeam(ctx, tx, req.GetVolunteer().GetTeamId()); err != nil {
			return nil, err
		}
		if err := volunteer.checkIdentity(ctx, s.db, tx); err != nil {
			return nil, err
		}
		row, err := volunteer.insert(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := facts.Append(ctx, tx, row.facts()...); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// GetVolunteer returns a volunteer of the data scope.
func (s *Service) GetVolunteer(ctx context.Context, req *registryv1.GetVolunteerRequest) (*registryv1.Volunteer, error) {
	return get(ctx, s, "volunteer", req.GetId(), scanVolunteer, selectVolunteer)
}

// ListVolunteers lists the volunteers of the data scope.
func (s *Service) ListVolunteers(ctx context.Context, req *registryv1.ListVolunteersRequest) (*registryv1.ListVolunteersResponse, error) {
	team, err := ids.ParseOptional("teamId", req.GetTeamId())
	if err != nil {
		return nil, err
	}
	volunteers, next, err := list(ctx, s, req, req.GetStationId(), scanVolunteer, selectVolunteers, team)
	if err != nil {
		return nil, err
	}
	return &registryv1.ListVolunteersResponse{Volunteers: volunteers, NextPageToken: next}, nil
}

// UpdateVolunteer changes a volunteer. Withdrawal, or a team of another station, corrects the figures.
func (s *Service) UpdateVolunteer(ctx context.Context, req *registryv1.UpdateVolunteerRequest) (*registryv1.Volunteer, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Volunteer, error) {
		old, err := find(ctx, tx, "volunteer.id", "volunteer", req.GetVolunteer().GetId(), scanVolunteer, lockVolunteer)
		if err != nil {
			return nil, err
		}
		merged := old.toWhole()
		if err := change(ctx, "volunteer", merged, req.GetVolunteer(), req.GetUpdateMask(), old.Revision); err != nil {
			return nil, err
		}
		if old.State == volunteeringVoid {
			return nil, apierr.New(apierr.Conflict, "the volunteer is void")
		}
		volunteer, err := readVolunteer(old.ID, merged)
		if err != nil {
			return nil, err
		}
		if err := volunteer.joinTeam(ctx, tx, merged.GetTeamId()); err != nil {
			return nil, err
		}
		if !volunteer.being().equal(old.being()) || merged.GetIdentityNumber() != old.toWhole().GetIdentityNumber() {
			if err := volunteer.checkIdentity(ctx, s.db, tx); err != nil {
				return nil, err
			}
		}
		row, err := volunteer.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if row.StationID != old.StationID || !row.being().equal(old.being()) {
			if err := recount(ctx, tx, facts.SourceVolunteers, row.ID, row.facts()); err != nil {
				return nil, err
			}
		}
		return row.toProto(), nil
	})
}

// VoidVolunteer takes a volunteer back who was registered by mistake, and with the record its figure.
func (s *Service) VoidVolunteer(ctx context.Context, req *registryv1.VoidVolunteerRequest) (*registryv1.Volunteer, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Volunteer, error) {
		volunteer, err := find(ctx, tx, "id", "volunteer", req.GetId(), scanVolunteer, lockVolunteer)
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "etag", req.GetEtag(), volunteer.Revision); err != nil {
			return nil, err
		}
		if volunteer.State == volunteeringVoid {
			return nil, apierr.New(apierr.Conflict, "the volunteer is void already")
		}
		volunteer.State, volunteer.VoidReason = volunteeringVoid, req.GetReason()
		row, err := volunteer.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := facts.Reverse(ctx, tx, facts.SourceVolunteers, row.ID); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// readVolunteer reads the message and checks what needs no database. Team and station are resolved by the caller.
func readVolunteer(id uuid.UUID, m *registryv1.Volunteer) (*volunteerRow, error) {
	being, err := parsePastPeriod("volunteer.registeredDate", m.GetRegisteredDate(), "volunteer.withdrawnDate", m.GetWithdrawnDate())
	if err != nil {
		return nil, err
	}
	v := &volunteerRow{
		ID: id, Name: m.GetName(), Phone: m.GetPhone(), Skills: append([]string{}, m.GetSkills()...),
		RegisteredDate: being.first, WithdrawnDate: being.last, State: volunteeringActive,
	}
	if m.GetIdentityNumber() == "" {
		return v, nil
	}
	number, err := idnumber.Parse(m.GetIdentityNumber(), civildate.Today())
	if err != nil {
		return nil, apierr.InvalidField("volunteer.identityNumber", "%v", err)
	}
	whole := number.String()
	v.IdentityNumber = &whole
	return v, nil
}

// checkIdentity refuses a person who is a volunteer at that time already.
func (r *volunteerRow) checkIdentity(ctx context.Context, db *tenantdb.DB, tx *tenantdb.Tx) error {
	if r.IdentityNumber == nil {
		return nil
	}
	return personsVolunteering.check(ctx, db, tx, *r.IdentityNumber, r.ID, r.being())
}

// joinTeam resolves the team, whose station is the volunteer's, and keeps it from being dissolved until the end of the
// transaction.
func (r *volunteerRow) joinTeam(ctx context.Context, tx *tenantdb.Tx, id string) error {
	key, err := ids.Parse("volunteer.teamId", id)
	if err != nil {
		return err
	}
	team, err := tenantdb.One(ctx, tx, scanTeam, shareTeam, key, authz.ScopeFrom(ctx).StationIDs())
	if errors.Is(err, pgx.ErrNoRows) {
		return apierr.InvalidField("volunteer.teamId", "must name a volunteer team within your data scope")
	}
	if err != nil {
		return err
	}
	if team.State == volunteeringVoid {
		return apierr.InvalidField("volunteer.teamId", "must name a team that is not void")
	}
	r.TeamID, r.StationID = team.ID, team.StationID
	if err := r.being().beginsWithin(team.FoundedDate, "volunteer.registeredDate", "team"); err != nil {
		return err
	}
	return r.being().endsWithin(team.DissolvedDate, "volunteer.withdrawnDate", "team")
}

// facts count the volunteer (人) from registration to withdrawal. The figure belongs to no domain.
func (r *volunteerRow) facts() []facts.Fact {
	return stock(facts.Fact{
		Measure: facts.Volunteer, Station: r.StationID, SourceType: facts.SourceVolunteers, SourceID: r.ID,
	}, r.being())
}

package registry

import (
	"context"

	"github.com/google/uuid"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
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
		team, err := teamToJoin(ctx, tx, req.GetVolunteer().GetTeamId())
		if err != nil {
			return nil, err
		}
		teams, err := career{{team.ID, team.StationID, volunteer.RegisteredDate}}.since(req.GetVolunteer().GetTeamSince())
		if err != nil {
			return nil, err
		}
		volunteer.take(teams.present())
		if err := volunteer.checkTeams(ctx, tx, teams); err != nil {
			return nil, err
		}
		if err := volunteer.checkIdentity(ctx, s.db, tx); err != nil {
			return nil, err
		}
		row, err := volunteer.insert(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := facts.Append(ctx, tx, teams.facts(row.ID, row.WithdrawnDate)...); err != nil {
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

// UpdateVolunteer changes a volunteer. Other days, or a team of another station, change the figures, the latter from the
// first day in that team on.
func (s *Service) UpdateVolunteer(ctx context.Context, req *registryv1.UpdateVolunteerRequest) (*registryv1.Volunteer, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.Volunteer, error) {
		old, err := find(ctx, tx, "volunteer.id", "volunteer", req.GetVolunteer().GetId(), scanVolunteer, lockVolunteer)
		if err != nil {
			return nil, err
		}
		merged := old.toWhole()
		merged.TeamSince = "" // given only where the request gives it
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
		before, err := old.career(ctx, tx)
		if err != nil {
			return nil, err
		}
		teams, err := volunteer.moveOn(ctx, tx, before, merged)
		if err != nil {
			return nil, err
		}
		volunteer.take(teams.present())
		if err := volunteer.checkChange(ctx, s.db, tx, old, before, teams); err != nil {
			return nil, err
		}
		teams.keepFormer(tx, volunteer.ID, before)
		row, err := volunteer.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		counted := teams.facts(row.ID, row.WithdrawnDate)
		if !sameStock(counted, before.facts(old.ID, old.WithdrawnDate)) {
			if err := facts.Recount(ctx, tx, facts.SourceVolunteers, row.ID, counted...); err != nil {
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

// checkChange checks other days or teams, and another identity number or other days of it.
func (r *volunteerRow) checkChange(
	ctx context.Context, db *tenantdb.DB, tx *tenantdb.Tx, old *volunteerRow, before, teams career,
) error {
	sameDays := r.being().equal(old.being())
	if !sameDays || !teams.equal(before) {
		if err := r.checkTeams(ctx, tx, teams); err != nil {
			return err
		}
	}
	if sameDays && sameText(r.IdentityNumber, old.IdentityNumber) {
		return nil
	}
	return r.checkIdentity(ctx, db, tx)
}

func sameText(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// checkIdentity refuses a person who is a volunteer at that time already.
func (r *volunteerRow) checkIdentity(ctx context.Context, db *tenantdb.DB, tx *tenantdb.Tx) error {
	if r.IdentityNumber == nil {
		return nil
	}
	return personsVolunteering.check(ctx, db, tx, *r.IdentityNumber, r.ID, r.being())
}

// moveOn is the career after an update: with another day of registration, another team, or another first day in it.
func (r *volunteerRow) moveOn(ctx context.Context, tx *tenantdb.Tx, c career, m *registryv1.Volunteer) (career, error) {
	c, err := c.beginOn(r.RegisteredDate)
	if err != nil {
		return nil, err
	}
	if m.GetTeamId() == c.present().Team.String() {
		return c.since(m.GetTeamSince())
	}
	team, err := teamToJoin(ctx, tx, m.GetTeamId())
	if err != nil {
		return nil, err
	}
	day := civildate.Today()
	if m.GetTeamSince() != "" {
		if day, err = civildate.ParsePast("volunteer.teamSince", m.GetTeamSince()); err != nil {
			return nil, err
		}
	}
	if r.WithdrawnDate != nil && day.After(*r.WithdrawnDate) {
		return nil, apierr.InvalidField("volunteer.teamSince", "must be given and not be after the withdrawal on %s",
			civildate.Format(*r.WithdrawnDate))
	}
	return c.join(membership{team.ID, team.StationID, day})
}

// take makes the membership the volunteer's present one.
func (r *volunteerRow) take(m membership) {
	r.TeamID, r.StationID, r.TeamSince = m.Team, m.Station, m.First
}

// checkTeams refuses a career beyond withdrawal, or outside the time of a team in it.
func (r *volunteerRow) checkTeams(ctx context.Context, tx *tenantdb.Tx, c career) error {
	if r.WithdrawnDate != nil && r.WithdrawnDate.Before(r.TeamSince) {
		return apierr.InvalidField("volunteer.withdrawnDate", "must not be before %s, the first day in the team", civildate.Format(r.TeamSince))
	}
	return c.withinTeams(ctx, tx, r.WithdrawnDate)
}

package registry

import (
	"context"

	"github.com/google/uuid"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/standards"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
)

// The states of a team and of a volunteer.
const (
	volunteeringActive = "ACTIVE"
	volunteeringVoid   = "VOID"
)

// CreateVolunteerTeam founds a volunteer team (志愿服务团队) of a station and counts it from its first day.
func (s *Service) CreateVolunteerTeam(
	ctx context.Context, req *registryv1.CreateVolunteerTeamRequest,
) (*registryv1.VolunteerTeam, error) {
	id, err := ids.OrNew("volunteerTeam.id", req.GetVolunteerTeam().GetId())
	if err != nil {
		return nil, err
	}
	team, err := readTeam(ctx, id, req.GetVolunteerTeam())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.VolunteerTeam, error) {
		station, err := openStation(ctx, tx, "volunteerTeam.stationId", req.GetVolunteerTeam().GetStationId())
		if err != nil {
			return nil, err
		}
		if err := team.being().beginsWithin(station.OpenedDate, "volunteerTeam.foundedDate", "station"); err != nil {
			return nil, err
		}
		if err := team.being().endsWithin(station.ClosedDate, "volunteerTeam.dissolvedDate", "station"); err != nil {
			return nil, err
		}
		team.StationID = station.ID
		row, err := team.insert(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := facts.Append(ctx, tx, row.facts()...); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// GetVolunteerTeam returns a volunteer team of the data scope.
func (s *Service) GetVolunteerTeam(ctx context.Context, req *registryv1.GetVolunteerTeamRequest) (*registryv1.VolunteerTeam, error) {
	return get(ctx, s, "volunteer team", req.GetId(), scanTeam, selectTeam)
}

// ListVolunteerTeams lists the volunteer teams of the data scope.
func (s *Service) ListVolunteerTeams(
	ctx context.Context, req *registryv1.ListVolunteerTeamsRequest,
) (*registryv1.ListVolunteerTeamsResponse, error) {
	teams, next, err := list(ctx, s, req, req.GetStationId(), scanTeam, selectTeams)
	if err != nil {
		return nil, err
	}
	return &registryv1.ListVolunteerTeamsResponse{VolunteerTeams: teams, NextPageToken: next}, nil
}

// UpdateVolunteerTeam changes a volunteer team. Another domain or other days correct the figures.
func (s *Service) UpdateVolunteerTeam(
	ctx context.Context, req *registryv1.UpdateVolunteerTeamRequest,
) (*registryv1.VolunteerTeam, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.VolunteerTeam, error) {
		old, err := find(ctx, tx, "volunteerTeam.id", "volunteer team", req.GetVolunteerTeam().GetId(), scanTeam, lockTeam)
		if err != nil {
			return nil, err
		}
		merged := old.toProto()
		if err := change(ctx, "volunteerTeam", merged, req.GetVolunteerTeam(), req.GetUpdateMask(), old.Revision); err != nil {
			return nil, err
		}
		if old.State == volunteeringVoid {
			return nil, apierr.New(apierr.Conflict, "the volunteer team is void")
		}
		team, err := readTeam(ctx, old.ID, merged)
		if err != nil {
			return nil, err
		}
		if !team.being().equal(old.being()) {
			if err := team.moveBeing(ctx, tx, old); err != nil {
				return nil, err
			}
		}
		row, err := team.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if row.Domain != old.Domain || !row.being().equal(old.being()) {
			if err := facts.Recount(ctx, tx, facts.SourceVolunteerTeams, row.ID, row.facts()...); err != nil {
				return nil, err
			}
		}
		return row.toProto(), nil
	})
}

// VoidVolunteerTeam takes a team back, and with it its figure. A team that anybody is a volunteer of was not recorded by
// mistake.
func (s *Service) VoidVolunteerTeam(ctx context.Context, req *registryv1.VoidVolunteerTeamRequest) (*registryv1.VolunteerTeam, error) {
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*registryv1.VolunteerTeam, error) {
		team, err := find(ctx, tx, "id", "volunteer team", req.GetId(), scanTeam, lockTeam)
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "etag", req.GetEtag(), team.Revision); err != nil {
			return nil, err
		}
		if team.State == volunteeringVoid {
			return nil, apierr.New(apierr.Conflict, "the volunteer team is void already")
		}
		if err := refuseOutside(ctx, tx, "id", "the team has or had", ofTeam, team.ID); err != nil {
			return nil, err
		}
		team.State, team.VoidReason = volunteeringVoid, req.GetReason()
		row, err := team.update(ctx, tx)
		if err != nil {
			return nil, err
		}
		if err := facts.Reverse(ctx, tx, facts.SourceVolunteerTeams, row.ID); err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// readTeam reads the message and checks what needs no database. The station is resolved by the caller.
func readTeam(ctx context.Context, id uuid.UUID, m *registryv1.VolunteerTeam) (*teamRow, error) {
	being, err := parsePastPeriod("volunteerTeam.foundedDate", m.GetFoundedDate(), "volunteerTeam.dissolvedDate", m.GetDissolvedDate())
	if err != nil {
		return nil, err
	}
	if m.GetDomain() != "" {
		if err := standards.Check(ctx, "volunteerTeam.domain", standards.Domains, m.GetDomain()); err != nil {
			return nil, err
		}
	}
	return &teamRow{
		ID: id, DisplayName: m.GetDisplayName(), Domain: m.GetDomain(), FoundedDate: being.first, DissolvedDate: being.last,
		State: volunteeringActive,
	}, nil
}

// moveBeing checks other days of a team: they lie within the station's, and leave out no volunteer. The caller holds the
// team's lock, which a new volunteer's record waits for.
func (r *teamRow) moveBeing(ctx context.Context, tx *tenantdb.Tx, old *teamRow) error {
	station, err := openStation(ctx, tx, "volunteerTeam.stationId", old.StationID.String())
	if err != nil {
		return err
	}
	if !r.FoundedDate.Equal(old.FoundedDate) {
		if err := r.being().beginsWithin(station.OpenedDate, "volunteerTeam.foundedDate", "station"); err != nil {
			return err
		}
		side := "before " + civildate.Format(r.FoundedDate) + " the team has"
		if err := refuseOutside(ctx, tx, "volunteerTeam.foundedDate", side, ofTeamBefore, r.ID, r.FoundedDate); err != nil {
			return err
		}
	}
	if err := r.being().endsWithin(station.ClosedDate, "volunteerTeam.dissolvedDate", "station"); err != nil {
		return err
	}
	if r.DissolvedDate == nil {
		return nil
	}
	side := "beyond " + civildate.Format(*r.DissolvedDate) + " the team has"
	return refuseOutside(ctx, tx, "volunteerTeam.dissolvedDate", side, ofTeamAfter, r.ID, *r.DissolvedDate)
}

// facts count the team from its first day to its last.
func (r *teamRow) facts() []facts.Fact {
	return stock(facts.Fact{
		Measure: facts.VolunteerTeam, Station: r.StationID, Domain: r.Domain, SourceType: facts.SourceVolunteerTeams, SourceID: r.ID,
	}, r.being())
}

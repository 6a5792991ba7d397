package haikou

import (
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	registryv1 "circle15.dev/api/registry/v1"
)

type volunteer struct {
	id    string
	since time.Time
}

// servingOn is the volunteers of the station who were registered by the day.
func (s *station) servingOn(day time.Time) []string {
	var ids []string
	for _, v := range s.volunteers {
		if !v.since.After(day) {
			ids = append(ids, v.id)
		}
	}
	return ids
}

// foundTeams gives every station its team. The students' team of Haidian served in the summer holidays only, so that the
// report has a team to take off again.
func (w *world) foundTeams() []Chain {
	d := w.stream("teams")
	var chains []Chain
	for _, s := range w.stations {
		s.founded = later(d, officeWork, s.opened, 2, 16)
		s.team = w.id("volunteer team", s.founded)
		chains = append(chains, Chain{&registryv1.CreateVolunteerTeamRequest{VolunteerTeam: &registryv1.VolunteerTeam{
			Id: s.team, StationId: s.id, DisplayName: s.street + "“椰风暖心”志愿服务队", FoundedDate: format(s.founded),
		}}})
	}
	haidian := w.station("460108004")
	founded, dissolved := day(time.July, 5), day(time.August, 31)
	id := w.id("volunteer team", founded)
	return append(chains, Chain{
		&registryv1.CreateVolunteerTeamRequest{VolunteerTeam: &registryv1.VolunteerTeam{
			Id: id, StationId: haidian.id, DisplayName: "海甸街道大学生暑期志愿服务队", Domain: childWelfare, FoundedDate: format(founded),
		}},
		&registryv1.UpdateVolunteerTeamRequest{
			VolunteerTeam: &registryv1.VolunteerTeam{Id: id, DissolvedDate: format(dissolved)},
			UpdateMask:    &fieldmaskpb.FieldMask{Paths: []string{"dissolved_date"}},
		},
	})
}

// registerVolunteers fills the teams: half on the founding day and in the weeks after, the others as the stations became
// known. Some more registered and withdrew again; they are not among the reported volunteers.
func (w *world) registerVolunteers() []Chain {
	quota := w.quotas("volunteers", figures.volunteers, 18, nil)
	d := w.stream("volunteers")
	var chains []Chain
	for _, s := range w.stations {
		for range quota[s] {
			since := s.founded
			if d.chance(0.5) {
				since = pickDay(d, communityWork, span{s.founded, lastDay})
			} else if d.chance(0.6) {
				since = later(d, communityWork, s.founded, 1, 21)
			}
			request, v := w.register(d, s, since)
			s.volunteers = append(s.volunteers, v)
			chains = append(chains, Chain{request})
		}
		if d.chance(0.5) {
			request, v := w.register(d, s, s.founded)
			chains = append(chains, Chain{request, &registryv1.UpdateVolunteerRequest{
				Volunteer:  &registryv1.Volunteer{Id: v.id, WithdrawnDate: format(later(d, officeWork, s.founded, 30, 80))},
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"withdrawn_date"}},
			}})
		}
	}
	return chains
}

var skills = []string{"理发", "健康服务", "心理疏导", "家电维修", "普通话与海南话双语", "摄影", "课业辅导", "文艺表演", "法律咨询", "活动组织", "驾驶"}

func (w *world) register(d *dice, s *station, since time.Time) (*registryv1.CreateVolunteerRequest, volunteer) {
	age := pickWeighted(d, []weighted[int]{{d.between(18, 25), 30}, {d.between(26, 45), 35}, {d.between(46, 59), 20}, {d.between(60, 70), 15}})
	born, female := birthday(d, age), d.chance(0.64)
	v := volunteer{w.id("volunteer", since), since}
	request := &registryv1.Volunteer{
		Id:             v.id,
		TeamId:         s.team,
		Name:           surname(d) + givenName(d, female, born),
		Phone:          phone(d),
		Skills:         sample(d, skills, d.between(0, 2)),
		RegisteredDate: format(since),
	}
	if d.chance(0.85) {
		request.IdentityNumber = w.numbers.next(s.district(), born, female)
	}
	return &registryv1.CreateVolunteerRequest{Volunteer: request}, v
}

// birthday is the birth of somebody who has the age in completed years when the stations open.
func birthday(d *dice, age int) time.Time {
	return day(time.May, 1).AddDate(-age, 0, -d.IntN(365))
}

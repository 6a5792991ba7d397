package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/civildate"
)

// steps are the facts of a source that stand, by day: "2021-05-20 +1 station".
func (e *env) steps(source string, names map[string]string) []string {
	e.t.Helper()
	rows, err := pgx.CollectRows(e.query(`SELECT fact_date::text, to_char(sum(amount), 'SG9'), station_id::text
		FROM {tenant}.service_facts WHERE source_id = $1 GROUP BY fact_date, station_id HAVING sum(amount) <> 0
		ORDER BY fact_date, sum(amount)`, source), pgx.RowToStructByPos[struct{ Day, Amount, Station string }])
	if err != nil {
		e.t.Fatal(err)
	}
	var steps []string
	for _, r := range rows {
		steps = append(steps, r.Day+" "+r.Amount+" "+names[r.Station])
	}
	return steps
}

func TestAVolunteerCountsAtTheStationOfTheTeamOfThen(t *testing.T) {
	e := newEnv(t)
	s, other := e.station(township), e.station("460107001")
	team, sister, elsewhere := e.team(s), e.team(s), e.team(other)
	names := map[string]string{s.GetId(): "here", other.GetId(): "there"}
	v := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(team, "")))
	if v.GetTeamSince() != "2021-05-20" {
		t.Errorf("in the first team since %s", v.GetTeamSince())
	}
	update := func(change *registryv1.Volunteer) (*registryv1.Volunteer, error) {
		change.Id = v.GetId()
		return e.UpdateVolunteer(e.admin(), &registryv1.UpdateVolunteerRequest{Volunteer: change})
	}
	counts := func(what string, change *registryv1.Volunteer, since string, want ...string) {
		t.Helper()
		reply := must[*registryv1.Volunteer](t)(update(change))
		if reply.GetTeamSince() != since {
			t.Errorf("%s: in the team since %s, want %s", what, reply.GetTeamSince(), since)
		}
		if diff := cmp.Diff(want, e.steps(v.GetId(), names)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	refuses := func(what string, change *registryv1.Volunteer, field string) {
		t.Helper()
		_, err := update(change)
		refused(t, what, err, codes.InvalidArgument, field)
	}
	registered := "2021-05-20 +1 here"
	counts("another phone", &registryv1.Volunteer{Phone: "1"}, "2021-05-20", registered)
	counts("a team of the station", &registryv1.Volunteer{TeamId: sister.GetId(), TeamSince: "2021-06-01"}, "2021-06-01", registered)
	if n := e.count(`SELECT count(*) FROM {tenant}.service_facts WHERE source_id = $1`, v.GetId()); n != 1 {
		t.Errorf("a move within the station wrote %d facts", n-1)
	}
	refuses("before the present team", &registryv1.Volunteer{TeamId: elsewhere.GetId(), TeamSince: "2021-05-31"}, "volunteer.teamSince")
	counts("a team of another station", &registryv1.Volunteer{TeamId: elsewhere.GetId(), TeamSince: "2021-07-15"}, "2021-07-15",
		registered, "2021-07-15 -1 here", "2021-07-15 +1 there")
	counts("another day of the move", &registryv1.Volunteer{TeamSince: "2021-08-01"}, "2021-08-01",
		registered, "2021-08-01 -1 here", "2021-08-01 +1 there")
	refuses("no later than the move before", &registryv1.Volunteer{TeamSince: "2021-06-01"}, "volunteer.teamSince")
	refuses("withdrawn before the move", &registryv1.Volunteer{WithdrawnDate: "2021-07-31"}, "volunteer.withdrawnDate")
	counts("withdrawn", &registryv1.Volunteer{WithdrawnDate: "2022-01-31"}, "2021-08-01",
		registered, "2021-08-01 -1 here", "2021-08-01 +1 there", "2022-02-01 -1 there")
	refuses("moved after withdrawal", &registryv1.Volunteer{TeamId: team.GetId()}, "volunteer.teamSince")
	counts("entered by mistake", &registryv1.Volunteer{TeamId: team.GetId(), TeamSince: "2021-08-01"}, "2021-08-01",
		registered, "2022-02-01 -1 here")
	refuses("registered after the first move", &registryv1.Volunteer{RegisteredDate: "2021-06-01"}, "volunteer.registeredDate")
	refuses("registered before the team was founded", &registryv1.Volunteer{RegisteredDate: "2021-05-09"}, "volunteer.registeredDate")
	counts("registered on another day", &registryv1.Volunteer{RegisteredDate: "2021-05-12"}, "2021-08-01",
		"2021-05-12 +1 here", "2022-02-01 -1 here")
}

func TestAVolunteerMovesTodayUnlessToldOtherwise(t *testing.T) {
	e := newEnv(t)
	s, other := e.station(township), e.station("460107001")
	v := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(e.team(s), "")))
	move := &registryv1.UpdateVolunteerRequest{Volunteer: &registryv1.Volunteer{Id: v.GetId(), TeamId: e.team(other).GetId()}}
	moved := must[*registryv1.Volunteer](t)(e.UpdateVolunteer(e.admin(), move))
	today := civildate.Format(civildate.Today())
	if moved.GetTeamSince() != today || moved.GetStationId() != other.GetId() {
		t.Errorf("moved to %v", moved)
	}
	names := map[string]string{s.GetId(): "here", other.GetId(): "there"}
	if diff := cmp.Diff([]string{"2021-05-20 +1 here", today + " -1 here", today + " +1 there"}, e.steps(v.GetId(), names)); diff != "" {
		t.Error(diff)
	}
	later := volunteer(e.team(s), "")
	later.Volunteer.TeamSince = "2021-05-21"
	_, err := e.CreateVolunteer(e.admin(), later)
	refused(t, "registered into a team of a later day", err, codes.InvalidArgument, "volunteer.teamSince")
}

func TestAWrongFirstTeamIsReplaced(t *testing.T) {
	e := newEnv(t)
	s, other := e.station(township), e.station("460107001")
	wrong, right := e.team(s), e.team(other)
	v := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(wrong, "")))
	must[*registryv1.Volunteer](t)(e.UpdateVolunteer(e.admin(), &registryv1.UpdateVolunteerRequest{
		Volunteer: &registryv1.Volunteer{Id: v.GetId(), TeamId: right.GetId(), TeamSince: v.GetTeamSince()},
	}))
	if diff := cmp.Diff([]string{"2021-05-20 +1 there"}, e.steps(v.GetId(), map[string]string{other.GetId(): "there"})); diff != "" {
		t.Error(diff)
	}
	must[*registryv1.VolunteerTeam](t)(e.VoidVolunteerTeam(e.admin(), &registryv1.VoidVolunteerTeamRequest{Id: wrong.GetId(), Reason: "by mistake"}))
}

func TestATeamOutlastsThoseWhoLeftIt(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	team, next := e.team(s), e.team(s)
	v := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(team, "")))
	must[*registryv1.Volunteer](t)(e.UpdateVolunteer(e.admin(), &registryv1.UpdateVolunteerRequest{
		Volunteer: &registryv1.Volunteer{Id: v.GetId(), TeamId: next.GetId(), TeamSince: "2021-07-01"},
	}))
	days := func(team *registryv1.VolunteerTeam, change *registryv1.VolunteerTeam) error {
		change.Id = team.GetId()
		_, err := e.UpdateVolunteerTeam(e.admin(), &registryv1.UpdateVolunteerTeamRequest{VolunteerTeam: change})
		return err
	}
	refused(t, "dissolved before the volunteer left", days(team, &registryv1.VolunteerTeam{DissolvedDate: "2021-06-29"}),
		codes.Aborted, "volunteerTeam.dissolvedDate")
	if err := days(team, &registryv1.VolunteerTeam{DissolvedDate: "2021-06-30"}); err != nil {
		t.Errorf("dissolved when the volunteer left: %v", err)
	}
	refused(t, "founded after the volunteer came", days(next, &registryv1.VolunteerTeam{FoundedDate: "2021-07-02"}),
		codes.Aborted, "volunteerTeam.foundedDate")
	_, err := e.UpdateVolunteer(e.admin(), &registryv1.UpdateVolunteerRequest{
		Volunteer: &registryv1.Volunteer{Id: v.GetId(), TeamSince: "2021-07-02"},
	})
	refused(t, "a move after the former team's end", err, codes.InvalidArgument, "volunteer.teamSince")
	_, err = e.VoidVolunteerTeam(e.admin(), &registryv1.VoidVolunteerTeamRequest{Id: team.GetId(), Reason: "by mistake"})
	refused(t, "void with a former volunteer", err, codes.Aborted, "")
	if err := days(next, &registryv1.VolunteerTeam{FoundedDate: "2021-07-01"}); err != nil {
		t.Errorf("founded when the volunteer came: %v", err)
	}
	names := map[string]string{s.GetId(): "here"}
	if diff := cmp.Diff([]string{"2021-07-01 +1 here"}, e.steps(next.GetId(), names)); diff != "" {
		t.Errorf("founded on another day: %s", diff)
	}
}

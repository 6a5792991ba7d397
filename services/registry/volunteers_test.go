package registry_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	registryv1 "circle15.dev/api/registry/v1"
)

func (e *env) team(station *registryv1.Station) *registryv1.VolunteerTeam {
	e.t.Helper()
	return must[*registryv1.VolunteerTeam](e.t)(e.CreateVolunteerTeam(e.admin(), &registryv1.CreateVolunteerTeamRequest{
		VolunteerTeam: &registryv1.VolunteerTeam{
			StationId: station.GetId(), DisplayName: "志愿服务队", Domain: "elderly_services", FoundedDate: "2021-05-10",
		},
	}))
}

func volunteer(team *registryv1.VolunteerTeam, number string) *registryv1.CreateVolunteerRequest {
	return &registryv1.CreateVolunteerRequest{Volunteer: &registryv1.Volunteer{
		TeamId: team.GetId(), Name: "志愿者", IdentityNumber: number, Skills: []string{"haircuts"}, RegisteredDate: "2021-05-20",
	}}
}

func TestATeamIsCountedUntilItIsDissolved(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	team := e.team(s)
	founded := fact{Measure: "volunteer_team", Date: "2021-05-10", Station: s.GetId(), Domain: "elderly_services", Amount: 1}
	if diff := cmp.Diff([]fact{founded}, e.facts(team.GetId())); diff != "" {
		t.Fatalf("founded: %s", diff)
	}
	member := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(team, "")))
	dissolve := &registryv1.UpdateVolunteerTeamRequest{
		VolunteerTeam: &registryv1.VolunteerTeam{Id: team.GetId(), DissolvedDate: "2022-06-30"},
	}
	_, err := e.UpdateVolunteerTeam(e.admin(), dissolve)
	refused(t, "with a volunteer", err, codes.Aborted, "volunteerTeam.dissolvedDate")

	withdraw := &registryv1.UpdateVolunteerRequest{
		Volunteer: &registryv1.Volunteer{Id: member.GetId(), WithdrawnDate: "2022-06-30"}, UpdateMask: mask("withdrawn_date"),
	}
	must[*registryv1.Volunteer](t)(e.UpdateVolunteer(e.admin(), withdraw))
	must[*registryv1.VolunteerTeam](t)(e.UpdateVolunteerTeam(e.admin(), dissolve))
	dissolved := founded
	dissolved.Date, dissolved.Amount = "2022-07-01", -1
	if diff := cmp.Diff([]fact{founded, undone(founded), founded, dissolved}, e.facts(team.GetId())); diff != "" {
		t.Errorf("dissolved: %s", diff)
	}
	withdraw.Volunteer.WithdrawnDate = ""
	_, err = e.UpdateVolunteer(e.admin(), withdraw)
	refused(t, "a volunteer who stays", err, codes.InvalidArgument, "volunteer.withdrawnDate")
	_, err = e.CreateVolunteer(e.admin(), volunteer(team, ""))
	refused(t, "a new volunteer", err, codes.InvalidArgument, "volunteer.withdrawnDate")
}

func TestAVolunteersIdentityNumberIsTakenOnceAndNeverReturned(t *testing.T) {
	e := newEnv(t)
	team := e.team(e.station(township))
	first := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(team, identity)))
	if reply := protojson.Format(first); strings.Contains(reply, identity[6:14]) || first.GetMaskedIdentityNumber() == "" {
		t.Errorf("returned as %s", reply)
	}
	_, err := e.CreateVolunteer(e.admin(), volunteer(team, identity))
	refused(t, "a second volunteer of the number", err, codes.AlreadyExists, "volunteer.identityNumber")
	_, err = e.CreateVolunteer(e.admin(), volunteer(team, identity[:17]+"1"))
	refused(t, "a wrong number", err, codes.InvalidArgument, "volunteer.identityNumber")

	withdrawn := must[*registryv1.Volunteer](t)(e.UpdateVolunteer(e.admin(), &registryv1.UpdateVolunteerRequest{
		Volunteer: &registryv1.Volunteer{Id: first.GetId(), WithdrawnDate: "2022-01-31"},
	}))
	if withdrawn.GetMaskedIdentityNumber() != first.GetMaskedIdentityNumber() {
		t.Error("the number was lost in an update that does not name it")
	}
	again := volunteer(team, identity)
	again.Volunteer.RegisteredDate = "2022-01-31"
	_, err = e.CreateVolunteer(e.admin(), again)
	refused(t, "registered again on the last day", err, codes.AlreadyExists, "volunteer.identityNumber")
	again.Volunteer.RegisteredDate = "2022-02-01"
	second := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), again))

	for what, change := range map[string]*registryv1.Volunteer{
		"stays": {Id: first.GetId()}, "withdraws later": {Id: first.GetId(), WithdrawnDate: "2022-03-01"},
	} {
		_, err = e.UpdateVolunteer(e.admin(), &registryv1.UpdateVolunteerRequest{Volunteer: change, UpdateMask: mask("withdrawn_date")})
		refused(t, "the first "+what, err, codes.AlreadyExists, "volunteer.identityNumber")
	}
	unnamed := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(team, "")))
	number := &registryv1.UpdateVolunteerRequest{Volunteer: &registryv1.Volunteer{Id: unnamed.GetId(), IdentityNumber: identity}}
	_, err = e.UpdateVolunteer(e.admin(), number)
	refused(t, "the number of a volunteer without an end", err, codes.AlreadyExists, "volunteer.identityNumber")
	must[*registryv1.Volunteer](t)(e.VoidVolunteer(e.admin(), &registryv1.VoidVolunteerRequest{Id: second.GetId(), Reason: "by mistake"}))
	_, err = e.UpdateVolunteer(e.admin(), number)
	refused(t, "the number of a volunteer of then", err, codes.AlreadyExists, "volunteer.identityNumber")
}

func TestAVoidVolunteerIsKeptAndCountsNowhere(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	team := e.team(s)
	v := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(team, identity)))
	must[*registryv1.Volunteer](t)(e.UpdateVolunteer(e.admin(), &registryv1.UpdateVolunteerRequest{
		Volunteer: &registryv1.Volunteer{Id: v.GetId(), WithdrawnDate: "2021-05-20"},
	}))
	void := &registryv1.VoidVolunteerRequest{Id: v.GetId(), Reason: "another person", Etag: v.GetEtag()}
	_, err := e.VoidVolunteer(e.admin(), void)
	refused(t, "on an old etag", err, codes.FailedPrecondition, "etag")
	void.Etag = ""
	reply := must[*registryv1.Volunteer](t)(e.VoidVolunteer(e.admin(), void))
	if reply.GetState() != registryv1.VolunteerState_VOLUNTEER_STATE_VOID || reply.GetVoidReason() != "another person" {
		t.Errorf("void as %v", reply)
	}
	if n := e.count(`SELECT count(*) FROM (SELECT FROM {tenant}.service_facts WHERE source_id = $1 GROUP BY fact_date
		HAVING sum(amount) <> 0) days`, v.GetId()); n != 0 {
		t.Errorf("a void volunteer counts on %d days", n)
	}
	_, err = e.VoidVolunteer(e.admin(), void)
	refused(t, "void again", err, codes.Aborted, "")
	_, err = e.UpdateVolunteer(e.admin(), &registryv1.UpdateVolunteerRequest{Volunteer: &registryv1.Volunteer{Id: v.GetId(), Phone: "1"}})
	refused(t, "changed while void", err, codes.Aborted, "")
	again := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(team, identity)))
	if again.GetState() != registryv1.VolunteerState_VOLUNTEER_STATE_ACTIVE {
		t.Errorf("registered as %v", again)
	}
	must[*registryv1.Volunteer](t)(e.VoidVolunteer(e.admin(), &registryv1.VoidVolunteerRequest{Id: again.GetId(), Reason: "by mistake"}))
	must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(team, identity)))
}

func TestATeamIsVoidOnlyWithoutVolunteers(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	team := e.team(s)
	v := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(team, "")))
	must[*registryv1.Volunteer](t)(e.UpdateVolunteer(e.admin(), &registryv1.UpdateVolunteerRequest{
		Volunteer: &registryv1.Volunteer{Id: v.GetId(), WithdrawnDate: "2021-05-31"},
	}))
	void := &registryv1.VoidVolunteerTeamRequest{Id: team.GetId(), Reason: "founded elsewhere"}
	_, err := e.VoidVolunteerTeam(e.admin(), void)
	refused(t, "with a volunteer who withdrew", err, codes.Aborted, "")
	must[*registryv1.Volunteer](t)(e.VoidVolunteer(e.admin(), &registryv1.VoidVolunteerRequest{Id: v.GetId(), Reason: "by mistake"}))

	reply := must[*registryv1.VolunteerTeam](t)(e.VoidVolunteerTeam(e.at(s.GetId()), void))
	if reply.GetState() != registryv1.VolunteerTeamState_VOLUNTEER_TEAM_STATE_VOID || reply.GetVoidReason() != "founded elsewhere" {
		t.Errorf("void as %v", reply)
	}
	founded := fact{Measure: "volunteer_team", Date: "2021-05-10", Station: s.GetId(), Domain: "elderly_services", Amount: 1}
	if diff := cmp.Diff([]fact{founded, undone(founded)}, e.facts(team.GetId())); diff != "" {
		t.Error(diff)
	}
	_, err = e.VoidVolunteerTeam(e.admin(), void)
	refused(t, "void again", err, codes.Aborted, "")
	_, err = e.UpdateVolunteerTeam(e.admin(), &registryv1.UpdateVolunteerTeamRequest{
		VolunteerTeam: &registryv1.VolunteerTeam{Id: team.GetId(), DisplayName: "队"},
	})
	refused(t, "changed while void", err, codes.Aborted, "")
	_, err = e.CreateVolunteer(e.admin(), volunteer(team, ""))
	refused(t, "joined while void", err, codes.InvalidArgument, "volunteer.teamId")
}

func TestVoidingATeamAndAVolunteersRegistrationExcludeEachOther(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	for round := range 10 {
		team := e.team(s)
		var racing sync.WaitGroup
		var voided, joined error
		racing.Go(func() {
			_, voided = e.VoidVolunteerTeam(e.admin(), &registryv1.VoidVolunteerTeamRequest{Id: team.GetId(), Reason: "by mistake"})
		})
		racing.Go(func() { _, joined = e.CreateVolunteer(e.admin(), volunteer(team, "")) })
		racing.Wait()
		if (voided == nil) == (joined == nil) {
			t.Fatalf("round %d: voiding: %v, joining: %v", round, voided, joined)
		}
	}
}

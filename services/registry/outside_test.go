package registry_test

import (
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/civildate"
)

// endService ends the service of the worker, or lets it go on.
func (e *env) endService(worker *registryv1.Staff, day string) error {
	_, err := e.UpdateStaff(e.admin(), &registryv1.UpdateStaffRequest{
		Staff: &registryv1.Staff{Id: worker.GetId(), EndDate: day}, UpdateMask: mask("end_date"),
	})
	return err
}

func TestAStationIsNotClosedOverWhatGoesOn(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	if err := e.endService(p.worker, "2022-06-30"); err != nil {
		t.Fatal(err)
	}
	station, staff, home, person := p.station.GetId(), p.worker.GetId(), p.household.GetId(), p.resident.GetId()
	for _, tt := range []struct {
		what       string
		begin, end string
		args       []any
	}{
		{
			"open cases (1)",
			`INSERT INTO {tenant}.cases (id, station_id, household_id, resident_id, staff_id, domain, title, presenting_problem, stage,
				opened_date, created_by) VALUES ($1, $2, $3, $4, $5, 'child_welfare', '个案', '问题', 'INTAKE', '2021-06-01', 'test')`,
			`UPDATE {tenant}.cases SET stage = 'CLOSURE', closed_date = '2022-06-30' WHERE id = $1`,
			[]any{newID(), station, home, person, staff},
		},
		{
			"planned visits (1)",
			`INSERT INTO {tenant}.visits (id, station_id, household_id, staff_id, kind, domain, state, planned_date, created_by)
				VALUES ($1, $2, $3, $4, 'HOME', 'child_welfare', 'PLANNED', '2022-07-01', 'test')`,
			`UPDATE {tenant}.visits SET state = 'CANCELLED' WHERE id = $1`,
			[]any{newID(), station, home, staff},
		},
		{
			"planned activities (1)",
			`INSERT INTO {tenant}.activities (id, station_id, staff_id, title, domain, state, planned_date, created_by)
				VALUES ($1, $2, $3, '活动', 'child_welfare', 'PLANNED', '2022-07-01', 'test')`,
			`UPDATE {tenant}.activities SET planned_date = '2022-06-30' WHERE id = $1`,
			[]any{newID(), station, staff},
		},
		{
			"groups (1)",
			`INSERT INTO {tenant}.groups (id, station_id, staff_id, display_name, domain, stage, opened_date, created_by)
				VALUES ($1, $2, $3, '小组', 'child_welfare', 'FORMATION', '2021-06-01', 'test')`,
			`UPDATE {tenant}.groups SET stage = 'ENDING', ended_date = '2022-06-30' WHERE id = $1`,
			[]any{newID(), station, staff},
		},
	} {
		e.exec(tt.begin, tt.args...)
		_, err := e.closeStation(station, "2022-06-30")
		refused(t, tt.what, err, codes.Aborted, "station.closedDate")
		if message := status.Convert(err).Message(); !strings.HasSuffix(message, "beyond 2022-06-30 the station has "+tt.what) {
			t.Errorf("%s: refused with %q", tt.what, message)
		}
		e.exec(tt.end, tt.args[0])
	}
	team := e.team(p.station)
	_, err := e.closeStation(station, "2022-06-30")
	refused(t, "a team in being", err, codes.Aborted, "station.closedDate")
	dissolve := &registryv1.UpdateVolunteerTeamRequest{
		VolunteerTeam: &registryv1.VolunteerTeam{Id: team.GetId(), DissolvedDate: "2022-06-30"}, UpdateMask: mask("dissolved_date"),
	}
	must[*registryv1.VolunteerTeam](t)(e.UpdateVolunteerTeam(e.admin(), dissolve))
	must[*registryv1.Station](t)(e.closeStation(station, "2022-06-30"))

	dissolve.VolunteerTeam.DissolvedDate = ""
	_, err = e.UpdateVolunteerTeam(e.admin(), dissolve)
	refused(t, "a team that goes on", err, codes.InvalidArgument, "volunteerTeam.dissolvedDate")
	must[*registryv1.Station](t)(e.UpdateStation(e.admin(), &registryv1.UpdateStationRequest{
		Station: &registryv1.Station{Id: station, DisplayName: "原社工站"},
	}))
}

func TestNothingNewIsRecordedAtAStationThatWasClosed(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	if err := e.endService(p.worker, "2022-06-30"); err != nil {
		t.Fatal(err)
	}
	must[*registryv1.Station](t)(e.closeStation(p.station.GetId(), "2022-06-30"))

	_, err := e.CreateCommunity(e.admin(), &registryv1.CreateCommunityRequest{
		Community: &registryv1.Community{StationId: p.station.GetId(), DivisionCode: township + "002", DisplayName: "社区"},
	})
	refused(t, "a community", err, codes.InvalidArgument, "community.stationId")
	_, err = e.CreateHousehold(e.admin(), &registryv1.CreateHouseholdRequest{
		Household: &registryv1.Household{CommunityId: p.community.GetId(), HeadName: "户主", Address: "某路1号"},
	})
	refused(t, "a household", err, codes.InvalidArgument, "household.communityId")
	_, err = e.CreateVolunteerTeam(e.admin(), &registryv1.CreateVolunteerTeamRequest{
		VolunteerTeam: &registryv1.VolunteerTeam{StationId: p.station.GetId(), DisplayName: "队", FoundedDate: "2022-06-01"},
	})
	refused(t, "a team", err, codes.InvalidArgument, "volunteerTeam.dissolvedDate")
	_, err = e.CreateNeed(e.admin(), need(p, func(n *registryv1.Need) { n.RecordedDate = "2022-07-01" }))
	refused(t, "a need", err, codes.InvalidArgument, "need.recordedDate")
	late := file(p, "very_old")
	late.ServiceFile.BuiltDate = "2022-07-01"
	_, err = e.CreateServiceFile(e.admin(), late)
	refused(t, "a file", err, codes.InvalidArgument, "serviceFile.builtDate")

	e.need(p, func(n *registryv1.Need) { n.RecordedDate = "2022-06-30" })
	must[*registryv1.ServiceFile](t)(e.CreateServiceFile(e.admin(), file(p, "very_old")))
	must[*registryv1.VolunteerTeam](t)(e.CreateVolunteerTeam(e.admin(), &registryv1.CreateVolunteerTeamRequest{
		VolunteerTeam: &registryv1.VolunteerTeam{
			StationId: p.station.GetId(), DisplayName: "队", FoundedDate: "2022-06-01", DissolvedDate: "2022-06-30",
		},
	}))
}

func TestAStationThatIsToCloseTakesNewRecordsUntilThen(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	community := e.community(s, "001")
	must[*registryv1.Station](t)(e.closeStation(s.GetId(), civildate.Format(civildate.Today())))
	e.household(community)
	e.community(s, "002")
}

func TestClosingAStationAndATeamsFoundationExcludeEachOther(t *testing.T) {
	e := newEnv(t)
	for round := range 10 {
		s := e.station(township)
		var racing sync.WaitGroup
		var closed, founded error
		racing.Go(func() { _, closed = e.closeStation(s.GetId(), "2022-06-30") })
		racing.Go(func() {
			_, founded = e.CreateVolunteerTeam(e.admin(), &registryv1.CreateVolunteerTeamRequest{
				VolunteerTeam: &registryv1.VolunteerTeam{StationId: s.GetId(), DisplayName: "队", FoundedDate: "2021-05-10"},
			})
		})
		racing.Wait()
		if (closed == nil) == (founded == nil) {
			t.Fatalf("round %d: closing: %v, founding: %v", round, closed, founded)
		}
		e.exec(`DELETE FROM {tenant}.service_facts`)
		e.exec(`DELETE FROM {tenant}.volunteer_teams`)
		e.exec(`DELETE FROM {tenant}.stations`)
	}
}

func TestNothingBeginsBeforeWhatItBelongsTo(t *testing.T) {
	e := newEnv(t)
	s := e.station(township)
	_, err := e.CreateStaff(e.admin(), &registryv1.CreateStaffRequest{Staff: &registryv1.Staff{
		StationId: s.GetId(), Name: "社工", Position: registryv1.StaffPosition_STAFF_POSITION_SOCIAL_WORKER, StartDate: "2021-04-30",
	}})
	refused(t, "a worker", err, codes.InvalidArgument, "staff.startDate")
	_, err = e.UpdateStaff(e.admin(), &registryv1.UpdateStaffRequest{
		Staff: &registryv1.Staff{Id: e.worker(s).GetId(), StartDate: "2021-04-30"},
	})
	refused(t, "a worker by correction", err, codes.InvalidArgument, "staff.startDate")
	_, err = e.CreateVolunteerTeam(e.admin(), &registryv1.CreateVolunteerTeamRequest{
		VolunteerTeam: &registryv1.VolunteerTeam{StationId: s.GetId(), DisplayName: "队", FoundedDate: "2021-04-30"},
	})
	refused(t, "a team", err, codes.InvalidArgument, "volunteerTeam.foundedDate")
	early := volunteer(e.team(s), "")
	early.Volunteer.RegisteredDate = "2021-05-09"
	_, err = e.CreateVolunteer(e.admin(), early)
	refused(t, "a volunteer", err, codes.InvalidArgument, "volunteer.registeredDate")
}

func TestAStationDoesNotOpenAfterItsWorkBegan(t *testing.T) {
	e := newEnv(t)
	open := func(s *registryv1.Station, day string) error {
		_, err := e.UpdateStation(e.admin(), &registryv1.UpdateStationRequest{Station: &registryv1.Station{Id: s.GetId(), OpenedDate: day}})
		return err
	}
	p := e.place(township)
	n := e.need(p) // of 10 June
	refused(t, "a worker", open(p.station, "2021-05-02"), codes.Aborted, "station.openedDate")
	if _, err := e.UpdateStaff(e.admin(), &registryv1.UpdateStaffRequest{
		Staff: &registryv1.Staff{Id: p.worker.GetId(), StartDate: "2021-06-10"},
	}); err != nil {
		t.Fatal(err)
	}
	e.exec(`UPDATE {tenant}.staff SET start_date = '2021-07-01'`)
	refused(t, "an act", open(p.station, "2021-06-11"), codes.Aborted, "station.openedDate")
	must[*registryv1.Need](t)(e.VoidNeed(e.admin(), &registryv1.VoidNeedRequest{Id: n.GetId(), Reason: "by mistake"}))
	if err := open(p.station, "2021-06-11"); err != nil {
		t.Errorf("with nothing but a void need before: %v", err)
	}
	if err := open(p.station, "2021-04-01"); err != nil {
		t.Errorf("earlier: %v", err)
	}
	s := e.station("460107001")
	e.team(s)
	refused(t, "a team", open(s, "2021-05-11"), codes.Aborted, "station.openedDate")
}

func TestAServiceLeavesOutNothingThatTheWorkerDid(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	n := e.need(p) // of 10 June
	must[*registryv1.Need](t)(e.MeetNeed(e.admin(), &registryv1.MeetNeedRequest{Id: n.GetId(), MetDate: "2021-08-30", Outcome: "done"}))
	start := func(day string) error {
		_, err := e.UpdateStaff(e.admin(), &registryv1.UpdateStaffRequest{Staff: &registryv1.Staff{Id: p.worker.GetId(), StartDate: day}})
		return err
	}
	refused(t, "ends before", e.endService(p.worker, "2021-06-09"), codes.Aborted, "staff.endDate")
	refused(t, "starts after", start("2021-06-11"), codes.Aborted, "staff.startDate")
	if err := e.endService(p.worker, "2021-06-10"); err != nil {
		t.Errorf("ends on the day of the last need recorded: %v", err)
	}
	if err := start("2021-06-10"); err != nil {
		t.Errorf("starts on the day of the first: %v", err)
	}
	must[*registryv1.Need](t)(e.VoidNeed(e.admin(), &registryv1.VoidNeedRequest{Id: n.GetId(), Reason: "by mistake"}))
	if err := e.endService(p.worker, "2021-06-10"); err != nil {
		t.Error(err)
	}
	if err := start("2021-06-05"); err != nil {
		t.Error(err)
	}
	if err := e.endService(p.worker, "2021-06-09"); err != nil {
		t.Errorf("ends before a need that is void: %v", err)
	}
}

func TestAServiceAndAnActOfTheWorkerDoNotMissEachOther(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	for round := range 10 {
		worker := e.worker(p.station)
		theirs := need(p, func(n *registryv1.Need) { n.StaffId = worker.GetId() })
		var racing sync.WaitGroup
		var ended, recorded error
		racing.Go(func() { ended = e.endService(worker, "2021-06-09") })
		racing.Go(func() { _, recorded = e.CreateNeed(e.admin(), theirs) })
		racing.Wait()
		if (ended == nil) == (recorded == nil) {
			t.Fatalf("round %d: ending: %v, recording: %v", round, ended, recorded)
		}
	}
}

package haikou_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	activitiesv1 "circle15.dev/api/activities/v1"
	casesv1 "circle15.dev/api/cases/v1"
	iamv1 "circle15.dev/api/iam/v1"
	registryv1 "circle15.dev/api/registry/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/services/demo/haikou"
)

// ledger is the city as it stands after the requests were carried out one by one. It knows nothing of the generator: it is the
// plainest reading of what each request does, against which the plan's figures are counted.
type ledger struct {
	t          *testing.T
	stations   map[string]*registryv1.Station
	staff      map[string]*registryv1.Staff
	areas      map[string]*registryv1.Community
	households map[string]*registryv1.Household
	residents  map[string]*registryv1.Resident
	teams      map[string]*registryv1.VolunteerTeam
	volunteers map[string]*registryv1.Volunteer
	visits     map[string]*visitsv1.Visit
	needs      map[string]*registryv1.Need
	files      map[string]*registryv1.ServiceFile
	cases      map[string]*casesv1.Case
	sessions   []*casesv1.CaseSession // with the case's id
	referrals  map[string]*casesv1.Referral
	followUps  []*casesv1.FollowUp
	activities map[string]*activitiesv1.Activity
	granted    map[string]*iamv1.RoleGrant // by subject
	groups     map[string]*activitiesv1.Group
	meetings   []*activitiesv1.GroupSession // with the group's id
}

func carryOut(t *testing.T, plan *haikou.Plan) *ledger {
	t.Helper()
	l := &ledger{
		t: t, stations: map[string]*registryv1.Station{}, staff: map[string]*registryv1.Staff{}, areas: map[string]*registryv1.Community{},
		households: map[string]*registryv1.Household{}, residents: map[string]*registryv1.Resident{},
		teams: map[string]*registryv1.VolunteerTeam{}, volunteers: map[string]*registryv1.Volunteer{},
		visits: map[string]*visitsv1.Visit{}, needs: map[string]*registryv1.Need{}, files: map[string]*registryv1.ServiceFile{},
		cases: map[string]*casesv1.Case{}, referrals: map[string]*casesv1.Referral{},
		activities: map[string]*activitiesv1.Activity{}, granted: map[string]*iamv1.RoleGrant{}, groups: map[string]*activitiesv1.Group{},
	}
	for _, phase := range plan.Phases {
		for _, chain := range phase.Chains {
			for _, request := range chain {
				l.apply(proto.Clone(request))
			}
		}
	}
	return l
}

func (l *ledger) apply(request proto.Message) {
	switch r := request.(type) {
	case *registryv1.CreateStationRequest:
		add(l, l.stations, r.Station)
	case *registryv1.CreateStaffRequest:
		add(l, l.staff, r.Staff)
		at(l, l.stations, r.Staff.StationId)
	case *iamv1.CreateRoleGrantRequest:
		at(l, l.stations, r.RoleGrant.StationId)
		l.granted[r.RoleGrant.Subject] = r.RoleGrant
	case *registryv1.CreateCommunityRequest:
		add(l, l.areas, r.Community)
		at(l, l.stations, r.Community.StationId)
	case *registryv1.CreateHouseholdRequest:
		add(l, l.households, r.Household)
		r.Household.StationId = at(l, l.areas, r.Household.CommunityId).StationId
	case *registryv1.CreateResidentRequest:
		add(l, l.residents, r.Resident)
		r.Resident.StationId = at(l, l.households, r.Resident.HouseholdId).StationId
		if r.Resident.Guardian.GetResidentId() != "" {
			at(l, l.residents, r.Resident.Guardian.ResidentId)
		}
	case *registryv1.CreateVolunteerTeamRequest:
		add(l, l.teams, r.VolunteerTeam)
	case *registryv1.UpdateVolunteerTeamRequest:
		proto.Merge(at(l, l.teams, r.VolunteerTeam.Id), r.VolunteerTeam)
	case *registryv1.CreateVolunteerRequest:
		add(l, l.volunteers, r.Volunteer)
		r.Volunteer.StationId = at(l, l.teams, r.Volunteer.TeamId).StationId
	case *registryv1.UpdateVolunteerRequest:
		proto.Merge(at(l, l.volunteers, r.Volunteer.Id), r.Volunteer)
	default:
		l.applyService(request)
	}
}

func (l *ledger) applyService(request proto.Message) {
	switch r := request.(type) {
	case *registryv1.CreateNeedRequest:
		add(l, l.needs, r.Need)
		r.Need.State = registryv1.NeedState_NEED_STATE_OPEN
		r.Need.StationId = at(l, l.households, r.Need.HouseholdId).StationId
		if r.Need.VisitId != "" {
			v := at(l, l.visits, r.Need.VisitId)
			l.must(v.HouseholdId == r.Need.HouseholdId && v.VisitDate == r.Need.RecordedDate, "need %s is not of its visit", r.Need.Id)
		}
	case *registryv1.MeetNeedRequest:
		n := at(l, l.needs, r.Id)
		l.must(n.State == registryv1.NeedState_NEED_STATE_OPEN, "need %s is met but not open", r.Id)
		l.must(r.MetDate >= n.RecordedDate, "need %s is met before it was recorded", r.Id)
		n.State, n.MetDate = registryv1.NeedState_NEED_STATE_MET, r.MetDate
	case *registryv1.ReopenNeedRequest:
		n := at(l, l.needs, r.Id)
		l.must(n.State == registryv1.NeedState_NEED_STATE_MET, "need %s is opened again but not met", r.Id)
		n.State = registryv1.NeedState_NEED_STATE_OPEN
	case *registryv1.VoidNeedRequest:
		at(l, l.needs, r.Id).State = registryv1.NeedState_NEED_STATE_VOID
	case *registryv1.CreateServiceFileRequest:
		add(l, l.files, r.ServiceFile)
		r.ServiceFile.State = registryv1.ServiceFileState_SERVICE_FILE_STATE_ACTIVE
		r.ServiceFile.StationId = at(l, l.residents, r.ServiceFile.ResidentId).StationId
	case *registryv1.VoidServiceFileRequest:
		at(l, l.files, r.Id).State = registryv1.ServiceFileState_SERVICE_FILE_STATE_VOID
	default:
		l.applyVisit(request)
	}
}

func (l *ledger) applyVisit(request proto.Message) {
	switch r := request.(type) {
	case *visitsv1.SyncVisitsRequest:
		for _, v := range r.Visits {
			l.visit(v, visitsv1.VisitState_VISIT_STATE_COMPLETED)
		}
	case *visitsv1.RecordVisitRequest:
		l.visit(r.Visit, visitsv1.VisitState_VISIT_STATE_COMPLETED)
	case *visitsv1.PlanVisitRequest:
		l.visit(r.Visit, visitsv1.VisitState_VISIT_STATE_PLANNED)
	case *visitsv1.PlanFollowUpVisitRequest:
		first := at(l, l.visits, r.Id)
		l.must(first.State == visitsv1.VisitState_VISIT_STATE_COMPLETED, "visit %s is followed up but not completed", r.Id)
		l.visit(&visitsv1.Visit{
			Id: r.FollowUpVisitId, HouseholdId: first.HouseholdId, StaffId: r.StaffId, Kind: first.Kind, Domain: first.Domain, PlannedDate: r.PlannedDate,
		}, visitsv1.VisitState_VISIT_STATE_PLANNED)
	case *visitsv1.CompleteVisitRequest:
		v := at(l, l.visits, r.Id)
		l.must(v.State == visitsv1.VisitState_VISIT_STATE_PLANNED, "visit %s is completed but not planned", r.Id)
		v.State, v.VisitDate, v.PersonsServed = visitsv1.VisitState_VISIT_STATE_COMPLETED, r.VisitDate, r.PersonsServed
	case *visitsv1.CancelVisitRequest:
		at(l, l.visits, r.Id).State = visitsv1.VisitState_VISIT_STATE_CANCELLED
	case *visitsv1.VoidVisitRequest:
		at(l, l.visits, r.Id).State = visitsv1.VisitState_VISIT_STATE_VOID
	case *visitsv1.UpdateVisitRequest:
		proto.Merge(at(l, l.visits, r.Visit.Id), r.Visit)
	default:
		l.applyCase(request)
	}
}

func (l *ledger) visit(v *visitsv1.Visit, state visitsv1.VisitState) {
	add(l, l.visits, v)
	v.State = state
	v.StationId = at(l, l.households, v.HouseholdId).StationId
	l.must(at(l, l.staff, v.StaffId).StationId == v.StationId, "visit %s is made by a worker of another station", v.Id)
	for _, id := range v.ResidentIds {
		l.must(at(l, l.residents, id).HouseholdId == v.HouseholdId, "visit %s serves somebody of another household", v.Id)
	}
}

func (l *ledger) applyCase(request proto.Message) {
	switch r := request.(type) {
	case *casesv1.OpenCaseRequest:
		add(l, l.cases, r.Case)
		client := at(l, l.residents, r.Case.ResidentId)
		r.Case.Stage, r.Case.StationId, r.Case.HouseholdId = casesv1.CaseStage_CASE_STAGE_INTAKE, client.StationId, client.HouseholdId
		for _, id := range r.Case.NeedIds {
			l.must(at(l, l.needs, id).HouseholdId == client.HouseholdId, "case %s has a need of another household", r.Case.Id)
		}
	case *casesv1.AdvanceCaseRequest:
		c := at(l, l.cases, r.Id)
		l.must(r.Stage == c.Stage+1, "case %s goes from %s to %s", r.Id, c.Stage, r.Stage)
		c.Stage = r.Stage
	case *casesv1.EvaluateCaseRequest:
		c := at(l, l.cases, r.Id)
		l.must(c.Stage == casesv1.CaseStage_CASE_STAGE_EVALUATION, "case %s is evaluated in %s", r.Id, c.Stage)
		c.Evaluation = &casesv1.Evaluation{Summary: r.Summary, Reflection: r.Reflection, EvaluatedDate: r.EvaluatedDate}
	case *casesv1.ReopenCaseRequest:
		c := at(l, l.cases, r.Id)
		l.must(c.Stage == casesv1.CaseStage_CASE_STAGE_CLOSURE, "case %s is opened again in %s", r.Id, c.Stage)
		c.Stage = casesv1.CaseStage_CASE_STAGE_INTERVENTION
	case *casesv1.VoidCaseRequest:
		at(l, l.cases, r.Id).Stage = casesv1.CaseStage_CASE_STAGE_VOID
	case *casesv1.CreateCaseSessionRequest:
		c := at(l, l.cases, r.CaseId)
		l.must(c.Stage < casesv1.CaseStage_CASE_STAGE_CLOSURE, "case %s has a session in %s", r.CaseId, c.Stage)
		r.Session.CaseId, r.Session.StationId = c.Id, c.StationId
		l.sessions = append(l.sessions, r.Session)
	case *casesv1.CreateReferralRequest:
		add(l, l.referrals, r.Referral)
		r.Referral.CaseId, r.Referral.State = r.CaseId, casesv1.ReferralState_REFERRAL_STATE_SENT
	case *casesv1.RecordReferralOutcomeRequest:
		referral := at(l, l.referrals, r.Id)
		l.must(r.OutcomeDate >= referral.ReferralDate, "referral %s is answered before it was sent", r.Id)
		referral.State, referral.Outcome, referral.OutcomeDate = r.State, r.Outcome, r.OutcomeDate
	case *casesv1.CreateFollowUpRequest:
		l.must(at(l, l.cases, r.CaseId).Stage >= casesv1.CaseStage_CASE_STAGE_EVALUATION, "case %s is followed up too early", r.CaseId)
		l.must(at(l, l.visits, r.FollowUp.VisitId).CaseId == r.CaseId, "the follow-up visit is not of case %s", r.CaseId)
		r.FollowUp.CaseId = r.CaseId
		l.followUps = append(l.followUps, r.FollowUp)
	default:
		l.applyActivity(request)
	}
}

func (l *ledger) applyActivity(request proto.Message) {
	switch r := request.(type) {
	case *activitiesv1.CreateActivityRequest:
		add(l, l.activities, r.Activity)
		r.Activity.State = activitiesv1.ActivityState_ACTIVITY_STATE_PLANNED
		if r.Activity.HeldDate != "" {
			r.Activity.State = activitiesv1.ActivityState_ACTIVITY_STATE_HELD
		}
	case *activitiesv1.HoldActivityRequest:
		a := at(l, l.activities, r.Id)
		a.State, a.HeldDate = activitiesv1.ActivityState_ACTIVITY_STATE_HELD, r.HeldDate
		a.AttendeeCount, a.VolunteerIds = r.AttendeeCount, r.VolunteerIds
	case *activitiesv1.CancelActivityRequest:
		at(l, l.activities, r.Id).State = activitiesv1.ActivityState_ACTIVITY_STATE_CANCELLED
	case *activitiesv1.VoidActivityRequest:
		at(l, l.activities, r.Id).State = activitiesv1.ActivityState_ACTIVITY_STATE_VOID
	case *activitiesv1.CreateGroupRequest:
		add(l, l.groups, r.Group)
		r.Group.Stage = activitiesv1.GroupStage_GROUP_STAGE_PREPARATION
	case *activitiesv1.AdvanceGroupRequest:
		g := at(l, l.groups, r.Id)
		l.must(r.Stage == g.Stage+1, "group %s goes from %s to %s", r.Id, g.Stage, r.Stage)
		g.Stage, g.EndedDate = r.Stage, r.EndedDate
	case *activitiesv1.CreateGroupSessionRequest:
		g := at(l, l.groups, r.GroupId)
		r.Session.GroupId, r.Session.StationId = g.Id, g.StationId
		for _, id := range r.Session.AttendeeIds {
			l.must(at(l, l.residents, id).StationId == g.StationId, "group %s has somebody of another station", g.Id)
		}
		l.meetings = append(l.meetings, r.Session)
	default:
		l.t.Fatalf("the plan sends %T, of which this test knows nothing", request)
	}
}

type identified interface {
	comparable
	GetId() string
}

// add stores what a request creates; an id must be new.
func add[T identified](l *ledger, table map[string]T, row T) {
	_, taken := table[row.GetId()]
	l.must(!taken && row.GetId() != "", "the id %q of a %T is taken", row.GetId(), row)
	table[row.GetId()] = row
}

// at finds what an earlier request created.
func at[T identified](l *ledger, table map[string]T, id string) T {
	l.t.Helper()
	row, ok := table[id]
	l.must(ok, "%T %q is used before it exists", row, id)
	return row
}

func (l *ledger) must(ok bool, format string, args ...any) {
	l.t.Helper()
	if !ok {
		l.t.Fatal(fmt.Sprintf(format, args...))
	}
}

// figures is what a report of the period counts.
type figures struct {
	Stations, HouseholdsVisited, HomeVisits, Cases, CaseSessions, Activities, Groups int
	VolunteerTeams, Volunteers, PersonTimes, Needs, NeedsMet, Files                  int
}

// count counts the figures from 2021-05-01 to 2021-10-01, of one station or, with an empty id, of the city.
func (l *ledger) count(station string) figures {
	var f figures
	in := func(of, date string) bool {
		return (station == "" || of == station) && "2021-05-01" <= date && date <= "2021-10-01"
	}
	for _, s := range l.stations {
		f.Stations += one(in(s.Id, s.OpenedDate))
	}
	for _, team := range l.teams {
		f.VolunteerTeams += one(in(team.StationId, team.FoundedDate)) - one(in(team.StationId, team.DissolvedDate))
	}
	for _, v := range l.volunteers {
		f.Volunteers += one(in(v.StationId, v.RegisteredDate)) - one(in(v.StationId, v.WithdrawnDate))
	}
	visited := map[string]bool{}
	for _, v := range l.visits {
		if v.State != visitsv1.VisitState_VISIT_STATE_COMPLETED || !in(v.StationId, v.VisitDate) {
			continue
		}
		f.PersonTimes += int(v.PersonsServed)
		if v.Kind == visitsv1.VisitKind_VISIT_KIND_HOME {
			f.HomeVisits++
			visited[v.HouseholdId] = true
		}
	}
	f.HouseholdsVisited = len(visited)
	for _, n := range l.needs {
		counted := n.State != registryv1.NeedState_NEED_STATE_VOID && in(n.StationId, n.RecordedDate)
		f.Needs += one(counted)
		f.NeedsMet += one(counted && n.State == registryv1.NeedState_NEED_STATE_MET && in(n.StationId, n.MetDate))
	}
	for _, file := range l.files {
		f.Files += one(file.State == registryv1.ServiceFileState_SERVICE_FILE_STATE_ACTIVE && in(file.StationId, file.BuiltDate))
	}
	for _, c := range l.cases {
		f.Cases += one(c.Stage != casesv1.CaseStage_CASE_STAGE_VOID && in(c.StationId, c.OpenedDate))
	}
	for _, s := range l.sessions {
		if l.cases[s.CaseId].Stage != casesv1.CaseStage_CASE_STAGE_VOID && in(s.StationId, s.SessionDate) {
			f.CaseSessions++
			f.PersonTimes += int(s.PersonsServed)
		}
	}
	for _, a := range l.activities {
		if a.State == activitiesv1.ActivityState_ACTIVITY_STATE_HELD && in(a.StationId, a.HeldDate) {
			f.Activities++
			f.PersonTimes += int(a.AttendeeCount)
		}
	}
	for _, g := range l.groups {
		f.Groups += one(in(g.StationId, g.OpenedDate))
	}
	for _, m := range l.meetings {
		if in(m.StationId, m.SessionDate) {
			f.PersonTimes += len(m.AttendeeIds)
		}
	}
	return f
}

func one(counted bool) int {
	if counted {
		return 1
	}
	return 0
}

func weekdayOf(date string) time.Weekday {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		panic(err)
	}
	return day.Weekday()
}

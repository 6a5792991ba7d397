package haikou_test

import (
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
		add(l, l.stations, r.GetStation())
	case *registryv1.CreateStaffRequest:
		add(l, l.staff, r.GetStaff())
		at(l, l.stations, r.GetStaff().GetStationId())
	case *iamv1.CreateRoleGrantRequest:
		at(l, l.stations, r.GetRoleGrant().GetStationId())
		l.granted[r.GetRoleGrant().GetSubject()] = r.GetRoleGrant()
	case *registryv1.CreateCommunityRequest:
		add(l, l.areas, r.GetCommunity())
		at(l, l.stations, r.GetCommunity().GetStationId())
	case *registryv1.CreateHouseholdRequest:
		add(l, l.households, r.GetHousehold())
		r.Household.StationId = at(l, l.areas, r.GetHousehold().GetCommunityId()).GetStationId()
	case *registryv1.CreateResidentRequest:
		add(l, l.residents, r.GetResident())
		r.Resident.StationId = at(l, l.households, r.GetResident().GetHouseholdId()).GetStationId()
		if r.GetResident().GetGuardian().GetResidentId() != "" {
			at(l, l.residents, r.GetResident().GetGuardian().GetResidentId())
		}
	case *registryv1.CreateVolunteerTeamRequest:
		add(l, l.teams, r.GetVolunteerTeam())
	case *registryv1.UpdateVolunteerTeamRequest:
		proto.Merge(at(l, l.teams, r.GetVolunteerTeam().GetId()), r.GetVolunteerTeam())
	case *registryv1.CreateVolunteerRequest:
		add(l, l.volunteers, r.GetVolunteer())
		r.Volunteer.StationId = at(l, l.teams, r.GetVolunteer().GetTeamId()).GetStationId()
	case *registryv1.UpdateVolunteerRequest:
		proto.Merge(at(l, l.volunteers, r.GetVolunteer().GetId()), r.GetVolunteer())
	default:
		l.applyService(request)
	}
}

func (l *ledger) applyService(request proto.Message) {
	switch r := request.(type) {
	case *registryv1.CreateNeedRequest:
		add(l, l.needs, r.GetNeed())
		r.Need.State = registryv1.NeedState_NEED_STATE_OPEN
		r.Need.StationId = at(l, l.households, r.GetNeed().GetHouseholdId()).GetStationId()
		if r.GetNeed().GetVisitId() != "" {
			v := at(l, l.visits, r.GetNeed().GetVisitId())
			l.mustf(v.GetHouseholdId() == r.GetNeed().GetHouseholdId() && v.GetVisitDate() == r.GetNeed().GetRecordedDate(), "need %s is not of its visit", r.GetNeed().GetId())
		}
	case *registryv1.MeetNeedRequest:
		n := at(l, l.needs, r.GetId())
		l.mustf(n.GetState() == registryv1.NeedState_NEED_STATE_OPEN, "need %s is met but not open", r.GetId())
		l.mustf(r.GetMetDate() >= n.GetRecordedDate(), "need %s is met before it was recorded", r.GetId())
		n.State, n.MetDate = registryv1.NeedState_NEED_STATE_MET, r.GetMetDate()
	case *registryv1.ReopenNeedRequest:
		n := at(l, l.needs, r.GetId())
		l.mustf(n.GetState() == registryv1.NeedState_NEED_STATE_MET, "need %s is opened again but not met", r.GetId())
		n.State = registryv1.NeedState_NEED_STATE_OPEN
	case *registryv1.VoidNeedRequest:
		at(l, l.needs, r.GetId()).State = registryv1.NeedState_NEED_STATE_VOID
	case *registryv1.CreateServiceFileRequest:
		add(l, l.files, r.GetServiceFile())
		r.ServiceFile.State = registryv1.ServiceFileState_SERVICE_FILE_STATE_ACTIVE
		r.ServiceFile.StationId = at(l, l.residents, r.GetServiceFile().GetResidentId()).GetStationId()
	case *registryv1.VoidServiceFileRequest:
		at(l, l.files, r.GetId()).State = registryv1.ServiceFileState_SERVICE_FILE_STATE_VOID
	default:
		l.applyVisit(request)
	}
}

func (l *ledger) applyVisit(request proto.Message) {
	switch r := request.(type) {
	case *visitsv1.SyncVisitsRequest:
		for _, v := range r.GetVisits() {
			l.visit(v, visitsv1.VisitState_VISIT_STATE_COMPLETED)
		}
	case *visitsv1.RecordVisitRequest:
		l.visit(r.GetVisit(), visitsv1.VisitState_VISIT_STATE_COMPLETED)
	case *visitsv1.PlanVisitRequest:
		l.visit(r.GetVisit(), visitsv1.VisitState_VISIT_STATE_PLANNED)
	case *visitsv1.PlanFollowUpVisitRequest:
		first := at(l, l.visits, r.GetId())
		l.mustf(first.GetState() == visitsv1.VisitState_VISIT_STATE_COMPLETED, "visit %s is followed up but not completed", r.GetId())
		l.visit(&visitsv1.Visit{
			Id: r.GetFollowUpVisitId(), HouseholdId: first.GetHouseholdId(), StaffId: r.GetStaffId(), Kind: first.GetKind(), Domain: first.GetDomain(), PlannedDate: r.GetPlannedDate(),
		}, visitsv1.VisitState_VISIT_STATE_PLANNED)
	case *visitsv1.CompleteVisitRequest:
		v := at(l, l.visits, r.GetId())
		l.mustf(v.GetState() == visitsv1.VisitState_VISIT_STATE_PLANNED, "visit %s is completed but not planned", r.GetId())
		v.State, v.VisitDate, v.PersonsServed = visitsv1.VisitState_VISIT_STATE_COMPLETED, r.GetVisitDate(), r.GetPersonsServed()
	case *visitsv1.CancelVisitRequest:
		at(l, l.visits, r.GetId()).State = visitsv1.VisitState_VISIT_STATE_CANCELLED
	case *visitsv1.VoidVisitRequest:
		at(l, l.visits, r.GetId()).State = visitsv1.VisitState_VISIT_STATE_VOID
	case *visitsv1.UpdateVisitRequest:
		proto.Merge(at(l, l.visits, r.GetVisit().GetId()), r.GetVisit())
	default:
		l.applyCase(request)
	}
}

func (l *ledger) visit(v *visitsv1.Visit, state visitsv1.VisitState) {
	add(l, l.visits, v)
	v.State = state
	v.StationId = at(l, l.households, v.GetHouseholdId()).GetStationId()
	l.mustf(at(l, l.staff, v.GetStaffId()).GetStationId() == v.GetStationId(), "visit %s is made by a worker of another station", v.GetId())
	for _, id := range v.GetResidentIds() {
		l.mustf(at(l, l.residents, id).GetHouseholdId() == v.GetHouseholdId(), "visit %s serves somebody of another household", v.GetId())
	}
}

func (l *ledger) applyCase(request proto.Message) {
	switch r := request.(type) {
	case *casesv1.OpenCaseRequest:
		add(l, l.cases, r.GetCase())
		client := at(l, l.residents, r.GetCase().GetResidentId())
		r.Case.Stage, r.Case.StationId, r.Case.HouseholdId = casesv1.CaseStage_CASE_STAGE_INTAKE, client.GetStationId(), client.GetHouseholdId()
		for _, id := range r.GetCase().GetNeedIds() {
			l.mustf(at(l, l.needs, id).GetHouseholdId() == client.GetHouseholdId(), "case %s has a need of another household", r.GetCase().GetId())
		}
	case *casesv1.AdvanceCaseRequest:
		c := at(l, l.cases, r.GetId())
		l.mustf(r.GetStage() == c.GetStage()+1, "case %s goes from %s to %s", r.GetId(), c.GetStage(), r.GetStage())
		c.Stage = r.GetStage()
	case *casesv1.EvaluateCaseRequest:
		c := at(l, l.cases, r.GetId())
		l.mustf(c.GetStage() == casesv1.CaseStage_CASE_STAGE_EVALUATION, "case %s is evaluated in %s", r.GetId(), c.GetStage())
		c.Evaluation = &casesv1.Evaluation{Summary: r.GetSummary(), Reflection: r.GetReflection(), EvaluatedDate: r.GetEvaluatedDate()}
	case *casesv1.ReopenCaseRequest:
		c := at(l, l.cases, r.GetId())
		l.mustf(c.GetStage() == casesv1.CaseStage_CASE_STAGE_CLOSURE, "case %s is opened again in %s", r.GetId(), c.GetStage())
		c.Stage = casesv1.CaseStage_CASE_STAGE_INTERVENTION
	case *casesv1.VoidCaseRequest:
		at(l, l.cases, r.GetId()).Stage = casesv1.CaseStage_CASE_STAGE_VOID
	case *casesv1.CreateCaseSessionRequest:
		c := at(l, l.cases, r.GetCaseId())
		l.mustf(c.GetStage() < casesv1.CaseStage_CASE_STAGE_CLOSURE, "case %s has a session in %s", r.GetCaseId(), c.GetStage())
		r.Session.CaseId, r.Session.StationId = c.GetId(), c.GetStationId()
		l.sessions = append(l.sessions, r.GetSession())
	case *casesv1.CreateReferralRequest:
		add(l, l.referrals, r.GetReferral())
		r.Referral.CaseId, r.Referral.State = r.GetCaseId(), casesv1.ReferralState_REFERRAL_STATE_SENT
	case *casesv1.RecordReferralOutcomeRequest:
		referral := at(l, l.referrals, r.GetId())
		l.mustf(r.GetOutcomeDate() >= referral.GetReferralDate(), "referral %s is answered before it was sent", r.GetId())
		referral.State, referral.Outcome, referral.OutcomeDate = r.GetState(), r.GetOutcome(), r.GetOutcomeDate()
	case *casesv1.CreateFollowUpRequest:
		l.mustf(at(l, l.cases, r.GetCaseId()).GetStage() >= casesv1.CaseStage_CASE_STAGE_EVALUATION, "case %s is followed up too early", r.GetCaseId())
		l.mustf(at(l, l.visits, r.GetFollowUp().GetVisitId()).GetCaseId() == r.GetCaseId(), "the follow-up visit is not of case %s", r.GetCaseId())
		r.FollowUp.CaseId = r.GetCaseId()
		l.followUps = append(l.followUps, r.GetFollowUp())
	default:
		l.applyActivity(request)
	}
}

func (l *ledger) applyActivity(request proto.Message) {
	switch r := request.(type) {
	case *activitiesv1.CreateActivityRequest:
		add(l, l.activities, r.GetActivity())
		r.Activity.State = activitiesv1.ActivityState_ACTIVITY_STATE_PLANNED
		if r.GetActivity().GetHeldDate() != "" {
			r.Activity.State = activitiesv1.ActivityState_ACTIVITY_STATE_HELD
		}
	case *activitiesv1.HoldActivityRequest:
		a := at(l, l.activities, r.GetId())
		a.State, a.HeldDate = activitiesv1.ActivityState_ACTIVITY_STATE_HELD, r.GetHeldDate()
		a.AttendeeCount, a.VolunteerIds = r.GetAttendeeCount(), r.GetVolunteerIds()
	case *activitiesv1.CancelActivityRequest:
		at(l, l.activities, r.GetId()).State = activitiesv1.ActivityState_ACTIVITY_STATE_CANCELLED
	case *activitiesv1.VoidActivityRequest:
		at(l, l.activities, r.GetId()).State = activitiesv1.ActivityState_ACTIVITY_STATE_VOID
	case *activitiesv1.CreateGroupRequest:
		add(l, l.groups, r.GetGroup())
		r.Group.Stage = activitiesv1.GroupStage_GROUP_STAGE_PREPARATION
	case *activitiesv1.AdvanceGroupRequest:
		g := at(l, l.groups, r.GetId())
		l.mustf(r.GetStage() == g.GetStage()+1, "group %s goes from %s to %s", r.GetId(), g.GetStage(), r.GetStage())
		g.Stage, g.EndedDate = r.GetStage(), r.GetEndedDate()
	case *activitiesv1.CreateGroupSessionRequest:
		g := at(l, l.groups, r.GetGroupId())
		r.Session.GroupId, r.Session.StationId = g.GetId(), g.GetStationId()
		for _, id := range r.GetSession().GetAttendeeIds() {
			l.mustf(at(l, l.residents, id).GetStationId() == g.GetStationId(), "group %s has somebody of another station", g.GetId())
		}
		l.meetings = append(l.meetings, r.GetSession())
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
	l.mustf(!taken && row.GetId() != "", "the id %q of a %T is taken", row.GetId(), row)
	table[row.GetId()] = row
}

// at finds what an earlier request created.
func at[T identified](l *ledger, table map[string]T, id string) T {
	l.t.Helper()
	row, ok := table[id]
	l.mustf(ok, "%T %q is used before it exists", row, id)
	return row
}

func (l *ledger) mustf(ok bool, format string, args ...any) {
	l.t.Helper()
	if !ok {
		l.t.Fatalf(format, args...)
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
	// What ends on the last day of the period is in being on it.
	gone := func(of, last string) bool { return in(of, last) && last < "2021-10-01" }
	for _, s := range l.stations {
		f.Stations += one(in(s.GetId(), s.GetOpenedDate()))
	}
	for _, team := range l.teams {
		f.VolunteerTeams += one(in(team.GetStationId(), team.GetFoundedDate())) - one(gone(team.GetStationId(), team.GetDissolvedDate()))
	}
	for _, v := range l.volunteers {
		f.Volunteers += one(in(v.GetStationId(), v.GetRegisteredDate())) - one(gone(v.GetStationId(), v.GetWithdrawnDate()))
	}
	visited := map[string]bool{}
	for _, v := range l.visits {
		if v.GetState() != visitsv1.VisitState_VISIT_STATE_COMPLETED || !in(v.GetStationId(), v.GetVisitDate()) {
			continue
		}
		f.PersonTimes += int(v.GetPersonsServed())
		if v.GetKind() == visitsv1.VisitKind_VISIT_KIND_HOME {
			f.HomeVisits++
			visited[v.GetHouseholdId()] = true
		}
	}
	f.HouseholdsVisited = len(visited)
	for _, n := range l.needs {
		counted := n.GetState() != registryv1.NeedState_NEED_STATE_VOID && in(n.GetStationId(), n.GetRecordedDate())
		f.Needs += one(counted)
		f.NeedsMet += one(counted && n.GetState() == registryv1.NeedState_NEED_STATE_MET && in(n.GetStationId(), n.GetMetDate()))
	}
	for _, file := range l.files {
		f.Files += one(file.GetState() == registryv1.ServiceFileState_SERVICE_FILE_STATE_ACTIVE && in(file.GetStationId(), file.GetBuiltDate()))
	}
	for _, c := range l.cases {
		f.Cases += one(c.GetStage() != casesv1.CaseStage_CASE_STAGE_VOID && in(c.GetStationId(), c.GetOpenedDate()))
	}
	for _, s := range l.sessions {
		if l.cases[s.GetCaseId()].GetStage() != casesv1.CaseStage_CASE_STAGE_VOID && in(s.GetStationId(), s.GetSessionDate()) {
			f.CaseSessions++
			f.PersonTimes += int(s.GetPersonsServed())
		}
	}
	for _, a := range l.activities {
		if a.GetState() == activitiesv1.ActivityState_ACTIVITY_STATE_HELD && in(a.GetStationId(), a.GetHeldDate()) {
			f.Activities++
			f.PersonTimes += int(a.GetAttendeeCount())
		}
	}
	for _, g := range l.groups {
		f.Groups += one(in(g.GetStationId(), g.GetOpenedDate()))
	}
	for _, m := range l.meetings {
		if in(m.GetStationId(), m.GetSessionDate()) {
			f.PersonTimes += len(m.GetAttendeeIds())
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

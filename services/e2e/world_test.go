package e2e_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	activitiesv1 "circle15.dev/api/activities/v1"
	casesv1 "circle15.dev/api/cases/v1"
	iamv1 "circle15.dev/api/iam/v1"
	registryv1 "circle15.dev/api/registry/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/divisions"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

// world is two tenants with records of every kind: two stations in one, one in the other.
type world struct {
	p                *running
	tenant, stranger tenant.Name
	own, other       *place // of the tenant
	foreign          *place // of the stranger
}

// place is a station with one record of each kind, or as many as there are ways to change it. All were recorded by the
// bureau's administrator.
type place struct {
	bureau, security caller

	station, staff, community, household, resident string
	need, metNeed, voidedNeed                      string
	file, voidedFile, team, voidedTeam             string
	volunteer, voidedVolunteer                     string
	intakeCase, evaluatedCase, closedCase          string
	voidedCase, caseSession, voidedCaseSession     string
	referral, voidedReferral                       string
	followUp, voidedFollowUp                       string
	plannedVisit, cancelledVisit, completedVisit   string
	voidedVisit                                    string
	plannedActivity, cancelledActivity             string
	heldActivity, group, voidedGroup               string
	groupSession, voidedGroupSession               string
	grant, role                                    string

	townships, communities func() string // codes that nothing has yet
	serial                 *int          // for names that nothing has yet
}

const (
	workDay = "2021-06-01"
	mighty  = "mighty" // a subject that may call every RPC, in both tenants
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	admins := func(spec *provision.Spec) {
		spec.Policy.Grants = []provision.Grant{{Subject: "bureau", Role: "bureau_admin"}, {Subject: "security", Role: "security_admin"}}
		// No subject may have all the administrators' roles; a role that may do everything is the province's to make.
		spec.Policy.Roles = []authz.Role{{Name: mighty, TitleZH: "全部", TitleEN: "Everything"}}
		spec.Policy.Rules = []authz.Rule{{Role: mighty, Resource: authz.Any, Action: authz.Any, Level: authz.LevelTenant}}
		spec.Policy.Grants = append(spec.Policy.Grants, provision.Grant{Subject: mighty, Role: mighty})
	}
	// One lies within the other, so that a township of the first is one that either may have a station in.
	w.stranger = testenv.NewTenant(t, admins, func(spec *provision.Spec) {
		spec.Level, spec.Parent, spec.DivisionCode = provision.Province, "", "500000"
	})
	w.tenant = testenv.NewTenant(t, admins, func(spec *provision.Spec) { spec.Parent, spec.DivisionCode = w.stranger, "500100" })
	w.p = boot(t) // which knows them from its start
	townships := townshipsOf(t, w.tenant)
	next := func() string {
		first := townships[0]
		townships = townships[1:]
		return first
	}
	serial := new(int)
	w.own, w.other = newPlace(t, w.p, w.tenant, next, serial), newPlace(t, w.p, w.tenant, next, serial)
	w.foreign = newPlace(t, w.p, w.stranger, next, serial)
	return w
}

// townshipsOf are the codes of the townships and streets of the tenant's division.
func townshipsOf(t *testing.T, name tenant.Name) []string {
	t.Helper()
	row, err := testenv.Provisioned(t).Provisioner.Show(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, d := range divisions.Townships(row.DivisionCode) {
		codes = append(codes, d.Code)
	}
	return codes
}

func newPlace(t *testing.T, p *running, name tenant.Name, townships func() string, serial *int) *place {
	t.Helper()
	s := &place{bureau: overGRPC(t, p, "bureau", name), security: overGRPC(t, p, "security", name), townships: townships, serial: serial}
	first := townships()
	count := 0
	s.communities = func() string {
		count++
		return fmt.Sprintf("%s%03d", first, count)
	}
	s.register(t, first)
	s.work(t)
	s.manage(t)
	return s
}

// fresh is a word that no other record has.
func (s *place) fresh(prefix string) string {
	*s.serial++
	return fmt.Sprintf("%s%d", prefix, *s.serial)
}

// make sends a request that creates or changes a record, and returns its id.
func (s *place) make(t *testing.T, request proto.Message) string {
	t.Helper()
	return s.sendAs(t, s.bureau, request)
}

func (s *place) sendAs(t *testing.T, c caller, request proto.Message) string {
	t.Helper()
	reply := ask(t, c, request, replyTo(t, request))
	return reply.ProtoReflect().Get(reply.ProtoReflect().Descriptor().Fields().ByName("id")).String()
}

func (s *place) register(t *testing.T, township string) {
	t.Helper()
	s.station = s.make(t, &registryv1.CreateStationRequest{Station: &registryv1.Station{
		DivisionCode: township, DisplayName: "社工站", OpenedDate: "2021-05-01",
	}})
	s.staff = s.make(t, s.newStaff())
	s.community = s.make(t, s.newCommunity())
	s.household = s.make(t, s.newHousehold())
	s.resident = s.make(t, s.newResident())
	s.need, s.metNeed, s.voidedNeed = s.make(t, s.newNeed()), s.make(t, s.newNeed()), s.make(t, s.newNeed())
	s.make(t, &registryv1.MeetNeedRequest{Id: s.metNeed, MetDate: workDay, Outcome: "好"})
	s.file, s.voidedFile = s.make(t, s.newFile(t)), s.make(t, s.newFile(t))
	s.team, s.voidedTeam = s.make(t, s.newTeam()), s.make(t, s.newTeam())
	s.volunteer, s.voidedVolunteer = s.make(t, s.newVolunteer()), s.make(t, s.newVolunteer())
}

func (s *place) work(t *testing.T) {
	t.Helper()
	s.intakeCase, s.voidedCase = s.make(t, s.newCase()), s.make(t, s.newCase())
	s.evaluatedCase, s.closedCase = s.make(t, s.newCase()), s.make(t, s.newCase())
	for _, id := range []string{s.evaluatedCase, s.closedCase} {
		for _, step := range []*casesv1.AdvanceCaseRequest{
			{Stage: casesv1.CaseStage_CASE_STAGE_ASSESSMENT},
			{Stage: casesv1.CaseStage_CASE_STAGE_PLANNING, Assessment: "预估"},
			{Stage: casesv1.CaseStage_CASE_STAGE_INTERVENTION, Goals: "目标", Plan: "计划"},
			{Stage: casesv1.CaseStage_CASE_STAGE_EVALUATION},
		} {
			step.Id, step.ChangeDate, step.StaffId = id, workDay, s.staff
			s.make(t, step)
		}
	}
	s.make(t, &casesv1.EvaluateCaseRequest{Id: s.closedCase, Summary: "好", Reflection: "好", EvaluatedDate: workDay})
	s.make(t, &casesv1.AdvanceCaseRequest{
		Id: s.closedCase, Stage: casesv1.CaseStage_CASE_STAGE_CLOSURE, ChangeDate: workDay, StaffId: s.staff, ClosureReason: "好",
	})
	session := &casesv1.CreateCaseSessionRequest{CaseId: s.intakeCase, Session: s.newCaseSession()}
	s.caseSession, s.voidedCaseSession = s.make(t, session), s.make(t, session)
	referral := &casesv1.CreateReferralRequest{CaseId: s.intakeCase, Referral: s.newReferral()}
	s.referral, s.voidedReferral = s.make(t, referral), s.make(t, referral)
	s.make(t, &casesv1.CreateFollowUpRequest{CaseId: s.closedCase, FollowUp: s.newFollowUp()})
	followUp := &casesv1.CreateFollowUpRequest{CaseId: s.evaluatedCase, FollowUp: s.newFollowUp()}
	s.followUp, s.voidedFollowUp = s.make(t, followUp), s.make(t, followUp)

	plan := &visitsv1.PlanVisitRequest{Visit: s.plannedVisitOf()}
	s.plannedVisit, s.cancelledVisit = s.make(t, plan), s.make(t, plan)
	record := &visitsv1.RecordVisitRequest{Visit: s.visitOf()}
	s.completedVisit, s.voidedVisit = s.make(t, record), s.make(t, record)

	activity := &activitiesv1.CreateActivityRequest{Activity: s.activityOf()}
	s.plannedActivity, s.cancelledActivity, s.heldActivity = s.make(t, activity), s.make(t, activity), s.make(t, activity)
	s.make(t, &activitiesv1.HoldActivityRequest{Id: s.heldActivity, HeldDate: workDay, AttendeeCount: 3})
	s.group, s.voidedGroup = s.make(t, s.newGroup()), s.make(t, s.newGroup())
	meeting := &activitiesv1.CreateGroupSessionRequest{GroupId: s.group, Session: s.newGroupSession()}
	s.groupSession, s.voidedGroupSession = s.make(t, meeting), s.make(t, meeting)
}

// manage makes what the security administrator keeps.
func (s *place) manage(t *testing.T) {
	t.Helper()
	s.role = ask(t, s.security, s.newRole(), &iamv1.Role{}).GetName()
	s.grant = s.sendAs(t, s.security, s.newGrant())
}

// employ gives the subjects their roles, by station where a role is about a station's records, and waits for them to count.
func (w *world) employ(t *testing.T, subjectOf func(role string) string, roles []string, stationRoles map[string]bool) {
	t.Helper()
	for _, role := range roles {
		grant := &iamv1.RoleGrant{Subject: subjectOf(role), Role: role}
		if stationRoles[role] {
			grant.StationId = w.own.station
		}
		ask(t, w.own.security, &iamv1.CreateRoleGrantRequest{RoleGrant: grant}, &iamv1.RoleGrant{})
	}
	for _, role := range roles {
		c := overGRPC(t, w.p, subjectOf(role), w.tenant)
		testenv.Await(t, "the role to take effect", func() bool {
			return c.call(t.Context(), &registryv1.GetStandardsRequest{}, &registryv1.Standards{}) == nil
		})
	}
}

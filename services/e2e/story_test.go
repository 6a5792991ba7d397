package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	casesv1 "circle15.dev/api/cases/v1"
	iamv1 "circle15.dev/api/iam/v1"
	registryv1 "circle15.dev/api/registry/v1"
	reportingv1 "circle15.dev/api/reporting/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

func TestTheStoryOfTongtongIsToldThroughEveryDoor(t *testing.T) {
	p := boot(t)
	for name, open := range doors {
		t.Run(name, func(t *testing.T) { newStory(t, p, open).tell() })
	}
}

// story is Tongtong's, with people, places and numbers that the code cannot know: they are drawn anew in every run.
type story struct {
	t                      *testing.T
	d                      *rand.Rand
	bureau, worker, head   caller
	stranger, analyst      caller
	station, other         *registryv1.Station
	workerID, headID       string
	community              *registryv1.Community
	household              *registryv1.Household
	keeper, mother, father *registryv1.Resident
	child                  *registryv1.Resident
	visit                  *visitsv1.Visit
	need                   *registryv1.Need
	case_                  *casesv1.Case
	want                   *reportingv1.WorkMeasures // counted by hand on the way
}

func newStory(t *testing.T, p *running, open door) *story {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := &story{t: t, d: rand.New(rand.NewPCG(seed, seed)), want: &reportingv1.WorkMeasures{}}
	subject := func(role string) string { return fmt.Sprintf("%s-%d", role, s.d.Uint32()) }
	bureau, security, analyst := subject("bureau"), subject("security"), subject("analyst")
	city := testenv.NewTenant(t, func(spec *provision.Spec) {
		spec.Policy.Grants = []provision.Grant{
			{Subject: bureau, Role: "bureau_admin"}, {Subject: security, Role: "security_admin"}, {Subject: analyst, Role: "province_analyst"},
		}
	})
	s.bureau, s.analyst = open(t, p, bureau, city), open(t, p, analyst, city)
	// A tenant that was made while the platform runs is served within a second.
	awaitService(t, s.bureau)
	s.openStations(townshipsOf(t, city))

	worker, head, stranger := subject("worker"), subject("head"), subject("stranger")
	s.hire(open(t, p, security, city), worker, head, stranger)
	s.worker, s.head, s.stranger = open(t, p, worker, city), open(t, p, head, city), open(t, p, stranger, city)
	awaitService(t, s.worker, s.head, s.stranger) // and so is a role
	return s
}

func (s *story) tell() {
	s.theFamilyIsFound()
	s.theNeedIsRecorded()
	s.theCaseIsOpened()
	s.theWorkIsDone()
	s.theChildGetsAPlace()
	s.theCaseIsEvaluated()
	s.theHeadVisitsAgain()
	s.everythingCanBeReadAgain()
	s.theReportCountsIt()
	s.othersSeeNothing()
}

// word is a text that is nowhere else.
func (s *story) word() string {
	runes := make([]rune, 3)
	for i := range runes {
		runes[i] = rune(0x4e00 + s.d.IntN(0x5000))
	}
	return string(runes)
}

// on is a day of 2021.
func on(month time.Month, day int) string {
	return time.Date(2021, month, day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

func (s *story) key() string { return ids.New().String() }

func (s *story) openStations(townships []string) {
	s.d.Shuffle(len(townships), func(i, j int) { townships[i], townships[j] = townships[j], townships[i] })
	// Haikou's, of another province than the cities that tests are given first.
	refused(s.t, s.bureau, &registryv1.CreateStationRequest{Station: &registryv1.Station{
		DivisionCode: "460107003", DisplayName: s.word(), OpenedDate: on(time.May, 1),
	}}, "INVALID_ARGUMENT", "station.divisionCode")
	for i, station := range []**registryv1.Station{&s.station, &s.other} {
		*station = ask(s.t, s.bureau, &registryv1.CreateStationRequest{RequestId: s.key(), Station: &registryv1.Station{
			DivisionCode: townships[i], DisplayName: s.word() + "社工站", OpenedDate: on(time.May, 1+s.d.IntN(15)),
		}}, &registryv1.Station{})
	}
	s.community = ask(s.t, s.bureau, &registryv1.CreateCommunityRequest{Community: &registryv1.Community{
		StationId: s.station.GetId(), DivisionCode: fmt.Sprintf("%s%03d", s.station.GetDivisionCode(), 1+s.d.IntN(400)), DisplayName: s.word() + "社区",
	}}, &registryv1.Community{})
	s.want.Stations = 1
}

// hire employs the workers and gives them their roles.
func (s *story) hire(security caller, worker, head, stranger string) {
	employ := func(station *registryv1.Station, subject, role string, position registryv1.StaffPosition) string {
		hired := ask(s.t, s.bureau, &registryv1.CreateStaffRequest{Staff: &registryv1.Staff{
			StationId: station.GetId(), Name: s.word(), Position: position, Subject: subject, StartDate: station.GetOpenedDate(),
		}}, &registryv1.Staff{})
		ask(s.t, security, &iamv1.CreateRoleGrantRequest{RoleGrant: &iamv1.RoleGrant{
			Subject: subject, Role: role, StationId: station.GetId(),
		}}, &iamv1.RoleGrant{})
		return hired.GetId()
	}
	s.headID = employ(s.station, head, "station_head", registryv1.StaffPosition_STAFF_POSITION_HEAD)
	s.workerID = employ(s.station, worker, "social_worker", registryv1.StaffPosition_STAFF_POSITION_SOCIAL_WORKER)
	employ(s.other, stranger, "social_worker", registryv1.StaffPosition_STAFF_POSITION_SOCIAL_WORKER)
}

// awaitService waits until the callers are served; changes of tenants and roles take effect soon after they were made.
func awaitService(t *testing.T, callers ...caller) {
	t.Helper()
	for _, c := range callers {
		testenv.Await(t, "a change of tenants or roles to take effect", func() bool {
			return c.call(t.Context(), &registryv1.ListStationsRequest{}, &registryv1.ListStationsResponse{}) == nil
		})
	}
}

// Step 1: a home visit. The grandmother keeps the household, daughter and son-in-law have visual disability of degree 1,
// the grandson is seven.
func (s *story) theFamilyIsFound() {
	s.household = ask(s.t, s.worker, &registryv1.CreateHouseholdRequest{RequestId: s.key(), Household: &registryv1.Household{
		CommunityId: s.community.GetId(), HeadName: s.word(), Address: s.word() + "1号",
	}}, &registryv1.Household{})
	if s.household.GetStationId() != s.station.GetId() {
		s.t.Errorf("the household is served by %s, not by %s", s.household.GetStationId(), s.station.GetId())
	}
	enrol := func(r *registryv1.Resident) *registryv1.Resident {
		r.HouseholdId, r.Name, r.LegalBasisDate = s.household.GetId(), s.word(), on(time.May, 18)
		return ask(s.t, s.worker, &registryv1.CreateResidentRequest{RequestId: s.key(), Resident: r}, &registryv1.Resident{})
	}
	s.keeper = enrol(&registryv1.Resident{IdentityNumber: s.identity(1954, true), LegalBasis: registryv1.LegalBasis_LEGAL_BASIS_CONSENT})
	blind := func(female bool) *registryv1.Resident {
		return enrol(&registryv1.Resident{
			IdentityNumber: s.identity(1985, female), Registered: true, Categories: []string{"disabled"}, DisabilityType: "visual",
			DisabilityDegree: 1, LegalBasis: registryv1.LegalBasis_LEGAL_BASIS_STATUTORY_DUTY,
		})
	}
	s.mother, s.father = blind(true), blind(false)

	child := &registryv1.Resident{
		IdentityNumber: s.identity(2014, false), Categories: []string{"child_in_difficulty"}, LegalBasis: registryv1.LegalBasis_LEGAL_BASIS_CONSENT,
		HouseholdId: s.household.GetId(), Name: s.word(), LegalBasisDate: on(time.May, 18),
	}
	refused(s.t, s.worker, &registryv1.CreateResidentRequest{Resident: child}, "INVALID_ARGUMENT", "resident.legalBasis")
	child.LegalBasis = registryv1.LegalBasis_LEGAL_BASIS_GUARDIAN_CONSENT
	refused(s.t, s.worker, &registryv1.CreateResidentRequest{Resident: child}, "INVALID_ARGUMENT", "resident.guardian")
	child.Guardian = &registryv1.Guardian{ResidentId: s.keeper.GetId(), Relationship: "外祖母"}
	number := child.GetIdentityNumber()
	s.child = enrol(child)
	if got := s.child; got.GetIdentityNumber() != "" || strings.Contains(got.String(), number[6:14]) && !strings.Contains(got.GetBirthDate(), "2014") ||
		got.GetBirthDate()[:4] != "2014" || got.GetSex() != registryv1.Sex_SEX_MALE {
		s.t.Errorf("the child is registered as %v", got)
	}

	served := int32(4 + s.d.IntN(3))
	s.visit = ask(s.t, s.worker, &visitsv1.RecordVisitRequest{RequestId: s.key(), Visit: &visitsv1.Visit{
		Id: ids.New().String(), HouseholdId: s.household.GetId(), StaffId: s.workerID, Kind: visitsv1.VisitKind_VISIT_KIND_HOME,
		Domain: "child_welfare", VisitDate: on(time.May, 18), DurationMinutes: 80, PersonsServed: served,
		ResidentIds: []string{s.keeper.GetId(), s.mother.GetId(), s.father.GetId(), s.child.GetId()}, Findings: s.word(),
	}}, &visitsv1.Visit{})
	s.countVisit(served)
	s.want.HouseholdsVisited = 1
}

func (s *story) countVisit(persons int32) {
	s.want.HomeVisits++
	s.want.PersonTimes += persons
}

// identity is a valid number (GB 11643) of a made-up person, with a district of the division table.
func (s *story) identity(year int, female bool) string {
	sequence := 2 * s.d.IntN(500)
	if !female {
		sequence++
	}
	body := fmt.Sprintf("460107%d%02d%02d%03d", year, 1+s.d.IntN(12), 1+s.d.IntN(28), sequence)
	sum := 0
	for i, c := range body {
		sum += int(c-'0') * (1 << (17 - i) % 11)
	}
	return body + string("10X98765432"[sum%11])
}

// Step 2: the need. The family did not know the rules of enrolment.
func (s *story) theNeedIsRecorded() {
	request := &registryv1.CreateNeedRequest{RequestId: s.key(), Need: &registryv1.Need{
		HouseholdId: s.household.GetId(), ResidentId: s.child.GetId(), StaffId: s.workerID, VisitId: s.visit.GetId(),
		Domain: "child_welfare", Source: "home_visit", Description: s.word(), RecordedDate: on(time.May, 18),
	}}
	s.need = ask(s.t, s.worker, request, &registryv1.Need{})
	again := ask(s.t, s.worker, request, &registryv1.Need{})
	if diff := cmp.Diff(s.need, again, protocmp.Transform()); diff != "" || s.need.GetState() != registryv1.NeedState_NEED_STATE_OPEN {
		s.t.Errorf("the same request again gave another answer: %s", diff)
	}
	s.want.Needs = 1
	ask(s.t, s.worker, &registryv1.CreateServiceFileRequest{ServiceFile: &registryv1.ServiceFile{
		ResidentId: s.child.GetId(), StaffId: s.workerID, Category: "child_in_difficulty", Domain: "child_welfare", BuiltDate: on(time.May, 19),
	}}, &registryv1.ServiceFile{})
	s.want.Files = 1
}

// Step 3: a case of child welfare.
func (s *story) theCaseIsOpened() {
	s.case_ = ask(s.t, s.worker, &casesv1.OpenCaseRequest{RequestId: s.key(), Case: &casesv1.Case{
		ResidentId: s.child.GetId(), StaffId: s.workerID, NeedIds: []string{s.need.GetId()}, Domain: "child_welfare", Title: s.word(),
		PresentingProblem: s.word(), OpenedDate: on(time.May, 20),
	}}, &casesv1.Case{})
	if s.case_.GetStage() != casesv1.CaseStage_CASE_STAGE_INTAKE || s.case_.GetHouseholdId() != s.household.GetId() {
		s.t.Errorf("the case was opened as %v", s.case_)
	}
	s.want.Cases = 1
	s.advance(casesv1.CaseStage_CASE_STAGE_ASSESSMENT, on(time.May, 21))
	s.session(on(time.May, 24))
	refused(s.t, s.worker, s.to(casesv1.CaseStage_CASE_STAGE_PLANNING, on(time.May, 25)), "INVALID_ARGUMENT", "assessment")
	planning := s.to(casesv1.CaseStage_CASE_STAGE_PLANNING, on(time.May, 25))
	planning.Assessment = s.word()
	s.case_ = ask(s.t, s.worker, planning, &casesv1.Case{})
	refused(s.t, s.worker, s.to(casesv1.CaseStage_CASE_STAGE_EVALUATION, on(time.May, 31)), "CONFLICT")
	intervention := s.to(casesv1.CaseStage_CASE_STAGE_INTERVENTION, on(time.May, 31))
	intervention.Goals, intervention.Plan = s.word(), s.word()
	stale := proto.CloneOf(intervention)
	stale.Etag = `"0"`
	refused(s.t, s.worker, stale, "ETAG_MISMATCH")
	intervention.Etag = s.case_.GetEtag()
	s.case_ = ask(s.t, s.worker, intervention, &casesv1.Case{})
}

func (s *story) to(stage casesv1.CaseStage, date string) *casesv1.AdvanceCaseRequest {
	return &casesv1.AdvanceCaseRequest{Id: s.case_.GetId(), Stage: stage, ChangeDate: date, StaffId: s.workerID}
}

func (s *story) advance(stage casesv1.CaseStage, date string) {
	s.t.Helper()
	s.case_ = ask(s.t, s.worker, s.to(stage, date), &casesv1.Case{})
}

func (s *story) session(date string) {
	s.t.Helper()
	persons := int32(1 + s.d.IntN(4))
	session := ask(s.t, s.worker, &casesv1.CreateCaseSessionRequest{CaseId: s.case_.GetId(), RequestId: s.key(), Session: &casesv1.CaseSession{
		StaffId: s.workerID, SessionDate: date, DurationMinutes: 60, PersonsServed: persons, Record: s.word(),
	}}, &casesv1.CaseSession{})
	s.want.CaseSessions++
	s.want.PersonTimes += persons
	if session.GetNumber() != s.want.GetCaseSessions() {
		s.t.Errorf("session %d has the number %d", s.want.GetCaseSessions(), session.GetNumber())
	}
}

// Step 3 goes on: the application letter, two referrals, the education department.
func (s *story) theWorkIsDone() {
	s.session(on(time.June, 2))
	for _, organization := range []string{"街道办事处", "区残疾人联合会"} {
		referral := ask(s.t, s.worker, &casesv1.CreateReferralRequest{CaseId: s.case_.GetId(), Referral: &casesv1.Referral{
			StaffId: s.workerID, Organization: s.word() + organization, Reason: s.word(), ReferralDate: on(time.June, 3),
		}}, &casesv1.Referral{})
		if referral.GetState() != casesv1.ReferralState_REFERRAL_STATE_SENT {
			s.t.Errorf("a new referral is %s", referral.GetState())
		}
		answer := &casesv1.RecordReferralOutcomeRequest{
			CaseId: s.case_.GetId(), Id: referral.GetId(), State: casesv1.ReferralState_REFERRAL_STATE_COMPLETED, Outcome: s.word(),
			OutcomeDate: on(time.June, 18),
		}
		ask(s.t, s.worker, answer, &casesv1.Referral{})
		refused(s.t, s.worker, answer, "CONFLICT")
	}
	s.session(on(time.June, 24))
}

// Step 4: a place at a school before the term starts; the need is met.
func (s *story) theChildGetsAPlace() {
	outcome := s.word()
	s.need = ask(s.t, s.worker, &registryv1.MeetNeedRequest{Id: s.need.GetId(), MetDate: on(time.August, 25), Outcome: outcome}, &registryv1.Need{})
	if s.need.GetState() != registryv1.NeedState_NEED_STATE_MET || s.need.GetOutcome() != outcome {
		s.t.Errorf("the need is %v", s.need)
	}
	refused(s.t, s.worker, &registryv1.MeetNeedRequest{Id: s.need.GetId(), MetDate: on(time.August, 26), Outcome: outcome}, "CONFLICT")
	s.want.NeedsMet = 1
}

// Step 5: the evaluation form with its summary and reflection; then the case closes.
func (s *story) theCaseIsEvaluated() {
	refused(s.t, s.worker, s.followUp(s.visit.GetId(), s.workerID, on(time.August, 30)), "CONFLICT")
	s.advance(casesv1.CaseStage_CASE_STAGE_EVALUATION, on(time.September, 3))
	refused(s.t, s.worker, s.to(casesv1.CaseStage_CASE_STAGE_CLOSURE, on(time.September, 4)), "INVALID_ARGUMENT", "evaluation")
	summary, reflection := s.word(), s.word()
	s.case_ = ask(s.t, s.worker, &casesv1.EvaluateCaseRequest{
		Id: s.case_.GetId(), Summary: summary, Reflection: reflection, EvaluatedDate: on(time.September, 10),
	}, &casesv1.Case{})
	if e := s.case_.GetEvaluation(); e.GetSummary() != summary || e.GetReflection() != reflection {
		s.t.Errorf("the evaluation is %v", e)
	}
	closing := s.to(casesv1.CaseStage_CASE_STAGE_CLOSURE, on(time.September, 17))
	closing.ClosureReason = s.word()
	s.case_ = ask(s.t, s.worker, closing, &casesv1.Case{})
	refused(s.t, s.worker, &casesv1.CreateCaseSessionRequest{CaseId: s.case_.GetId(), Session: &casesv1.CaseSession{
		StaffId: s.workerID, SessionDate: on(time.September, 18), DurationMinutes: 60, Record: s.word(),
	}}, "CONFLICT")
}

func (s *story) followUp(visit, staff, date string) *casesv1.CreateFollowUpRequest {
	return &casesv1.CreateFollowUpRequest{CaseId: s.case_.GetId(), FollowUp: &casesv1.FollowUp{
		StaffId: staff, VisitId: visit, FollowUpDate: date, Finding: s.word(), NextSteps: s.word(),
	}}
}

// Step 6: on 2021-10-01 the head visits again, as planned.
func (s *story) theHeadVisitsAgain() {
	planned := ask(s.t, s.head, &visitsv1.PlanFollowUpVisitRequest{
		Id: s.visit.GetId(), FollowUpVisitId: ids.New().String(), StaffId: s.headID, PlannedDate: on(time.October, 1),
	}, &visitsv1.Visit{})
	if planned.GetFollowUpOf() != s.visit.GetId() || planned.GetState() != visitsv1.VisitState_VISIT_STATE_PLANNED {
		s.t.Errorf("the visit was planned as %v", planned)
	}
	served := int32(2 + s.d.IntN(2))
	done := ask(s.t, s.head, &visitsv1.CompleteVisitRequest{
		Id: planned.GetId(), VisitDate: on(time.October, 1), DurationMinutes: 60, PersonsServed: served,
		ResidentIds: []string{s.keeper.GetId(), s.child.GetId()}, Findings: s.word(),
	}, &visitsv1.Visit{})
	s.countVisit(served)
	ask(s.t, s.head, s.followUp(done.GetId(), s.headID, on(time.October, 1)), &casesv1.FollowUp{})
}

func (s *story) everythingCanBeReadAgain() {
	read := ask(s.t, s.head, &casesv1.GetCaseRequest{Id: s.case_.GetId()}, &casesv1.Case{})
	if diff := cmp.Diff(s.case_, read, protocmp.Transform()); diff != "" {
		s.t.Errorf("the case reads otherwise: %s", diff)
	}
	changes := ask(s.t, s.head, &casesv1.ListStageChangesRequest{CaseId: s.case_.GetId()}, &casesv1.ListStageChangesResponse{}).GetStageChanges()
	stages := make([]casesv1.CaseStage, 0, len(changes))
	for _, c := range changes {
		stages = append(stages, c.GetToStage())
	}
	want := []casesv1.CaseStage{
		casesv1.CaseStage_CASE_STAGE_ASSESSMENT, casesv1.CaseStage_CASE_STAGE_PLANNING, casesv1.CaseStage_CASE_STAGE_INTERVENTION,
		casesv1.CaseStage_CASE_STAGE_EVALUATION, casesv1.CaseStage_CASE_STAGE_CLOSURE,
	}
	if diff := cmp.Diff(want, stages); diff != "" {
		s.t.Errorf("the case went through %v", stages)
	}
	followUps := ask(s.t, s.head, &casesv1.ListFollowUpsRequest{CaseId: s.case_.GetId()}, &casesv1.ListFollowUpsResponse{}).GetFollowUps()
	if len(followUps) != 1 || followUps[0].GetStaffId() != s.headID || followUps[0].GetFollowUpDate() != "2021-10-01" {
		s.t.Errorf("the follow-ups are %v", followUps)
	}
	sessions := ask(s.t, s.head, &casesv1.ListCaseSessionsRequest{CaseId: s.case_.GetId()}, &casesv1.ListCaseSessionsResponse{}).GetCaseSessions()
	referrals := ask(s.t, s.head, &casesv1.ListReferralsRequest{CaseId: s.case_.GetId()}, &casesv1.ListReferralsResponse{}).GetReferrals()
	if len(sessions) != int(s.want.GetCaseSessions()) || len(referrals) != 2 {
		s.t.Errorf("%d sessions and %d referrals", len(sessions), len(referrals))
	}
}

func (s *story) theReportCountsIt() {
	request := &reportingv1.GetWorkSummaryRequest{From: "2021-05-01", To: "2021-10-01"}
	got := ask(s.t, s.head, request, &reportingv1.WorkSummary{}).GetTotal()
	if diff := cmp.Diff(s.want, got, protocmp.Transform()); diff != "" {
		s.t.Errorf("the station's report: %s", diff)
	}
	s.want.Stations = 2
	for _, who := range []caller{s.bureau, s.analyst} {
		got := ask(s.t, who, request, &reportingv1.WorkSummary{}).GetTotal()
		if diff := cmp.Diff(s.want, got, protocmp.Transform()); diff != "" {
			s.t.Errorf("the city's report: %s", diff)
		}
	}
}

func (s *story) othersSeeNothing() {
	for _, request := range []proto.Message{
		&casesv1.GetCaseRequest{Id: s.case_.GetId()},
		&registryv1.GetResidentRequest{Id: s.child.GetId()},
		&visitsv1.GetVisitRequest{Id: s.visit.GetId()},
		&registryv1.GetNeedRequest{Id: s.need.GetId()},
	} {
		refused(s.t, s.stranger, request, "NOT_FOUND")
		refused(s.t, s.analyst, request, "PERMISSION_DENIED")
	}
}

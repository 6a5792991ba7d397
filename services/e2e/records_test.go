package e2e_test

import (
	"testing"

	activitiesv1 "circle15.dev/api/activities/v1"
	casesv1 "circle15.dev/api/cases/v1"
	iamv1 "circle15.dev/api/iam/v1"
	registryv1 "circle15.dev/api/registry/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/ids"
)

// New records of a place, complete enough to be taken.

func (s *place) newStaff() *registryv1.CreateStaffRequest {
	return &registryv1.CreateStaffRequest{Staff: &registryv1.Staff{
		StationId: s.station, Name: "社工", Position: registryv1.StaffPosition_STAFF_POSITION_SOCIAL_WORKER, StartDate: "2021-05-01",
	}}
}

func (s *place) newCommunity() *registryv1.CreateCommunityRequest {
	return &registryv1.CreateCommunityRequest{Community: &registryv1.Community{
		StationId: s.station, DivisionCode: s.communities(), DisplayName: "社区",
	}}
}

func (s *place) newHousehold() *registryv1.CreateHouseholdRequest {
	return &registryv1.CreateHouseholdRequest{Household: &registryv1.Household{
		CommunityId: s.community, HeadName: "户主", Address: "1号", Note: "一",
	}}
}

func (s *place) newResident() *registryv1.CreateResidentRequest {
	return &registryv1.CreateResidentRequest{Resident: &registryv1.Resident{
		HouseholdId: s.household, Name: "居民", Sex: registryv1.Sex_SEX_FEMALE, BirthDate: "1954-03-02", NoIdentityReason: "补办中",
		Registered: true, Categories: []string{"living_alone"}, AssistanceTier: "marginal", Phone: "0898",
		Guardian:   &registryv1.Guardian{Name: "女儿", Relationship: "女儿"},
		LegalBasis: registryv1.LegalBasis_LEGAL_BASIS_CONSENT, LegalBasisDate: "2021-05-18",
	}}
}

func (s *place) newNeed() *registryv1.CreateNeedRequest {
	return &registryv1.CreateNeedRequest{Need: &registryv1.Need{
		HouseholdId: s.household, ResidentId: s.resident, StaffId: s.staff, Domain: "child_welfare", Source: "home_visit",
		Description: "需求", RecordedDate: workDay,
	}}
}

// newFile is one of a new resident: each has one active file of a category.
func (s *place) newFile(t *testing.T) *registryv1.CreateServiceFileRequest {
	t.Helper()
	return s.fileOf(s.make(t, s.newResident()))
}

func (s *place) fileOf(resident string) *registryv1.CreateServiceFileRequest {
	return &registryv1.CreateServiceFileRequest{ServiceFile: &registryv1.ServiceFile{
		ResidentId: resident, StaffId: s.staff, Category: "living_alone", Domain: "elderly_services", Summary: "小结", BuiltDate: workDay,
	}}
}

func (s *place) newTeam() *registryv1.CreateVolunteerTeamRequest {
	return &registryv1.CreateVolunteerTeamRequest{VolunteerTeam: &registryv1.VolunteerTeam{
		StationId: s.station, DisplayName: s.fresh("志愿队"), Domain: "elderly_services", FoundedDate: workDay,
	}}
}

func (s *place) newVolunteer() *registryv1.CreateVolunteerRequest {
	return &registryv1.CreateVolunteerRequest{Volunteer: &registryv1.Volunteer{
		TeamId: s.team, Name: "志愿者", Phone: "0898", Skills: []string{"理发"}, RegisteredDate: workDay,
	}}
}

func (s *place) newCase() *casesv1.OpenCaseRequest {
	return &casesv1.OpenCaseRequest{Case: &casesv1.Case{
		ResidentId: s.resident, StaffId: s.staff, NeedIds: []string{s.need}, Domain: "child_welfare", Title: "个案", PresentingProblem: "问题",
		OpenedDate: workDay, Goals: "目标",
	}}
}

func (s *place) newCaseSession() *casesv1.CaseSession {
	return &casesv1.CaseSession{StaffId: s.staff, SessionDate: workDay, DurationMinutes: 50, PersonsServed: 2, Goals: "目标", Record: "记录"}
}

func (s *place) newReferral() *casesv1.Referral {
	return &casesv1.Referral{StaffId: s.staff, Organization: "区民政局", Reason: "救助", ReferralDate: workDay}
}

func (s *place) newFollowUp() *casesv1.FollowUp {
	return &casesv1.FollowUp{StaffId: s.staff, FollowUpDate: workDay, Finding: "安好", NextSteps: "无"}
}

func (s *place) plannedVisitOf() *visitsv1.Visit {
	return &visitsv1.Visit{
		HouseholdId: s.household, StaffId: s.staff, Kind: visitsv1.VisitKind_VISIT_KIND_HOME, Domain: "elderly_services",
		PlannedDate: workDay, Purpose: "探访",
	}
}

func (s *place) visitOf() *visitsv1.Visit {
	return &visitsv1.Visit{
		HouseholdId: s.household, StaffId: s.staff, Kind: visitsv1.VisitKind_VISIT_KIND_HOME, Domain: "elderly_services", VisitDate: workDay,
		DurationMinutes: 30, PersonsServed: 2, ResidentIds: []string{s.resident}, Findings: "安好",
	}
}

func withID(v *visitsv1.Visit) *visitsv1.Visit {
	v.Id = ids.New().String()
	return v
}

func (s *place) activityOf() *activitiesv1.Activity {
	return &activitiesv1.Activity{
		StationId: s.station, StaffId: s.staff, Title: "义诊", Domain: "social_affairs", Location: "广场", PlannedDate: workDay,
		VolunteerIds: []string{s.volunteer},
	}
}

func (s *place) newGroup() *activitiesv1.CreateGroupRequest {
	return &activitiesv1.CreateGroupRequest{Group: &activitiesv1.Group{
		StationId: s.station, StaffId: s.staff, DisplayName: "小组", Domain: "social_affairs", Purpose: "互助", OpenedDate: workDay,
		MemberIds: []string{s.resident},
	}}
}

func (s *place) newGroupSession() *activitiesv1.GroupSession {
	return &activitiesv1.GroupSession{
		StaffId: s.staff, Theme: "相识", SessionDate: workDay, DurationMinutes: 60, AttendeeIds: []string{s.resident}, Record: "记录",
	}
}

func (s *place) newRole() *iamv1.CreateRoleRequest {
	return &iamv1.CreateRoleRequest{Role: &iamv1.Role{
		Name: s.fresh("role_"), TitleZh: "角色", TitleEn: "Role",
		Rules: []*iamv1.Rule{{Resource: "stations", Action: "get", Level: iamv1.Level_LEVEL_TENANT}},
	}}
}

func (s *place) newGrant() *iamv1.CreateRoleGrantRequest {
	return &iamv1.CreateRoleGrantRequest{RoleGrant: &iamv1.RoleGrant{
		Subject: s.fresh("holder-"), Role: "social_worker", StationId: s.station,
	}}
}

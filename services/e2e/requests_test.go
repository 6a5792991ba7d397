package e2e_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	activitiesv1 "circle15.dev/api/activities/v1"
	casesv1 "circle15.dev/api/cases/v1"
	iamv1 "circle15.dev/api/iam/v1"
	registryv1 "circle15.dev/api/registry/v1"
	reportingv1 "circle15.dev/api/reporting/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/services/demo/restclient"
)

// sample is a request of an RPC that would succeed for whoever may make it.
type sample struct {
	about func(*place) proto.Message
	// holds is, for a list, the id that its answer must hold if the place's records can be seen.
	holds func(*place) string
	// anywhere marks a request that is about no record of any place.
	anywhere bool
}

func about[T proto.Message](request func(*place) T) sample {
	return sample{about: func(s *place) proto.Message { return request(s) }}
}

func list[T proto.Message](request func(*place) T, holds func(*place) string) sample {
	return sample{about: func(s *place) proto.Message { return request(s) }, holds: holds}
}

func anywhere[T proto.Message](request func(*place) T) sample {
	return sample{about: func(s *place) proto.Message { return request(s) }, anywhere: true}
}

// all is the size of the longest page: these tests make no more than a few hundred records of a kind.
const all = 500

// samples has a request for every RPC.
var samples = map[string]sample{
	"registry.CreateStation": anywhere(func(s *place) *registryv1.CreateStationRequest {
		return &registryv1.CreateStationRequest{Station: &registryv1.Station{
			DivisionCode: s.townships(), DisplayName: "新站", Address: "1号", OpenedDate: "2021-05-01",
		}}
	}),
	"registry.GetStation": about(func(s *place) *registryv1.GetStationRequest { return &registryv1.GetStationRequest{Id: s.station} }),
	"registry.ListStations": list(func(*place) *registryv1.ListStationsRequest { return &registryv1.ListStationsRequest{PageSize: all} },
		func(s *place) string { return s.station }),
	"registry.UpdateStation": about(func(s *place) *registryv1.UpdateStationRequest {
		return &registryv1.UpdateStationRequest{Station: &registryv1.Station{Id: s.station, Phone: s.fresh("0898")}, UpdateMask: mask("phone")}
	}),

	"registry.CreateStaff": about((*place).newStaff),
	"registry.GetStaff":    about(func(s *place) *registryv1.GetStaffRequest { return &registryv1.GetStaffRequest{Id: s.staff} }),
	"registry.ListStaff": list(func(*place) *registryv1.ListStaffRequest { return &registryv1.ListStaffRequest{PageSize: all} },
		func(s *place) string { return s.staff }),
	"registry.UpdateStaff": about(func(s *place) *registryv1.UpdateStaffRequest {
		return &registryv1.UpdateStaffRequest{Staff: &registryv1.Staff{Id: s.staff, Phone: s.fresh("0898")}, UpdateMask: mask("phone")}
	}),

	"registry.CreateCommunity": about((*place).newCommunity),
	"registry.GetCommunity": about(func(s *place) *registryv1.GetCommunityRequest {
		return &registryv1.GetCommunityRequest{Id: s.community}
	}),
	"registry.ListCommunities": list(
		func(*place) *registryv1.ListCommunitiesRequest {
			return &registryv1.ListCommunitiesRequest{PageSize: all}
		},
		func(s *place) string { return s.community }),
	"registry.UpdateCommunity": about(func(s *place) *registryv1.UpdateCommunityRequest {
		return &registryv1.UpdateCommunityRequest{
			Community: &registryv1.Community{Id: s.community, DisplayName: s.fresh("社区")}, UpdateMask: mask("display_name"),
		}
	}),

	"registry.CreateHousehold": about((*place).newHousehold),
	"registry.GetHousehold": about(func(s *place) *registryv1.GetHouseholdRequest {
		return &registryv1.GetHouseholdRequest{Id: s.household}
	}),
	"registry.ListHouseholds": list(
		func(*place) *registryv1.ListHouseholdsRequest {
			return &registryv1.ListHouseholdsRequest{PageSize: all}
		},
		func(s *place) string { return s.household }),
	"registry.UpdateHousehold": about(func(s *place) *registryv1.UpdateHouseholdRequest {
		return &registryv1.UpdateHouseholdRequest{Household: &registryv1.Household{Id: s.household, Note: s.fresh("注")}, UpdateMask: mask("note")}
	}),

	"registry.CreateResident": about((*place).newResident),
	"registry.GetResident":    about(func(s *place) *registryv1.GetResidentRequest { return &registryv1.GetResidentRequest{Id: s.resident} }),
	"registry.ListResidents": list(
		func(*place) *registryv1.ListResidentsRequest { return &registryv1.ListResidentsRequest{PageSize: all} },
		func(s *place) string { return s.resident }),
	"registry.UpdateResident": about(func(s *place) *registryv1.UpdateResidentRequest {
		return &registryv1.UpdateResidentRequest{Resident: &registryv1.Resident{Id: s.resident, Phone: s.fresh("0898")}, UpdateMask: mask("phone")}
	}),

	"registry.CreateNeed": about((*place).newNeed),
	"registry.GetNeed":    about(func(s *place) *registryv1.GetNeedRequest { return &registryv1.GetNeedRequest{Id: s.need} }),
	"registry.ListNeeds": list(func(*place) *registryv1.ListNeedsRequest { return &registryv1.ListNeedsRequest{PageSize: all} },
		func(s *place) string { return s.need }),
	"registry.UpdateNeed": about(func(s *place) *registryv1.UpdateNeedRequest {
		return &registryv1.UpdateNeedRequest{Need: &registryv1.Need{Id: s.need, Description: s.fresh("需求")}, UpdateMask: mask("description")}
	}),
	"registry.MeetNeed": about(func(s *place) *registryv1.MeetNeedRequest {
		return &registryv1.MeetNeedRequest{Id: s.need, MetDate: workDay, Outcome: "好"}
	}),
	"registry.ReopenNeed": about(func(s *place) *registryv1.ReopenNeedRequest {
		return &registryv1.ReopenNeedRequest{Id: s.metNeed, Reason: "又"}
	}),
	"registry.VoidNeed": about(func(s *place) *registryv1.VoidNeedRequest {
		return &registryv1.VoidNeedRequest{Id: s.voidedNeed, Reason: "误"}
	}),

	"registry.CreateServiceFile": about(func(s *place) *registryv1.CreateServiceFileRequest {
		// Only the first is taken: a resident has one file of a category. Whoever sees the resident is told so.
		return s.fileOf(s.resident)
	}),
	"registry.GetServiceFile": about(func(s *place) *registryv1.GetServiceFileRequest { return &registryv1.GetServiceFileRequest{Id: s.file} }),
	"registry.ListServiceFiles": list(
		func(*place) *registryv1.ListServiceFilesRequest {
			return &registryv1.ListServiceFilesRequest{PageSize: all}
		},
		func(s *place) string { return s.file }),
	"registry.UpdateServiceFile": about(func(s *place) *registryv1.UpdateServiceFileRequest {
		return &registryv1.UpdateServiceFileRequest{
			ServiceFile: &registryv1.ServiceFile{Id: s.file, Summary: s.fresh("小结")}, UpdateMask: mask("summary"),
		}
	}),
	"registry.VoidServiceFile": about(func(s *place) *registryv1.VoidServiceFileRequest {
		return &registryv1.VoidServiceFileRequest{Id: s.voidedFile, Reason: "误"}
	}),

	"registry.CreateVolunteerTeam": about((*place).newTeam),
	"registry.GetVolunteerTeam": about(func(s *place) *registryv1.GetVolunteerTeamRequest {
		return &registryv1.GetVolunteerTeamRequest{Id: s.team}
	}),
	"registry.ListVolunteerTeams": list(
		func(*place) *registryv1.ListVolunteerTeamsRequest {
			return &registryv1.ListVolunteerTeamsRequest{PageSize: all}
		},
		func(s *place) string { return s.team }),
	"registry.UpdateVolunteerTeam": about(func(s *place) *registryv1.UpdateVolunteerTeamRequest {
		return &registryv1.UpdateVolunteerTeamRequest{
			VolunteerTeam: &registryv1.VolunteerTeam{Id: s.team, DisplayName: s.fresh("队")}, UpdateMask: mask("display_name"),
		}
	}),

	"registry.VoidVolunteerTeam": about(func(s *place) *registryv1.VoidVolunteerTeamRequest {
		return &registryv1.VoidVolunteerTeamRequest{Id: s.voidedTeam, Reason: "误"}
	}),

	"registry.CreateVolunteer": about((*place).newVolunteer),
	"registry.GetVolunteer": about(func(s *place) *registryv1.GetVolunteerRequest {
		return &registryv1.GetVolunteerRequest{Id: s.volunteer}
	}),
	"registry.ListVolunteers": list(
		func(*place) *registryv1.ListVolunteersRequest {
			return &registryv1.ListVolunteersRequest{PageSize: all}
		},
		func(s *place) string { return s.volunteer }),
	"registry.UpdateVolunteer": about(func(s *place) *registryv1.UpdateVolunteerRequest {
		return &registryv1.UpdateVolunteerRequest{
			Volunteer: &registryv1.Volunteer{Id: s.volunteer, Phone: s.fresh("0898")}, UpdateMask: mask("phone"),
		}
	}),
	"registry.VoidVolunteer": about(func(s *place) *registryv1.VoidVolunteerRequest {
		return &registryv1.VoidVolunteerRequest{Id: s.voidedVolunteer, Reason: "误"}
	}),
	"registry.GetStandards": anywhere(func(*place) *registryv1.GetStandardsRequest { return &registryv1.GetStandardsRequest{} }),

	"cases.OpenCase": about((*place).newCase),
	"cases.GetCase":  about(func(s *place) *casesv1.GetCaseRequest { return &casesv1.GetCaseRequest{Id: s.intakeCase} }),
	"cases.ListCases": list(func(*place) *casesv1.ListCasesRequest { return &casesv1.ListCasesRequest{PageSize: all} },
		func(s *place) string { return s.intakeCase }),
	"cases.UpdateCase": about(func(s *place) *casesv1.UpdateCaseRequest {
		return &casesv1.UpdateCaseRequest{Case: &casesv1.Case{Id: s.intakeCase, Title: s.fresh("个案")}, UpdateMask: mask("title")}
	}),
	"cases.AdvanceCase": about(func(s *place) *casesv1.AdvanceCaseRequest {
		return &casesv1.AdvanceCaseRequest{
			Id: s.intakeCase, Stage: casesv1.CaseStage_CASE_STAGE_ASSESSMENT, ChangeDate: workDay, StaffId: s.staff,
		}
	}),
	"cases.EvaluateCase": about(func(s *place) *casesv1.EvaluateCaseRequest {
		return &casesv1.EvaluateCaseRequest{Id: s.evaluatedCase, Summary: "好", Reflection: "好", EvaluatedDate: workDay}
	}),
	"cases.ReopenCase": about(func(s *place) *casesv1.ReopenCaseRequest {
		return &casesv1.ReopenCaseRequest{Id: s.closedCase, Reason: "又", ChangeDate: workDay, StaffId: s.staff}
	}),
	"cases.VoidCase": about(func(s *place) *casesv1.VoidCaseRequest {
		return &casesv1.VoidCaseRequest{Id: s.voidedCase, Reason: "误"}
	}),
	"cases.ListStageChanges": list(
		func(s *place) *casesv1.ListStageChangesRequest {
			return &casesv1.ListStageChangesRequest{CaseId: s.closedCase, PageSize: all}
		},
		func(s *place) string { return s.closedCase }),
	"cases.CreateCaseSession": about(func(s *place) *casesv1.CreateCaseSessionRequest {
		return &casesv1.CreateCaseSessionRequest{CaseId: s.intakeCase, Session: s.newCaseSession()}
	}),
	"cases.ListCaseSessions": list(
		func(s *place) *casesv1.ListCaseSessionsRequest {
			return &casesv1.ListCaseSessionsRequest{CaseId: s.intakeCase, PageSize: all}
		},
		func(s *place) string { return s.intakeCase }),
	"cases.GetCaseSession": about(func(s *place) *casesv1.GetCaseSessionRequest {
		return &casesv1.GetCaseSessionRequest{CaseId: s.intakeCase, Id: s.caseSession}
	}),
	"cases.UpdateCaseSession": about(func(s *place) *casesv1.UpdateCaseSessionRequest {
		return &casesv1.UpdateCaseSessionRequest{
			CaseId: s.intakeCase, Session: &casesv1.CaseSession{Id: s.caseSession, Record: s.fresh("记录")}, UpdateMask: mask("record"),
		}
	}),
	"cases.VoidCaseSession": about(func(s *place) *casesv1.VoidCaseSessionRequest {
		return &casesv1.VoidCaseSessionRequest{CaseId: s.intakeCase, Id: s.voidedCaseSession, Reason: "误"}
	}),
	"cases.CreateReferral": about(func(s *place) *casesv1.CreateReferralRequest {
		return &casesv1.CreateReferralRequest{CaseId: s.intakeCase, Referral: s.newReferral()}
	}),
	"cases.ListReferrals": list(
		func(s *place) *casesv1.ListReferralsRequest {
			return &casesv1.ListReferralsRequest{CaseId: s.intakeCase, PageSize: all}
		},
		func(s *place) string { return s.intakeCase }),
	"cases.RecordReferralOutcome": about(func(s *place) *casesv1.RecordReferralOutcomeRequest {
		return &casesv1.RecordReferralOutcomeRequest{
			Id: s.referral, CaseId: s.intakeCase, State: casesv1.ReferralState_REFERRAL_STATE_COMPLETED, Outcome: "好", OutcomeDate: workDay,
		}
	}),
	"cases.GetReferral": about(func(s *place) *casesv1.GetReferralRequest {
		return &casesv1.GetReferralRequest{CaseId: s.intakeCase, Id: s.referral}
	}),
	"cases.UpdateReferral": about(func(s *place) *casesv1.UpdateReferralRequest {
		return &casesv1.UpdateReferralRequest{
			CaseId: s.intakeCase, Referral: &casesv1.Referral{Id: s.referral, Reason: s.fresh("救助")}, UpdateMask: mask("reason"),
		}
	}),
	"cases.VoidReferral": about(func(s *place) *casesv1.VoidReferralRequest {
		return &casesv1.VoidReferralRequest{CaseId: s.intakeCase, Id: s.voidedReferral, Reason: "误"}
	}),
	"cases.CreateFollowUp": about(func(s *place) *casesv1.CreateFollowUpRequest {
		return &casesv1.CreateFollowUpRequest{CaseId: s.evaluatedCase, FollowUp: s.newFollowUp()}
	}),
	"cases.ListFollowUps": list(
		func(s *place) *casesv1.ListFollowUpsRequest {
			return &casesv1.ListFollowUpsRequest{CaseId: s.closedCase, PageSize: all}
		},
		func(s *place) string { return s.closedCase }),
	"cases.GetFollowUp": about(func(s *place) *casesv1.GetFollowUpRequest {
		return &casesv1.GetFollowUpRequest{CaseId: s.evaluatedCase, Id: s.followUp}
	}),
	"cases.UpdateFollowUp": about(func(s *place) *casesv1.UpdateFollowUpRequest {
		return &casesv1.UpdateFollowUpRequest{
			CaseId: s.evaluatedCase, FollowUp: &casesv1.FollowUp{Id: s.followUp, Finding: s.fresh("安好")}, UpdateMask: mask("finding"),
		}
	}),
	"cases.VoidFollowUp": about(func(s *place) *casesv1.VoidFollowUpRequest {
		return &casesv1.VoidFollowUpRequest{CaseId: s.evaluatedCase, Id: s.voidedFollowUp, Reason: "误"}
	}),

	"visits.PlanVisit": about(func(s *place) *visitsv1.PlanVisitRequest {
		return &visitsv1.PlanVisitRequest{Visit: s.plannedVisitOf()}
	}),
	"visits.RecordVisit": about(func(s *place) *visitsv1.RecordVisitRequest {
		return &visitsv1.RecordVisitRequest{Visit: s.visitOf()}
	}),
	"visits.GetVisit": about(func(s *place) *visitsv1.GetVisitRequest { return &visitsv1.GetVisitRequest{Id: s.completedVisit} }),
	"visits.ListVisits": list(func(*place) *visitsv1.ListVisitsRequest { return &visitsv1.ListVisitsRequest{PageSize: all} },
		func(s *place) string { return s.completedVisit }),
	"visits.UpdateVisit": about(func(s *place) *visitsv1.UpdateVisitRequest {
		return &visitsv1.UpdateVisitRequest{Visit: &visitsv1.Visit{Id: s.completedVisit, Findings: s.fresh("安")}, UpdateMask: mask("findings")}
	}),
	"visits.CompleteVisit": about(func(s *place) *visitsv1.CompleteVisitRequest {
		return &visitsv1.CompleteVisitRequest{Id: s.plannedVisit, VisitDate: workDay, DurationMinutes: 30, PersonsServed: 2, Findings: "安"}
	}),
	"visits.CancelVisit": about(func(s *place) *visitsv1.CancelVisitRequest {
		return &visitsv1.CancelVisitRequest{Id: s.cancelledVisit, Reason: "雨"}
	}),
	"visits.VoidVisit": about(func(s *place) *visitsv1.VoidVisitRequest {
		return &visitsv1.VoidVisitRequest{Id: s.voidedVisit, Reason: "误"}
	}),
	"visits.PlanFollowUpVisit": about(func(s *place) *visitsv1.PlanFollowUpVisitRequest {
		return &visitsv1.PlanFollowUpVisitRequest{Id: s.completedVisit, StaffId: s.staff, PlannedDate: "2021-07-01"}
	}),
	"visits.SyncVisits": about(func(s *place) *visitsv1.SyncVisitsRequest {
		return &visitsv1.SyncVisitsRequest{Visits: []*visitsv1.Visit{withID(s.visitOf())}}
	}),

	"activities.CreateActivity": about(func(s *place) *activitiesv1.CreateActivityRequest {
		return &activitiesv1.CreateActivityRequest{Activity: s.activityOf()}
	}),
	"activities.GetActivity": about(func(s *place) *activitiesv1.GetActivityRequest {
		return &activitiesv1.GetActivityRequest{Id: s.plannedActivity}
	}),
	"activities.ListActivities": list(
		func(*place) *activitiesv1.ListActivitiesRequest {
			return &activitiesv1.ListActivitiesRequest{PageSize: all}
		},
		func(s *place) string { return s.plannedActivity }),
	"activities.UpdateActivity": about(func(s *place) *activitiesv1.UpdateActivityRequest {
		return &activitiesv1.UpdateActivityRequest{
			Activity: &activitiesv1.Activity{Id: s.plannedActivity, Title: s.fresh("活动")}, UpdateMask: mask("title"),
		}
	}),
	"activities.HoldActivity": about(func(s *place) *activitiesv1.HoldActivityRequest {
		return &activitiesv1.HoldActivityRequest{Id: s.plannedActivity, HeldDate: workDay, AttendeeCount: 5}
	}),
	"activities.CancelActivity": about(func(s *place) *activitiesv1.CancelActivityRequest {
		return &activitiesv1.CancelActivityRequest{Id: s.cancelledActivity, Reason: "雨"}
	}),
	"activities.VoidActivity": about(func(s *place) *activitiesv1.VoidActivityRequest {
		return &activitiesv1.VoidActivityRequest{Id: s.heldActivity, Reason: "误"}
	}),
	"activities.CreateGroup": about((*place).newGroup),
	"activities.GetGroup":    about(func(s *place) *activitiesv1.GetGroupRequest { return &activitiesv1.GetGroupRequest{Id: s.group} }),
	"activities.ListGroups": list(func(*place) *activitiesv1.ListGroupsRequest { return &activitiesv1.ListGroupsRequest{PageSize: all} },
		func(s *place) string { return s.group }),
	"activities.UpdateGroup": about(func(s *place) *activitiesv1.UpdateGroupRequest {
		return &activitiesv1.UpdateGroupRequest{Group: &activitiesv1.Group{Id: s.group, Purpose: s.fresh("目的")}, UpdateMask: mask("purpose")}
	}),
	"activities.AdvanceGroup": about(func(s *place) *activitiesv1.AdvanceGroupRequest {
		return &activitiesv1.AdvanceGroupRequest{Id: s.group, Stage: activitiesv1.GroupStage_GROUP_STAGE_FORMATION}
	}),
	"activities.CreateGroupSession": about(func(s *place) *activitiesv1.CreateGroupSessionRequest {
		return &activitiesv1.CreateGroupSessionRequest{GroupId: s.group, Session: s.newGroupSession()}
	}),
	"activities.ListGroupSessions": list(
		func(s *place) *activitiesv1.ListGroupSessionsRequest {
			return &activitiesv1.ListGroupSessionsRequest{GroupId: s.group, PageSize: all}
		},
		func(s *place) string { return s.group }),
	"activities.VoidGroup": about(func(s *place) *activitiesv1.VoidGroupRequest {
		return &activitiesv1.VoidGroupRequest{Id: s.voidedGroup, Reason: "误"}
	}),
	"activities.GetGroupSession": about(func(s *place) *activitiesv1.GetGroupSessionRequest {
		return &activitiesv1.GetGroupSessionRequest{GroupId: s.group, Id: s.groupSession}
	}),
	"activities.UpdateGroupSession": about(func(s *place) *activitiesv1.UpdateGroupSessionRequest {
		return &activitiesv1.UpdateGroupSessionRequest{
			GroupId: s.group, Session: &activitiesv1.GroupSession{Id: s.groupSession, Record: s.fresh("记录")}, UpdateMask: mask("record"),
		}
	}),
	"activities.VoidGroupSession": about(func(s *place) *activitiesv1.VoidGroupSessionRequest {
		return &activitiesv1.VoidGroupSessionRequest{GroupId: s.group, Id: s.voidedGroupSession, Reason: "误"}
	}),

	"reporting.GetWorkSummary": about(func(s *place) *reportingv1.GetWorkSummaryRequest {
		return &reportingv1.GetWorkSummaryRequest{From: "2021-05-01", To: "2021-10-01", StationId: s.station}
	}),
	"reporting.ListSourceRows": list(
		func(s *place) *reportingv1.ListSourceRowsRequest {
			return &reportingv1.ListSourceRowsRequest{Measure: "needs", From: "2021-05-01", To: "2021-10-01", StationId: s.station, PageSize: all}
		},
		func(s *place) string { return s.station }),

	"iam.WhoAmI": anywhere(func(*place) *iamv1.WhoAmIRequest { return &iamv1.WhoAmIRequest{} }),
	"iam.ListRoles": list(func(*place) *iamv1.ListRolesRequest { return &iamv1.ListRolesRequest{PageSize: all} },
		func(s *place) string { return s.role }),
	"iam.GetRole":    about(func(s *place) *iamv1.GetRoleRequest { return &iamv1.GetRoleRequest{Name: s.role} }),
	"iam.CreateRole": anywhere((*place).newRole),
	"iam.UpdateRole": about(func(s *place) *iamv1.UpdateRoleRequest {
		return &iamv1.UpdateRoleRequest{Role: &iamv1.Role{Name: s.role, TitleEn: s.fresh("Title")}, UpdateMask: mask("title_en")}
	}),
	"iam.DeleteRole": about(func(s *place) *iamv1.DeleteRoleRequest { return &iamv1.DeleteRoleRequest{Name: s.role} }),
	"iam.ListRoleGrants": list(func(*place) *iamv1.ListRoleGrantsRequest { return &iamv1.ListRoleGrantsRequest{PageSize: all} },
		func(s *place) string { return s.grant }),
	"iam.GetRoleGrant":    about(func(s *place) *iamv1.GetRoleGrantRequest { return &iamv1.GetRoleGrantRequest{Id: s.grant} }),
	"iam.CreateRoleGrant": about((*place).newGrant),
	"iam.DeleteRoleGrant": about(func(s *place) *iamv1.DeleteRoleGrantRequest { return &iamv1.DeleteRoleGrantRequest{Id: s.grant} }),
	"iam.ListAuditEvents": list(
		func(s *place) *iamv1.ListAuditEventsRequest {
			return &iamv1.ListAuditEventsRequest{ResourceId: s.household, PageSize: all}
		},
		func(s *place) string { return s.household }),
}

// mine makes anew, for callers who may touch what they recorded themselves alone, the record that a request of the RPC is
// about. The request goes to a copy of the place that has their record in the stead of another's.
var mine = map[string]func(t *testing.T, s *place, c caller){
	"registry.VoidNeed":        func(t *testing.T, s *place, c caller) { s.voidedNeed = s.sendAs(t, c, s.newNeed()) },
	"registry.VoidServiceFile": func(t *testing.T, s *place, c caller) { s.voidedFile = s.sendAs(t, c, s.newFile(t)) },
	"cases.VoidCase":           func(t *testing.T, s *place, c caller) { s.voidedCase = s.sendAs(t, c, s.newCase()) },
	"cases.VoidCaseSession": func(t *testing.T, s *place, c caller) {
		s.voidedCaseSession = s.sendAs(t, c, &casesv1.CreateCaseSessionRequest{CaseId: s.intakeCase, Session: s.newCaseSession()})
	},
	"cases.VoidReferral": func(t *testing.T, s *place, c caller) {
		s.voidedReferral = s.sendAs(t, c, &casesv1.CreateReferralRequest{CaseId: s.intakeCase, Referral: s.newReferral()})
	},
	"cases.VoidFollowUp": func(t *testing.T, s *place, c caller) {
		s.voidedFollowUp = s.sendAs(t, c, &casesv1.CreateFollowUpRequest{CaseId: s.evaluatedCase, FollowUp: s.newFollowUp()})
	},
	"activities.VoidGroup": func(t *testing.T, s *place, c caller) { s.voidedGroup = s.sendAs(t, c, s.newGroup()) },
	"activities.VoidGroupSession": func(t *testing.T, s *place, c caller) {
		s.voidedGroupSession = s.sendAs(t, c, &activitiesv1.CreateGroupSessionRequest{GroupId: s.group, Session: s.newGroupSession()})
	},
	"visits.VoidVisit": func(t *testing.T, s *place, c caller) {
		s.voidedVisit = s.sendAs(t, c, &visitsv1.RecordVisitRequest{Visit: s.visitOf()})
	},
	"activities.VoidActivity": func(t *testing.T, s *place, c caller) {
		s.heldActivity = s.sendAs(t, c, &activitiesv1.CreateActivityRequest{Activity: s.activityOf()})
		s.sendAs(t, c, &activitiesv1.HoldActivityRequest{Id: s.heldActivity, HeldDate: workDay, AttendeeCount: 3})
	},
}

func mask(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }

// replyTo is an empty reply to the request.
func replyTo(t *testing.T, request proto.Message) proto.Message {
	t.Helper()
	rpc, err := restclient.RPC(request)
	if err != nil {
		t.Fatal(err)
	}
	return replyOf(t, rpc.Output())
}

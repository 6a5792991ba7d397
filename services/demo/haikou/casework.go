package haikou

import (
	"time"

	casesv1 "circle15.dev/api/cases/v1"
	visitsv1 "circle15.dev/api/visits/v1"
)

// Stages of a case (MZ/T 094-2017).
const (
	assessment   = casesv1.CaseStage_CASE_STAGE_ASSESSMENT
	planning     = casesv1.CaseStage_CASE_STAGE_PLANNING
	intervention = casesv1.CaseStage_CASE_STAGE_INTERVENTION
	evaluation   = casesv1.CaseStage_CASE_STAGE_EVALUATION
	closure      = casesv1.CaseStage_CASE_STAGE_CLOSURE
)

// casework writes the requests of one case, step by step. What takes place is counted in person-times at once.
type casework struct {
	w      *world
	id     string
	worker string
	steps  Chain
}

func (c *casework) open(request *casesv1.Case) {
	request.Id, request.StaffId = c.id, c.worker
	c.steps = append(c.steps, &casesv1.OpenCaseRequest{Case: request})
}

// advance enters a stage; fill completes the form of the stage that ends.
func (c *casework) advance(stage casesv1.CaseStage, date time.Time, fill func(*casesv1.AdvanceCaseRequest)) {
	request := &casesv1.AdvanceCaseRequest{Id: c.id, Stage: stage, ChangeDate: format(date), StaffId: c.worker}
	if fill != nil {
		fill(request)
	}
	c.steps = append(c.steps, request)
}

// sitting is what a session was about.
type sitting struct{ goals, record, next string }

func (c *casework) meet(date time.Time, minutes, persons int, s sitting) {
	c.w.served += persons
	c.steps = append(c.steps, &casesv1.CreateCaseSessionRequest{CaseId: c.id, Session: &casesv1.CaseSession{
		Id:              c.w.id("case session", date),
		StaffId:         c.worker,
		SessionDate:     format(date),
		DurationMinutes: int32(minutes),
		PersonsServed:   int32(persons),
		Goals:           s.goals,
		Record:          s.record,
		NextSteps:       s.next,
	}})
}

// refer sends the case to an outside body and gives the id of the referral.
func (c *casework) refer(date time.Time, organization, reason string) string {
	id := c.w.id("referral", date)
	c.steps = append(c.steps, &casesv1.CreateReferralRequest{CaseId: c.id, Referral: &casesv1.Referral{
		Id: id, StaffId: c.worker, Organization: organization, Reason: reason, ReferralDate: format(date),
	}})
	return id
}

// answer records what became of a referral; value is that of the linked resources in fen.
func (c *casework) answer(id string, date time.Time, state casesv1.ReferralState, outcome string, value int64) {
	c.steps = append(c.steps, &casesv1.RecordReferralOutcomeRequest{
		CaseId: c.id, Id: id, State: state, Outcome: outcome, OutcomeDate: format(date), LinkedValueFen: value,
	})
}

func (c *casework) evaluate(date time.Time, summary, reflection, attainment string) {
	c.steps = append(c.steps, &casesv1.EvaluateCaseRequest{
		Id: c.id, Summary: summary, Reflection: reflection, GoalAttainment: attainment, EvaluatedDate: format(date),
	})
}

// returnTo visits the household again and records the follow-up (回访) of the case.
func (c *casework) returnTo(visit *visitsv1.Visit, date time.Time, finding, next string) {
	visit.Id, visit.CaseId, visit.VisitDate = c.w.id("visit", date), c.id, format(date)
	visit.Kind, visit.Findings, visit.PersonsServed = visitsv1.VisitKind_VISIT_KIND_HOME, finding, int32(len(visit.GetResidentIds()))
	c.w.served += len(visit.GetResidentIds())
	c.steps = append(c.steps,
		&visitsv1.RecordVisitRequest{Visit: visit},
		&casesv1.CreateFollowUpRequest{CaseId: c.id, FollowUp: &casesv1.FollowUp{
			Id: c.w.id("follow-up", date), StaffId: visit.GetStaffId(), VisitId: visit.GetId(), FollowUpDate: format(date),
			Finding: finding, NextSteps: next,
		}})
}

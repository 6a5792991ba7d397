package haikou

import (
	"time"

	casesv1 "circle15.dev/api/cases/v1"
	registryv1 "circle15.dev/api/registry/v1"
	visitsv1 "circle15.dev/api/visits/v1"
)

// client is whose case a station works.
type client struct {
	household *household
	member    *member
	plot      plot
	first     *visit // at which the need was found
	opened    time.Time
	need      string
}

// chooseClients finds the clients of every station: people who were visited early enough for a case to get somewhere.
func (w *world) chooseClients() {
	quota := w.quotas("cases", figures.cases, 1, toldCases)
	for _, s := range w.stations {
		d := w.stream("clients of " + s.code)
		left := quota[s]
		if s.code == Binjiang {
			left-- // Tongtong's
		}
		var candidates []*household
		for _, h := range s.households {
			if h.atHome && h.met.Before(day(time.September, 24)) {
				candidates = append(candidates, h)
			}
		}
		for _, h := range sample(d, candidates, left) {
			c := &client{household: h, member: h.client(), plot: pick(d, h.profile.plots), first: h.visits[0]}
			c.opened = later(d, officeWork, h.met, 2, 16)
			s.clients = append(s.clients, c)
		}
	}
}

// workCases writes the cases as far as they came by the end of the period. One was closed too early and taken up again; two
// were opened for somebody who was a client already, and taken back.
func (w *world) workCases() []Chain {
	var chains []Chain
	reopened := false
	for i, s := range w.stations {
		d := w.stream("cases of " + s.code)
		for _, c := range s.clients {
			work := w.work(d, c)
			if !reopened && work.closed {
				work.takeUpAgain(d)
				reopened = true
			}
			chains = append(chains, work.steps)
		}
		if i%10 == 3 {
			chains = append(chains, w.openedTwice(d, s))
		}
	}
	return chains
}

// progress is a case on its way; at is the day of its last step.
type progress struct {
	*casework
	dice   *dice
	client *client
	at     time.Time
	closed bool
}

// work writes a case from intake as far as the days reach.
func (w *world) work(d *dice, c *client) *progress {
	p := &progress{
		casework: &casework{w: w, id: w.id("case", c.opened), worker: c.household.worker},
		dice:     d, client: c, at: c.opened,
	}
	p.open(&casesv1.Case{
		ResidentId: c.member.id, NeedIds: []string{c.need}, Domain: c.plot.domain, Title: c.plot.title,
		PresentingProblem: c.plot.problem, OpenedDate: format(c.opened),
	})
	stages := []func() bool{p.assess, p.plan, p.intervene, p.evaluateCase, p.close, p.followUp}
	for _, stage := range stages {
		if !stage() {
			break
		}
	}
	return p
}

// pass moves on by some days; it is false when the period ends before that.
func (p *progress) pass(least, most int) bool {
	if p.at.AddDate(0, 0, least).After(lastDay) {
		return false
	}
	p.at = later(p.dice, officeWork, p.at, least, most)
	return true
}

func (p *progress) session(s sitting) {
	persons := pickWeighted(p.dice, []weighted[int]{{1, 55}, {2, 32}, {3, 13}})
	p.meet(p.at, p.dice.between(40, 90), persons, s)
}

func (p *progress) assess() bool {
	if !p.pass(1, 5) {
		return false
	}
	p.advance(assessment, p.at, nil)
	if !p.pass(1, 7) {
		return false
	}
	p.session(sitting{"建立关系，收集资料", "与服务对象面谈，了解生活状况、支持网络和期待。", "完成预估"})
	return true
}

func (p *progress) plan() bool {
	if !p.pass(1, 7) {
		return false
	}
	p.advance(planning, p.at, func(r *casesv1.AdvanceCaseRequest) { r.Assessment = p.client.plot.assessment })
	return true
}

func (p *progress) intervene() bool {
	if !p.pass(2, 8) {
		return false
	}
	plot := p.client.plot
	p.advance(intervention, p.at, func(r *casesv1.AdvanceCaseRequest) { r.Goals, r.Plan = plot.goals, plot.plan })
	for i, s := range plot.sittings {
		if !p.pass(5, 13) {
			return false
		}
		p.session(s)
		if i == 0 && plot.organization != "" {
			p.sendOn()
		}
	}
	return true
}

var answers = []weighted[casesv1.ReferralState]{
	{casesv1.ReferralState_REFERRAL_STATE_COMPLETED, 72},
	{casesv1.ReferralState_REFERRAL_STATE_ACCEPTED, 14},
	{casesv1.ReferralState_REFERRAL_STATE_DECLINED, 7},
	{casesv1.ReferralState_REFERRAL_STATE_SENT, 7},
}

// sendOn refers the case to the outside body of its plot; most answers come within three weeks.
func (p *progress) sendOn() {
	referral := p.refer(p.at, p.client.plot.organization, p.client.plot.request)
	answered := later(p.dice, officeWork, p.at, 3, 20)
	switch state := pickWeighted(p.dice, answers); state {
	case casesv1.ReferralState_REFERRAL_STATE_COMPLETED:
		p.answer(referral, answered, state, p.client.plot.answer, int64(p.dice.between(0, 12))*100_00) // fen
	case casesv1.ReferralState_REFERRAL_STATE_ACCEPTED:
		p.answer(referral, answered, state, "已受理，正在办理。", 0)
	case casesv1.ReferralState_REFERRAL_STATE_DECLINED:
		p.answer(referral, answered, state, "不符合受理条件，建议改走其他渠道。", 0)
	default: // no answer yet
	}
}

func (p *progress) evaluateCase() bool {
	if !p.pass(5, 15) {
		return false
	}
	plot := p.client.plot
	p.steps = append(p.steps, &registryv1.MeetNeedRequest{Id: p.client.need, MetDate: format(p.at), Outcome: plot.outcome})
	p.advance(evaluation, p.at, nil)
	if !p.pass(1, 8) {
		return false
	}
	p.evaluate(p.at, plot.summary, plot.reflection, pick(p.dice, []string{"目标全部达成。", "目标基本达成，部分仍需跟进。", "主要目标达成。"}))
	return true
}

func (p *progress) close() bool {
	if !p.pass(1, 8) {
		return false
	}
	p.advance(closure, p.at, func(r *casesv1.AdvanceCaseRequest) { r.ClosureReason = "目标达成" })
	p.closed = true
	return true
}

func (p *progress) followUp() bool {
	if p.dice.chance(0.3) || !p.pass(12, 30) {
		return false
	}
	p.returnTo(&visitsv1.Visit{
		HouseholdId: p.client.household.id, StaffId: p.worker, Domain: p.client.plot.domain, Purpose: "结案后回访",
		DurationMinutes: int32(p.dice.between(30, 60)), ResidentIds: []string{p.client.member.id},
	}, p.at, pick(p.dice, []string{"状况稳定，成效得到保持。", "生活有序，愿意参加社区活动。", "情况良好，仍有小的困难，已当场说明办法。"}), "每季度回访一次")
	return true
}

// takeUpAgain opens the closed case again.
func (p *progress) takeUpAgain(d *dice) {
	at := later(d, officeWork, p.at, 1, 10)
	p.steps = append(p.steps, &casesv1.ReopenCaseRequest{
		Id: p.id, Reason: "回访发现问题反复，重新介入", ChangeDate: format(at), StaffId: p.worker,
	})
	p.meet(at, 60, 1, sitting{"了解反复的原因", "服务对象近期压力增大，重新商定支持安排。", "两周后再次面谈"})
}

// openedTwice is a case that was opened for somebody who was a client already, with a session; both are taken back.
func (w *world) openedTwice(d *dice, s *station) Chain {
	c := s.clients[0]
	p := &casework{w: w, id: w.id("case", c.opened), worker: c.household.worker}
	p.open(&casesv1.Case{
		ResidentId: c.member.id, Domain: c.plot.domain, Title: c.plot.title, PresentingProblem: c.plot.problem, OpenedDate: format(c.opened),
	})
	met := later(d, officeWork, c.opened, 1, 5)
	p.meet(met, 45, 1, sitting{"建立关系，收集资料", "面谈时发现该服务对象已有个案。", ""})
	w.served-- // taken back with the case
	return append(p.steps, &casesv1.VoidCaseRequest{Id: p.id, Reason: "重复建案"})
}

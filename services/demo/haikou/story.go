package haikou

import (
	"time"

	casesv1 "circle15.dev/api/cases/v1"
	registryv1 "circle15.dev/api/registry/v1"
	visitsv1 "circle15.dev/api/visits/v1"
)

// bogui is the community of Binjiang in which Tongtong lives (博桂社区).
const bogui = "460107003005"

// tongtong is who takes part in the story of Tongtong (童童).
type tongtong struct {
	*casework
	head                                          string
	household, grandmother, mother, father, child string
	need, firstVisit                              string
}

// tellTongtong writes one case from the first visit to the follow-up, in the six steps of the article. The last day is told
// and the outcome came before the term began on 1 September; the other days are invented. The article names 卓阿婆 and 童童
// only, and so does the plan.
func (w *world) tellTongtong() []Chain {
	s := w.station(Binjiang)
	visited, opened := day(time.May, 18), day(time.May, 20)
	t := &tongtong{
		casework: &casework{w: w, id: w.id("case", opened), worker: s.staff[1]},
		head:     s.staff[0],
	}
	t.household, t.need, t.firstVisit = w.id("household", visited), w.id("need", visited), w.id("visit", visited)
	for _, id := range []*string{&t.grandmother, &t.mother, &t.father, &t.child} {
		*id = w.id("resident", visited)
	}
	t.isFound(s, visited)
	t.needsASchool(visited)
	t.becomesACase(opened)
	t.getsAPlace(day(time.August, 25))
	t.isEvaluated(day(time.September, 10))
	t.isVisitedAgain()
	return []Chain{t.steps}
}

// isFound is step 1: a home visit in Bogui community.
func (t *tongtong) isFound(s *station, visited time.Time) {
	var home community
	for _, c := range s.communities {
		if c.code == bogui {
			home = c
		}
	}
	person := func(id, name string, born time.Time, female bool) *registryv1.Resident {
		return &registryv1.Resident{
			Id: id, HouseholdId: t.household, Name: name, Sex: sex(female), BirthDate: format(born),
			IdentityNumber: t.w.numbers.next(s.district(), born, female),
			LegalBasis:     registryv1.LegalBasis_LEGAL_BASIS_CONSENT, LegalBasisReference: "服务对象知情同意书", LegalBasisDate: format(visited),
		}
	}
	date := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	grandmother := person(t.grandmother, "卓阿婆", date(1954, time.November, 3), true)
	mother := person(t.mother, "童童妈妈", date(1986, time.April, 21), true)
	father := person(t.father, "童童爸爸", date(1983, time.September, 9), false)
	for _, parent := range []*registryv1.Resident{mother, father} {
		parent.Registered, parent.Categories, parent.DisabilityType, parent.DisabilityDegree = true, []string{disabled}, "visual", 1
		parent.LegalBasis, parent.LegalBasisReference = registryv1.LegalBasis_LEGAL_BASIS_STATUTORY_DUTY, "《中华人民共和国残疾人保障法》"
	}
	child := person(t.child, "童童", date(2014, time.March, 12), false)
	child.Categories = []string{childInDifficulty}
	child.Guardian = &registryv1.Guardian{ResidentId: t.grandmother, Relationship: "外祖母"}
	child.LegalBasis, child.LegalBasisReference = registryv1.LegalBasis_LEGAL_BASIS_GUARDIAN_CONSENT, "监护人知情同意书"
	t.steps = append(t.steps,
		&registryv1.CreateHouseholdRequest{Household: &registryv1.Household{
			Id: t.household, CommunityId: home.id, HeadName: "卓阿婆", Address: home.name + "3里7栋2单元402房",
			Note: "租房居住。卓阿婆操持家务，女儿、女婿均为视力一级残疾，外孙童童7岁，到了上学的年龄。",
		}},
		&registryv1.CreateResidentRequest{Resident: grandmother},
		&registryv1.CreateResidentRequest{Resident: mother},
		&registryv1.CreateResidentRequest{Resident: father},
		&registryv1.CreateResidentRequest{Resident: child},
		&visitsv1.RecordVisitRequest{Visit: &visitsv1.Visit{
			Id: t.firstVisit, HouseholdId: t.household, StaffId: t.worker, Kind: visitsv1.VisitKind_VISIT_KIND_HOME, Domain: childWelfare,
			Purpose: "入户探访", VisitDate: format(visited), DurationMinutes: 80, PersonsServed: 4,
			ResidentIds: []string{t.grandmother, t.mother, t.father, t.child},
			Findings:    "卓阿婆操持一家人的生活，女儿、女婿均为视力一级残疾。外孙童童7岁，到了上学的年龄，入学手续还没有着落，全家为此发愁。",
		}})
	t.w.served += 4
}

// needsASchool is step 2: the need is recorded, and a file is built.
func (t *tongtong) needsASchool(visited time.Time) {
	t.steps = append(t.steps,
		&registryv1.CreateNeedRequest{Need: &registryv1.Need{
			Id: t.need, HouseholdId: t.household, ResidentId: t.child, StaffId: t.worker, VisitId: t.firstVisit,
			Domain: childWelfare, Source: fromHomeVisit, RecordedDate: format(visited),
			Description: "家人不了解公办学校的招生规则，没有提前两年办理租房备案，童童不符合入学条件，希望能入读公办小学。",
		}},
		&registryv1.CreateServiceFileRequest{ServiceFile: &registryv1.ServiceFile{
			Id: t.w.id("service file", visited.AddDate(0, 0, 1)), ResidentId: t.child, StaffId: t.worker, Category: childInDifficulty,
			Domain: childWelfare, Summary: "父母均为视力一级残疾，由外祖母照料，待入学。", BuiltDate: format(visited.AddDate(0, 0, 1)),
		}})
}

// becomesACase is step 3: a case of child welfare with an application letter, two referrals and the coordination with the
// education department.
func (t *tongtong) becomesACase(opened time.Time) {
	t.open(&casesv1.Case{
		ResidentId: t.child, NeedIds: []string{t.need}, Domain: childWelfare, Title: "视障家庭儿童童童入学个案", OpenedDate: format(opened),
		PresentingProblem: "童童7岁，父母均为视力一级残疾，家人不了解招生规则，没有提前两年办理租房备案，不符合公办学校入学条件。",
	})
	t.advance(assessment, day(time.May, 21), nil)
	t.meet(day(time.May, 24), 60, 3, sitting{
		"了解家庭情况和入学障碍", "核对户口、租房合同和残疾证，说明招生规则。外祖母最担心错过今年入学。", "收集材料，起草申请书",
	})
	t.advance(planning, day(time.May, 25), func(r *casesv1.AdvanceCaseRequest) {
		r.Assessment = "家庭：外祖母年事渐高，父母视力一级残疾，无力奔走办理。制度：没有提前两年办理租房备案，不符合常规入学条件，" +
			"需由有关部门按特殊困难家庭协调。儿童：聪明懂事，但内向，在生人面前不自信。"
	})
	t.advance(intervention, day(time.May, 31), func(r *casesv1.AdvanceCaseRequest) {
		r.Goals = "开学前落实公办小学学位；减轻外祖母的焦虑；帮助童童做好入学准备。"
		r.Plan = "一、代拟入学申请书；二、转介街道办事处和区残联；三、与教育部门沟通协调；四、入学前陪伴适应；五、入学后持续回访。"
	})
	t.meet(day(time.June, 2), 90, 2, sitting{"代拟入学申请书", "与外祖母逐句核对申请书，由家长按印确认。", "递交街道办事处"})
	office := t.refer(day(time.June, 3), "滨江街道办事处", "请核实家庭困难情况，并就童童入学出具意见。")
	federation := t.refer(day(time.June, 7), "琼山区残疾人联合会", "请为视力一级残疾人家庭的子女入学协调支持。")
	t.answer(office, day(time.June, 11), casesv1.ReferralState_REFERRAL_STATE_COMPLETED, "街道办事处入户核实，出具了情况说明。", 0)
	t.answer(federation, day(time.June, 18), casesv1.ReferralState_REFERRAL_STATE_COMPLETED, "区残联出具证明，并联系教育部门说明情况。", 0)
	t.meet(day(time.June, 24), 60, 1, sitting{
		"与教育部门协调入学", "携申请书、街道情况说明和区残联证明，向教育部门说明家庭的特殊困难，教育部门表示研究后答复。", "跟进答复，安抚家人",
	})
	t.meet(day(time.July, 15), 50, 2, sitting{"陪伴适应", "陪童童读绘本、认校园生活图片，鼓励他开口介绍自己。", "开学前再陪伴一次"})
}

// getsAPlace is step 4: the outcome before the term starts.
func (t *tongtong) getsAPlace(outcome time.Time) {
	t.meet(outcome, 40, 4, sitting{"告知结果", "教育部门同意童童入读琼山第九小学，向全家说明报到时间和材料。", "协助准备学习用品"})
	t.steps = append(t.steps, &registryv1.MeetNeedRequest{
		Id: t.need, MetDate: format(outcome), Outcome: "开学前落实学位，童童入读琼山第九小学。",
	})
}

// isEvaluated is step 5: the evaluation form (个案工作评估表) with its summary and reflection (总结和反思).
func (t *tongtong) isEvaluated(date time.Time) {
	t.advance(evaluation, day(time.September, 3), nil)
	t.evaluate(date,
		"经街道办事处、区残联和教育部门共同努力，童童在开学前取得琼山第九小学学位并按时报到，入学需求得到满足，外祖母的焦虑明显缓解。",
		"身处困境的孩子容易不自信、内向、缺乏安全感，需要持续的鼓励和支持。下一步，将邀请童童参加公益活动和夏令营，让他结识更多小朋友。",
		"入学目标全部达成；童童的自信心有所提升，仍需跟进。")
}

// isVisitedAgain is step 6: follow-up visits go on after the outcome; on 2021-10-01 the head visits again.
func (t *tongtong) isVisitedAgain() {
	visit := func(staff, purpose string, minutes int32) *visitsv1.Visit {
		return &visitsv1.Visit{
			HouseholdId: t.household, StaffId: staff, Domain: childWelfare, Purpose: purpose, DurationMinutes: minutes,
			ResidentIds: []string{t.grandmother, t.child}, FollowUpOf: t.firstVisit,
		}
	}
	t.returnTo(visit(t.worker, "个案回访", 45), day(time.September, 15),
		"童童已入学两周，能按时到校，愿意说起同桌的名字，作业由邻居家的姐姐帮忙看。", "与班主任保持联系")
	t.advance(closure, day(time.September, 17), func(r *casesv1.AdvanceCaseRequest) { r.ClosureReason = "目标达成" })
	t.returnTo(visit(t.head, "结案后回访", 60), lastDay,
		"站长国庆节再次上门看望，童童适应学校生活，比以前开朗。", "入学只是第一步，还要巩固成效，依托社工站继续链接资源。")
}

package haikou

import (
	"time"

	registryv1 "circle15.dev/api/registry/v1"
	visitsv1 "circle15.dev/api/visits/v1"
)

// theme is a need as workers meet it, and how it is met.
type theme struct{ domain, need, outcome string }

var (
	elderThemes = []theme{
		{elderlyServices, "行动不便，希望有人上门理发。", "志愿者上门理发，并列入每月服务计划。"},
		{elderlyServices, "希望申请居家适老化改造，安装卫生间扶手。", "已纳入街道适老化改造名单，扶手安装完毕。"},
		{elderlyServices, "不了解高龄津贴申领手续。", "协助备齐材料，社区受理，津贴已发放。"},
		{elderlyServices, "独自在家，希望有人定期陪伴聊天。", "结对志愿者每周上门陪伴。"},
		{elderlyServices, "不会使用智能手机挂号。", "参加智能手机学习班，已能独立挂号。"},
		{elderlyServices, "慢性病用药多，常常漏服。", "社区卫生服务站签约家庭医生，配发分装药盒。"},
		{socialAssistance, "医药费负担重，希望了解医疗救助政策。", "协助提交医疗救助申请，已获批。"},
		{communityGovernance, "楼道堆放杂物，老人出行不便。", "联系社区清理楼道，加装照明。"},
	}
	disabledThemes = []theme{
		{socialAssistance, "希望申请残疾人两项补贴。", "协助办理，困难残疾人生活补贴已发放。"},
		{socialAssistance, "需要轮椅等辅助器具。", "区残联免费适配轮椅一辆。"},
		{socialAffairs, "残疾证到期，不知如何换证。", "陪同办理换证。"},
		{socialAffairs, "希望获得居家就业机会。", "链接手工订单，已开始居家就业。"},
		{socialAssistance, "照顾者长期无法休息，需要喘息服务。", "安排志愿者每周两次临时照看。"},
		{communityGovernance, "单元门口台阶高，轮椅无法进出。", "社区加装简易坡道。"},
	}
	childThemes = []theme{
		{childWelfare, "放学后无人看护和辅导作业。", "加入社工站四点半课堂。"},
		{childWelfare, "学习用品不足。", "爱心企业捐赠书包和文具。"},
		{childWelfare, "孩子内向，缺少同伴，希望有人陪伴。", "参加成长小组，结识了新朋友。"},
		{childWelfare, "监护人希望学习与孩子沟通的方法。", "参加亲子沟通讲座并接受两次个别指导。"},
		{childWelfare, "暑期无人照看，担心安全。", "参加社区暑期托管。"},
		{childWelfare, "希望申请困境儿童基本生活补贴。", "协助提交材料，补贴已发放。"},
	}
	incomeThemes = []theme{
		{socialAssistance, "低保复核材料不齐。", "协助补齐材料，通过复核。"},
		{socialAssistance, "突发疾病，希望申请临时救助。", "协助申请临时救助，救助金已发放。"},
		{socialAssistance, "有就业意愿，希望参加技能培训。", "参加街道技能培训并找到保洁工作。"},
		{socialAssistance, "住房漏雨，希望维修。", "社区协调维修，屋面修缮完毕。"},
		{communityGovernance, "与邻居因噪声发生矛盾。", "社区调解，双方达成一致。"},
		{socialAffairs, "家庭关系紧张，希望得到调解。", "开展三次家庭面谈，关系缓和。"},
	}
	marginThemes = []theme{
		{socialAssistance, "家中有重病患者，收入不符合低保条件，不了解其他救助。", "协助申请支出型困难家庭救助，已获批。"},
		{socialAssistance, "失业，房租难以支付。", "链接慈善资源，并介绍就业岗位。"},
		{socialAffairs, "外来务工，不清楚居住证办理流程。", "说明流程并陪同办理。"},
		{communityGovernance, "租住的院落排水不畅，雨天积水。", "社区协调疏通排水沟。"},
		{socialAffairs, "家中老人去世，不了解惠民殡葬政策。", "说明政策并协助减免手续。"},
	}
)

// needSources is how needs are found other than in casework.
var needSources = []weighted[string]{{fromHomeVisit, 50}, {fromPublicity, 28}, {fromPhoneCall, 22}}

// recordNeeds writes the needs of every station: those of its clients in casework first, then what was found at visits, by
// phone and through publicity. About half are met by the end of the period.
func (w *world) recordNeeds() []Chain {
	quota := w.quotas("needs", needsInAll, 35, toldNeeds)
	w.chooseClients()
	var chains []Chain
	for _, s := range w.stations {
		d := w.stream("needs of " + s.code)
		left := quota[s]
		if s.code == Binjiang {
			left-- // Tongtong's
		}
		for _, c := range s.clients {
			c.need = w.id("need", c.first.date)
			chains = append(chains, Chain{&registryv1.CreateNeedRequest{Need: &registryv1.Need{
				Id: c.need, HouseholdId: c.household.id, ResidentId: c.member.id, StaffId: c.household.worker, VisitId: c.first.id,
				Domain: c.plot.domain, Source: fromHomeVisit, Description: c.plot.problem, RecordedDate: format(c.first.date),
			}}})
			left--
		}
		for _, c := range s.clients {
			for range 2 {
				chains = append(chains, w.need(d, c.household, fromCasework, later(d, officeWork, c.opened, 4, 40), ""))
				left--
			}
		}
		for range left {
			chains = append(chains, w.foundNeed(d, s))
		}
		chains = append(chains, w.withdrawnNeed(d, s))
	}
	return chains
}

// foundNeed is a need of some household, found at one of its visits or through publicity.
func (w *world) foundNeed(d *dice, s *station) Chain {
	for {
		h, source := pick(d, s.households), pickWeighted(d, needSources)
		if source == fromPublicity {
			return w.need(d, h, source, pickDay(d, communityWork, span{h.met, lastDay}), "")
		}
		kind := visitsv1.VisitKind_VISIT_KIND_HOME
		if source == fromPhoneCall {
			kind = visitsv1.VisitKind_VISIT_KIND_PHONE
		}
		var visits []*visit
		for _, v := range h.visits {
			if v.kind == kind {
				visits = append(visits, v)
			}
		}
		if len(visits) > 0 {
			v := pick(d, visits)
			return w.need(d, h, source, v.date, v.id)
		}
	}
}

// need writes one need and, for about half, that it was met. A few were reported met too early and had to be opened again.
func (w *world) need(d *dice, h *household, source string, found time.Time, visit string) Chain {
	t := pick(d, h.profile.themes)
	need := &registryv1.Need{
		Id: w.id("need", found), HouseholdId: h.id, StaffId: h.someWorker(d), VisitId: visit,
		Domain: t.domain, Source: source, Description: t.need, RecordedDate: format(found),
	}
	if d.chance(0.85) {
		need.ResidentId = h.client().id
	}
	chain := Chain{&registryv1.CreateNeedRequest{Need: need}}
	if found.AddDate(0, 0, 4).After(lastDay) || !d.chance(0.56) {
		return chain
	}
	met := later(d, officeWork, found, 4, 45)
	chain = append(chain, &registryv1.MeetNeedRequest{Id: need.GetId(), MetDate: format(met), Outcome: t.outcome})
	if d.chance(0.03) {
		chain = append(chain, &registryv1.ReopenNeedRequest{Id: need.GetId(), Reason: "回访时发现尚未落实"})
		if d.chance(0.6) {
			again := later(d, officeWork, met, 3, 21)
			chain = append(chain, &registryv1.MeetNeedRequest{Id: need.GetId(), MetDate: format(again), Outcome: t.outcome})
		}
	}
	return chain
}

// withdrawnNeed is a need that was recorded twice by mistake.
func (w *world) withdrawnNeed(d *dice, s *station) Chain {
	h := pick(d, s.households)
	found := pickDay(d, officeWork, span{h.met, lastDay})
	id := w.id("need", found)
	t := pick(d, h.profile.themes)
	return Chain{
		&registryv1.CreateNeedRequest{Need: &registryv1.Need{
			Id: id, HouseholdId: h.id, StaffId: h.worker, Domain: t.domain, Source: fromPublicity, Description: t.need, RecordedDate: format(found),
		}},
		&registryv1.VoidNeedRequest{Id: id, Reason: "重复登记"},
	}
}

package haikou

import "time"

// profile is a kind of household that the stations serve: who lives there, and how it is served.
type profile struct {
	people   func(d *dice) []*member
	domains  []weighted[string]
	comeback float64  // the chance of yet another visit at home
	cadence  int      // days between visits at home
	findings []string // what a worker may find there
	themes   []theme  // its needs
	plots    []plot   // its cases
}

// The households, by how often the stations meet them: registered clients, and the unregistered on the margin.
var profiles = []weighted[*profile]{
	{elderAlone, 24}, {elderCouple, 13}, {disabledFamily, 18}, {difficultChildhood, 9}, {leftBehind, 5}, {lowIncome, 17}, {onTheMargin, 14},
}

var elderAlone = &profile{
	people: func(d *dice) []*member {
		m := elder(d, d.chance(0.62))
		m.categories = append(m.categories, livingAlone)
		m.assist(d, []weighted[string]{{"", 42}, {minimumLivingAllowance, 32}, {extremeHardship, 14}, {marginalIncome, 12}})
		return []*member{m}
	},
	domains:  []weighted[string]{{elderlyServices, 80}, {socialAssistance, 16}, {communityGovernance, 4}},
	comeback: 0.52,
	cadence:  30,
	themes:   elderThemes,
	plots:    elderPlots,
	findings: []string{
		"老人独居，精神尚好，血压偏高，已提醒按时服药。", "老人行动不便，三餐由邻居帮忙，希望有人常来说说话。", "家中电线老化，已记录并转告社区。",
		"老人视力下降，看不清药盒上的字，协助整理了药盒。", "老人想念外地子女，陪同视频通话一次。", "卫生间湿滑，没有扶手，存在跌倒风险。",
		"老人近期睡眠不好，情绪低落，安排志愿者每周上门。", "老人听力差，敲门不易听见，与邻居约定了备用联系方式。",
	},
}

var elderCouple = &profile{
	people: func(d *dice) []*member {
		husband, wife := elder(d, false), elder(d, true)
		tiers := []weighted[string]{{"", 62}, {minimumLivingAllowance, 24}, {marginalIncome, 14}}
		for _, m := range []*member{husband, wife} {
			m.categories = append(m.categories, emptyNest)
		}
		husband.assist(d, tiers)
		wife.tier, wife.registered = husband.tier, husband.registered
		return []*member{husband, wife}
	},
	domains:  []weighted[string]{{elderlyServices, 84}, {socialAssistance, 8}, {communityGovernance, 8}},
	comeback: 0.38,
	cadence:  42,
	themes:   elderThemes,
	plots:    elderPlots,
	findings: []string{
		"两位老人互相照应，老伴患慢性病，需定期到医院取药。", "子女在外地工作，老人不会使用智能手机，希望有人教。", "家中适老化改造意愿强，已登记。",
		"老人喜欢热闹，愿意参加社区活动。", "老伴刚出院，护理压力大，介绍了居家护理服务。", "老人咨询高龄津贴的申领办法，已说明所需材料。",
	},
}

var disabledFamily = &profile{
	people: func(d *dice) []*member {
		m := adult(d, surname(d), d.chance(0.42), 24, 62)
		m.categories = []string{disabled}
		m.disability, m.degree = pickWeighted(d, disabilityTypes), int32(pickWeighted(d, []weighted[int]{{1, 28}, {2, 38}, {3, 22}, {4, 12}}))
		m.assist(d, []weighted[string]{{minimumLivingAllowance, 46}, {marginalIncome, 16}, {rigidSpending, 8}, {"", 30}})
		m.registered = m.registered || d.chance(0.7)
		if d.chance(0.35) {
			return []*member{m}
		}
		if d.chance(0.5) {
			return []*member{m, adult(d, surname(d), !m.female, 28, 60)}
		}
		return []*member{elder(d, d.chance(0.7)), m}
	},
	domains:  []weighted[string]{{socialAssistance, 62}, {socialAffairs, 30}, {communityGovernance, 8}},
	comeback: 0.42,
	cadence:  40,
	themes:   disabledThemes,
	plots:    disabledPlots,
	findings: []string{
		"照顾者长期无法外出工作，希望有喘息服务。", "残疾证即将到期，已说明换证流程。", "家中缺少辅助器具，已联系残联申请轮椅。",
		"本人有手工技能，愿意居家就业。", "家属对两项补贴政策不了解，已逐条说明。", "本人情绪平稳，按时服药，家属反映夜间看护吃力。",
	},
}

var difficultChildhood = &profile{
	people: func(d *dice) []*member {
		family := surname(d)
		parent := adult(d, family, d.chance(0.6), 29, 46)
		relation := "母亲"
		if !parent.female {
			relation = "父亲"
		}
		if d.chance(0.4) {
			parent = elder(d, d.chance(0.75))
			relation = grandparent(parent)
		}
		parent.assist(d, []weighted[string]{{minimumLivingAllowance, 50}, {marginalIncome, 18}, {rigidSpending, 12}, {"", 20}})
		child := minor(d, family, parent, relation, 4, 16)
		child.categories = []string{childInDifficulty}
		child.tier, child.registered = parent.tier, true
		return []*member{parent, child}
	},
	domains:  []weighted[string]{{childWelfare, 86}, {socialAssistance, 14}},
	comeback: 0.5,
	cadence:  32,
	themes:   childThemes,
	plots:    childPlots,
	findings: []string{
		"孩子性格内向，不愿与陌生人说话，约定下次带绘本来。", "孩子功课跟不上，家长无力辅导。", "家长打零工，孩子放学后无人看护。",
		"孩子喜欢画画，情绪比上次开朗。", "监护人对孩子管教方式较粗暴，进行了亲子沟通指导。", "孩子学习用品不足，已登记资源需求。",
	},
}

var leftBehind = &profile{
	people: func(d *dice) []*member {
		keeper := elder(d, d.chance(0.7))
		child := minor(d, surname(d), keeper, grandparent(keeper), 4, 14)
		child.categories = []string{leftBehindChild}
		return []*member{keeper, child}
	},
	domains:  []weighted[string]{{childWelfare, 88}, {elderlyServices, 12}},
	comeback: 0.44,
	cadence:  40,
	themes:   childThemes,
	plots:    childPlots,
	findings: []string{
		"父母在外务工，每月通话两次，孩子由祖辈照料。", "祖辈文化程度低，无法辅导作业。", "孩子沉迷手机，与家长约定了使用时间。",
		"孩子安全意识薄弱，进行了防溺水提醒。", "孩子想念父母，协助写信并拍照寄出。",
	},
}

var lowIncome = &profile{
	people: func(d *dice) []*member {
		m := adult(d, surname(d), d.chance(0.48), 34, 60)
		m.assist(d, []weighted[string]{{minimumLivingAllowance, 78}, {marginalIncome, 22}})
		people := []*member{m}
		if d.chance(0.3) {
			partner := adult(d, surname(d), !m.female, 32, 60)
			partner.tier, partner.registered = m.tier, m.registered
			people = append(people, partner)
		}
		return people
	},
	domains:  []weighted[string]{{socialAssistance, 84}, {communityGovernance, 8}, {socialAffairs, 8}},
	comeback: 0.32,
	cadence:  50,
	themes:   incomeThemes,
	plots:    incomePlots,
	findings: []string{
		"家庭收入主要靠低保金和零工，生活节俭。", "主要劳动力患慢性病，医疗支出较大。", "有就业意愿，缺少技能，介绍了免费培训。",
		"住房漏雨，已协助向街道反映。", "低保复核材料不全，协助补齐。", "家庭关系紧张，争吵较多，做了情绪疏导。",
	},
}

var onTheMargin = &profile{
	people: func(d *dice) []*member {
		m := adult(d, surname(d), d.chance(0.52), 30, 64)
		m.tier = pickWeighted(d, []weighted[string]{{"", 34}, {rigidSpending, 30}, {otherHardship, 26}, {relapseMonitored, 10}})
		people := []*member{m}
		if d.chance(0.25) {
			people = append(people, adult(d, surname(d), !m.female, 28, 62))
		}
		return people
	},
	domains:  []weighted[string]{{socialAssistance, 60}, {communityGovernance, 20}, {socialAffairs, 20}},
	comeback: 0.3,
	cadence:  45,
	themes:   marginThemes,
	plots:    incomePlots,
	findings: []string{
		"不在册家庭，家中有重病患者，支出远超收入，已介绍救助政策。", "不了解临时救助的申请条件，已说明并留下资料。", "租房居住，房租压力大，工作不稳定。",
		"外来务工家庭，不熟悉办事流程，陪同到社区咨询。", "与邻居因漏水发生矛盾，愿意接受调解。", "家中突发变故，情绪低落，约定下周回访。",
	},
}

func elder(d *dice, female bool) *member {
	age := pickWeighted(d, []weighted[int]{{d.between(62, 69), 26}, {d.between(70, 79), 40}, {d.between(80, 89), 28}, {d.between(90, 97), 6}})
	m := person(d, surname(d), female, age)
	if m.age() >= 80 {
		m.categories = []string{veryOld}
	}
	return m
}

func adult(d *dice, family string, female bool, youngest, oldest int) *member {
	return person(d, family, female, d.between(youngest, oldest))
}

func minor(d *dice, family string, guardian *member, relation string, youngest, oldest int) *member {
	m := person(d, family, d.chance(0.48), d.between(youngest, oldest))
	m.guardian, m.relation = guardian, relation
	return m
}

func person(d *dice, family string, female bool, age int) *member {
	born := birthday(d, age)
	return &member{name: family + givenName(d, female, born), female: female, born: born}
}

// assist draws the assistance tier; those who receive assistance are in the register.
func (m *member) assist(d *dice, tiers []weighted[string]) {
	m.tier = pickWeighted(d, tiers)
	m.registered = m.tier == minimumLivingAllowance || m.tier == extremeHardship || m.tier == marginalIncome
}

func grandparent(m *member) string {
	if m.female {
		return "祖母"
	}
	return "祖父"
}

// stage of life by which groups and activities are joined.
func (m *member) isElder() bool { return m.born.Before(day(time.June, 1).AddDate(-60, 0, 0)) }
func (m *member) isChild() bool { return m.guardian != nil }

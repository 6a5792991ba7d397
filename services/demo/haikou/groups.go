package haikou

import (
	"time"

	activitiesv1 "circle15.dev/api/activities/v1"
)

// course is a kind of group (小组) with the themes of its sessions, of which it has at least as many as stages before the last.
type course struct {
	name, domain, purpose string
	joins                 func(*member) bool
	themes                []string
}

var elders, children = (*member).isElder, (*member).isChild

func carers(m *member) bool { return !m.isElder() && !m.isChild() }

// courses; "耆才展能" is named in the article.
var courses = []course{
	{
		"“耆才展能”长者自我效能感提升小组", elderlyServices, "发掘长者所长，提升自我效能感。", elders,
		[]string{"相识相聚", "我的拿手好戏", "老手艺新传承", "教一教年轻人", "才艺展示", "回顾与展望"},
	},
	{
		"“智享晚年”长者智能手机学习小组", elderlyServices, "帮助长者跨越数字鸿沟。", elders,
		[]string{"认识手机", "视频通话", "健康码与挂号", "防诈骗", "拍照与分享"},
	},
	{
		"“小小追光者”儿童成长小组", childWelfare, "提升困境儿童的自信和同伴交往能力。", children,
		[]string{"你好，新朋友", "情绪的颜色", "我很棒", "一起合作", "勇敢表达", "我们的约定"},
	},
	{
		"“暖家”照顾者减压互助小组", socialAssistance, "缓解照顾压力，建立照顾者互助网络。", carers,
		[]string{"诉说与倾听", "照顾技巧", "给自己放个假", "互助约定"},
	},
	{
		"“和睦邻里”居民议事小组", communityGovernance, "居民共议楼院公共事务。", carers,
		[]string{"楼院里的烦心事", "议事规则", "列出清单", "行动与反馈"},
	},
	{
		"“心桥”家庭沟通小组", socialAffairs, "学习家庭沟通的方法。", carers,
		[]string{"家的画像", "倾听", "我觉得", "家庭会议"},
	},
}

var groupStages = []activitiesv1.GroupStage{
	activitiesv1.GroupStage_GROUP_STAGE_FORMATION,
	activitiesv1.GroupStage_GROUP_STAGE_TRANSITION,
	activitiesv1.GroupStage_GROUP_STAGE_MATURITY,
}

// leadGroups writes the groups: weekly sessions, and the stages of group work (MZ/T 095-2017) between them.
func (w *world) leadGroups() []Chain {
	quota := w.quotas("groups", groupsInAll, 1, nil)
	var chains []Chain
	for i, s := range w.stations {
		d := w.stream("groups of " + s.code)
		for j := range quota[s] {
			chains = append(chains, w.group(d, s, courses[(i+j)%len(courses)]))
		}
	}
	return chains
}

func (w *world) group(d *dice, s *station, c course) Chain {
	at := pickDay(d, communityWork, span{s.opened.AddDate(0, 0, 7), day(time.September, 20)})
	members := w.membersFor(d, s, c, at)
	id, leader := w.id("group", at), pick(d, s.staff)
	chain := Chain{&activitiesv1.CreateGroupRequest{Group: &activitiesv1.Group{
		Id: id, StationId: s.id, StaffId: leader, DisplayName: c.name, Domain: c.domain, Purpose: c.purpose, OpenedDate: format(at),
		MemberIds: members,
	}}}
	enter := func(stage activitiesv1.GroupStage, ended string) {
		chain = append(chain, &activitiesv1.AdvanceGroupRequest{Id: id, Stage: stage, EndedDate: ended})
	}
	for n, theme := range c.themes {
		if at.AddDate(0, 0, 5).After(lastDay) {
			return chain
		}
		at = later(d, communityWork, at, 5, 9)
		if n < len(groupStages) {
			enter(groupStages[n], "")
		}
		present := sample(d, members, max(3, len(members)-d.between(0, 3)))
		w.served += len(present)
		chain = append(chain, &activitiesv1.CreateGroupSessionRequest{GroupId: id, Session: &activitiesv1.GroupSession{
			Id: w.id("group session", at), StaffId: leader, Theme: theme, SessionDate: format(at),
			DurationMinutes: int32(d.between(60, 100)), AttendeeIds: present, Record: "组员参与积极，完成本节目标。",
		}})
	}
	enter(activitiesv1.GroupStage_GROUP_STAGE_ENDING, format(at))
	return chain
}

// membersFor finds eight to fourteen residents whom the course is for and whom the station knew by then; others fill up.
func (w *world) membersFor(d *dice, s *station, c course, at time.Time) []string {
	var fitting, others []string
	for _, h := range s.households {
		for _, m := range h.members {
			switch {
			case h.met.After(at):
			case c.joins(m):
				fitting = append(fitting, m.id)
			case !m.isChild():
				others = append(others, m.id)
			}
		}
	}
	n := d.between(8, 14)
	members := sample(d, fitting, n)
	if len(members) < 5 {
		members = append(members, sample(d, others, 5-len(members))...)
	}
	return members
}

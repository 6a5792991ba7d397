package haikou

import (
	"fmt"
	"time"

	activitiesv1 "circle15.dev/api/activities/v1"
)

// event is a kind of community activity; crowd is how many people it draws, relative to the others.
type event struct {
	title, domain, summary string
	crowd                  float64
	weight                 float64 // how often it is held
	when                   span    // the days it fits, the whole period when empty
}

var (
	dragonBoat = span{day(time.June, 8), day(time.June, 14)}
	centenary  = span{day(time.June, 25), day(time.July, 3)}
	holidaysOf = span{day(time.July, 5), day(time.August, 30)} // the schools'
	midAutumn  = span{day(time.September, 14), day(time.September, 21)}
)

// events; "花甲之年，幸福家园" and "与阳光同行" are named in the article.
var events = []event{
	{"“花甲之年，幸福家园”义诊义剪活动", elderlyServices, "为长者免费理发、量血压、测血糖，提供健康咨询。", 1.1, 16, span{}},
	{"“与阳光同行”青少年减压活动", childWelfare, "通过团体游戏帮助青少年认识压力、学会放松。", 0.5, 10, span{}},
	{"社会救助政策宣传进社区", socialAssistance, "设点宣传低保、临时救助、医疗救助政策，现场解答并登记需求。", 1.3, 22, span{}},
	{"社工站开放日", communityGovernance, "介绍社工站的服务，收集居民需求。", 1.2, 9, span{}},
	{"防溺水与暑期安全宣传", childWelfare, "向儿童和家长讲解防溺水和居家安全知识。", 0.9, 10, holidaysOf},
	{"暑期四点半课堂成果展", childWelfare, "展示孩子们的绘画和手工作品。", 0.6, 6, holidaysOf},
	{"“粽情端午”包粽子送温暖", elderlyServices, "居民与志愿者一起包粽子，送到独居老人家中。", 1.1, 9, dragonBoat},
	{"庆祝建党百年邻里文艺汇演", communityGovernance, "居民自编自演节目，邻里同乐。", 1.8, 8, centenary},
	{"“月满中秋”邻里团圆会", communityGovernance, "邻里分享月饼，慰问困难家庭。", 1.4, 12, midAutumn},
	{"残疾人两项补贴政策解读会", socialAssistance, "讲解补贴申领条件和流程，现场协助填表。", 0.7, 9, span{}},
	{"助残手工体验活动", socialAffairs, "残疾人与居民一起制作手工。", 0.5, 7, span{}},
	{"防范养老诈骗讲座", elderlyServices, "以真实案例讲解常见骗局。", 0.8, 9, span{}},
	{"长者健康讲座", elderlyServices, "社区医生讲解高血压和糖尿病的日常管理。", 0.7, 9, span{}},
	{"楼院清洁日", communityGovernance, "居民与志愿者一起清理楼道和院落。", 0.7, 8, span{}},
	{"婚姻家庭辅导讲座", socialAffairs, "讲解夫妻沟通和亲子沟通的方法。", 0.5, 6, span{}},
	{"文明殡葬惠民政策宣传", socialAffairs, "宣传惠民殡葬政策，发放资料。", 0.8, 4, span{}},
	{"疫苗接种便民服务点", communityGovernance, "志愿者协助行动不便的居民登记接种。", 1.6, 7, span{day(time.June, 1), day(time.August, 31)}},
	{"爱心物资发放日", socialAssistance, "向困难家庭发放爱心企业捐赠的生活物资。", 1, 8, span{}},
}

// happening is one activity that was held.
type happening struct {
	station *station
	event   event
	date    time.Time
	id      string
}

// holdActivities writes the activities. Who took part makes up the person-times that visits, cases and groups left open,
// divided by the crowd that an activity draws.
func (w *world) holdActivities() []Chain {
	held := w.drawActivities()
	d := w.stream("attendance")
	crowds := make([]float64, len(held))
	for i, a := range held {
		crowds[i] = a.event.crowd * d.spread(0.35)
	}
	var chains []Chain
	for i, attendees := range apportion(figures.personTimes-w.served, 12, crowds) {
		chains = append(chains, w.activity(d, held[i], int32(attendees)))
	}
	for i, s := range w.stations {
		if i%3 == 0 {
			chains = append(chains, w.calledOff(d, s))
		}
		if i%7 == 2 {
			chains = append(chains, w.recordedTwice(d, s))
		}
	}
	return chains
}

// drawActivities draws what every station held, and when: what belongs to a feast or to the school holidays near it.
func (w *world) drawActivities() []happening {
	quota := w.quotas("activities", figures.activities, 5, nil)
	kinds := make([]weighted[event], 0, len(events))
	for _, e := range events {
		kinds = append(kinds, weighted[event]{e, e.weight})
	}
	var held []happening
	for _, s := range w.stations {
		d := w.stream("activities of " + s.code)
		for n := 0; n < quota[s]; {
			e := pickWeighted(d, kinds)
			if days, ok := e.possible(s); ok {
				date := pickDay(d, communityWork, days)
				held = append(held, happening{s, e, date, w.id("activity", date)})
				n++
			}
		}
	}
	return held
}

// possible is the days on which the station could hold the event; false when the station opened too late for it.
func (e event) possible(s *station) (span, bool) {
	days := s.period()
	if e.when == (span{}) {
		return days, true
	}
	if e.when.from.After(days.from) {
		days.from = e.when.from
	}
	days.to = e.when.to
	return days, !days.to.Before(days.from)
}

// activity writes a held activity, half of them planned before.
func (w *world) activity(d *dice, a happening, attendees int32) Chain {
	s := a.station
	helpers := sample(d, s.servingOn(a.date), d.between(2, 8))
	activity := &activitiesv1.Activity{
		Id: a.id, StationId: s.id, StaffId: pick(d, s.staff), Title: a.event.title, Domain: a.event.domain, Location: venue(d, s),
	}
	if d.chance(0.5) {
		activity.HeldDate, activity.AttendeeCount = format(a.date), attendees
		activity.VolunteerIds, activity.Summary = helpers, a.event.summary
		return Chain{&activitiesv1.CreateActivityRequest{Activity: activity}}
	}
	activity.PlannedDate = format(a.date)
	return Chain{
		&activitiesv1.CreateActivityRequest{Activity: activity},
		&activitiesv1.HoldActivityRequest{
			Id: a.id, HeldDate: format(a.date), AttendeeCount: attendees, VolunteerIds: helpers, Summary: a.event.summary,
		},
	}
}

func venue(d *dice, s *station) string {
	return fmt.Sprintf("%s%s", pick(d, s.communities).name, pick(d, []string{"居委会会议室", "文化广场", "社工站活动室", "小区门口"}))
}

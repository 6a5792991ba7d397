package haikou

import (
	"cmp"
	"slices"
	"time"

	visitsv1 "circle15.dev/api/visits/v1"
)

// visit is a completed visit.
type visit struct {
	id      string
	kind    visitsv1.VisitKind
	date    time.Time
	request *visitsv1.Visit
	follows *visit // the visit that it follows up
}

// way is how a visit comes into the system.
type way int

const (
	offlineFirst way = iota
	afterPlan
	atOnce
	withMistake
)

var ways = []weighted[way]{{offlineFirst, 955}, {afterPlan, 20}, {atOnce, 20}, {withMistake, 5}}

// batchSize is how many visits a device of a station brings in at a time.
const batchSize = 125

// visitHouseholds draws every visit and writes most of them as batches that were recorded offline, as workers do who go from
// door to door. A few are recorded one by one, or were planned before. Follow-up visits are left to followUpVisits.
func (w *world) visitHouseholds() []Chain {
	var chains []Chain
	for _, s := range w.stations {
		d := w.stream("visits of " + s.code)
		var offline []*visitsv1.Visit
		for _, h := range s.households {
			w.drawVisits(d, h)
			for _, v := range h.visits {
				if v.follows != nil {
					continue
				}
				switch pickWeighted(d, ways) {
				case afterPlan:
					chains = append(chains, Chain{planVisit(d, s, v), completeVisit(v)})
				case atOnce:
					chains = append(chains, Chain{&visitsv1.RecordVisitRequest{Visit: v.request}})
				case withMistake:
					chains = append(chains, miscounted(v))
				case offlineFirst:
					offline = append(offline, v.request)
				}
			}
		}
		slices.SortFunc(offline, func(a, b *visitsv1.Visit) int {
			return cmp.Or(cmp.Compare(a.GetVisitDate(), b.GetVisitDate()), cmp.Compare(a.GetId(), b.GetId()))
		})
		for batch := range slices.Chunk(offline, batchSize) {
			chains = append(chains, Chain{&visitsv1.SyncVisitsRequest{Visits: batch}})
		}
		chains = append(chains, w.cancelled(d, s), w.mistaken(d, s))
	}
	return chains
}

// drawVisits draws the visits of a household: at home from the first contact on, as often as its profile asks for; by phone,
// most in August; and now and then at the station.
func (w *world) drawVisits(d *dice, h *household) {
	if h.atHome {
		last := w.visit(d, h, visitsv1.VisitKind_VISIT_KIND_HOME, h.met)
		for again := h.profile.comeback; d.chance(again); again *= 0.85 {
			date, ok := near(d, officeWork, last.date.AddDate(0, 0, h.profile.cadence), 7)
			if !ok {
				break
			}
			next := w.visit(d, h, visitsv1.VisitKind_VISIT_KIND_HOME, date)
			if last.follows == nil && d.chance(0.07) {
				next.follow(last)
			}
			last = next
		}
	} else {
		w.visit(d, h, visitsv1.VisitKind_VISIT_KIND_PHONE, h.met)
	}
	for range pickWeighted(d, []weighted[int]{{0, 70}, {1, 22}, {2, 8}}) {
		w.visit(d, h, visitsv1.VisitKind_VISIT_KIND_PHONE, pickDay(d, phoneWork, span{h.met, lastDay}))
	}
	if d.chance(0.1) {
		w.visit(d, h, visitsv1.VisitKind_VISIT_KIND_STATION, pickDay(d, officeWork, span{h.met, lastDay}))
	}
	slices.SortStableFunc(h.visits, func(a, b *visit) int { return a.date.Compare(b.date) })
}

var (
	purposes = map[visitsv1.VisitKind][]string{
		visitsv1.VisitKind_VISIT_KIND_HOME:    {"入户探访", "入户探访，了解近况", "政策宣传与需求了解", "定期探访"},
		visitsv1.VisitKind_VISIT_KIND_PHONE:   {"电话问候", "电话了解近况", "电话通知政策办理进度"},
		visitsv1.VisitKind_VISIT_KIND_STATION: {"到站咨询政策", "到站领取资料", "到站求助"},
	}
	minutes = map[visitsv1.VisitKind]bounds{
		visitsv1.VisitKind_VISIT_KIND_HOME:    {25, 90},
		visitsv1.VisitKind_VISIT_KIND_PHONE:   {5, 20},
		visitsv1.VisitKind_VISIT_KIND_STATION: {15, 60},
	}
)

type bounds struct{ least, most int }

// visit writes a completed visit and counts its person-times.
func (w *world) visit(d *dice, h *household, kind visitsv1.VisitKind, date time.Time) *visit {
	present := []string{h.client().id}
	if kind == visitsv1.VisitKind_VISIT_KIND_HOME && d.chance(0.7) {
		present = h.memberIDs()
	}
	v := &visit{id: w.id("visit", date), kind: kind, date: date}
	v.request = &visitsv1.Visit{
		Id:              v.id,
		HouseholdId:     h.id,
		StaffId:         h.someWorker(d),
		Kind:            kind,
		Domain:          pickWeighted(d, h.profile.domains),
		Purpose:         pick(d, purposes[kind]),
		VisitDate:       format(date),
		DurationMinutes: int32(d.between(minutes[kind].least, minutes[kind].most)),
		PersonsServed:   int32(len(present)),
		ResidentIds:     present,
		Findings:        pick(d, h.profile.findings),
	}
	h.visits = append(h.visits, v)
	w.served += len(present)
	return v
}

// follow makes the visit a follow-up (回访) of an earlier one, of whose kind and domain it is.
func (v *visit) follow(earlier *visit) {
	v.follows = earlier
	v.request.Domain = earlier.request.GetDomain()
	v.request.Purpose = "回访：" + earlier.request.GetPurpose()
}

// followUpVisits plans and completes the follow-up visits.
func (w *world) followUpVisits() []Chain {
	var chains []Chain
	for _, s := range w.stations {
		for _, h := range s.households {
			for _, v := range h.visits {
				if v.follows != nil {
					chains = append(chains, Chain{&visitsv1.PlanFollowUpVisitRequest{
						Id:              v.follows.id,
						FollowUpVisitId: v.id,
						StaffId:         v.request.GetStaffId(),
						PlannedDate:     v.request.GetVisitDate(),
						Purpose:         v.request.GetPurpose(),
					}, completeVisit(v)})
				}
			}
		}
	}
	return chains
}

// planVisit plans what takes place on the day or a little later.
func planVisit(d *dice, s *station, v *visit) *visitsv1.PlanVisitRequest {
	day := v.date.AddDate(0, 0, -d.between(0, 3))
	if day.Before(s.opened) {
		day = s.opened
	}
	return &visitsv1.PlanVisitRequest{Visit: &visitsv1.Visit{
		Id:          v.id,
		HouseholdId: v.request.GetHouseholdId(),
		StaffId:     v.request.GetStaffId(),
		Kind:        v.kind,
		Domain:      v.request.GetDomain(),
		Purpose:     v.request.GetPurpose(),
		PlannedDate: format(day),
	}}
}

func completeVisit(v *visit) *visitsv1.CompleteVisitRequest {
	return &visitsv1.CompleteVisitRequest{
		Id:              v.id,
		VisitDate:       v.request.GetVisitDate(),
		DurationMinutes: v.request.GetDurationMinutes(),
		PersonsServed:   v.request.GetPersonsServed(),
		ResidentIds:     v.request.GetResidentIds(),
		Findings:        v.request.GetFindings(),
	}
}

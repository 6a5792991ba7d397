package haikou

import (
	"time"

	visitsv1 "circle15.dev/api/visits/v1"
)

// planVisits leaves every station with visits to come after the reported period: new ones, and follow-ups of visits that
// took place.
func (w *world) planVisits() []Chain {
	var chains []Chain
	for _, s := range w.stations {
		d := w.stream("visits to come of " + s.code)
		for i, h := range sample(d, s.households, 4) {
			date := pickDay(d, officeWork, span{day(time.October, 8), day(time.October, 29)})
			id := w.id("visit", lastDay)
			last := h.visits[len(h.visits)-1]
			if i%2 == 0 && last.kind == visitsv1.VisitKind_VISIT_KIND_HOME {
				chains = append(chains, Chain{&visitsv1.PlanFollowUpVisitRequest{
					Id: last.id, FollowUpVisitId: id, StaffId: h.worker, PlannedDate: format(date), Purpose: "回访",
				}})
				continue
			}
			chains = append(chains, Chain{w.plannedVisit(d, h, id, date)})
		}
	}
	return chains
}

// lastStep is one planned visit, sent after everything else: it tells that the plan was carried out.
func (w *world) lastStep() []Chain {
	s := w.station(Binjiang)
	d := w.stream("last step")
	return []Chain{{w.plannedVisit(d, pick(d, s.households), w.lastVisit(), day(time.October, 29))}}
}

// lastVisit is the id of the visit of the last step; it depends on the seed alone.
func (s *source) lastVisit() string { return s.id("last visit", lastDay) }

func (w *world) plannedVisit(d *dice, h *household, id string, date time.Time) *visitsv1.PlanVisitRequest {
	return &visitsv1.PlanVisitRequest{Visit: &visitsv1.Visit{
		Id:          id,
		HouseholdId: h.id,
		StaffId:     h.worker,
		Kind:        visitsv1.VisitKind_VISIT_KIND_HOME,
		Domain:      pickWeighted(d, h.profile.domains),
		Purpose:     "定期探访",
		PlannedDate: format(date),
	}}
}

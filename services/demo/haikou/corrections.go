package haikou

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	activitiesv1 "circle15.dev/api/activities/v1"
	visitsv1 "circle15.dev/api/visits/v1"
)

// Records that were wrong and were put right, as happens in every station. They leave no trace in the figures.

// miscounted records the visit with two persons too many, then corrects it.
func miscounted(v *visit) Chain {
	wrong := proto.CloneOf(v.request)
	wrong.PersonsServed += 2
	return Chain{
		&visitsv1.RecordVisitRequest{Visit: wrong},
		&visitsv1.UpdateVisitRequest{
			Visit:      &visitsv1.Visit{Id: v.id, PersonsServed: v.request.GetPersonsServed()},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"persons_served"}},
		},
	}
}

// mistaken records a visit to a household where nobody had been, and takes it back.
func (w *world) mistaken(d *dice, s *station) Chain {
	var h *household
	for _, other := range s.households {
		if !other.atHome {
			h = other
		}
	}
	date := pickDay(d, officeWork, span{h.met, lastDay})
	id := w.id("visit", date)
	return Chain{
		&visitsv1.RecordVisitRequest{Visit: &visitsv1.Visit{
			Id:              id,
			HouseholdId:     h.id,
			StaffId:         h.worker,
			Kind:            visitsv1.VisitKind_VISIT_KIND_HOME,
			Domain:          socialAssistance,
			Purpose:         "入户探访",
			VisitDate:       format(date),
			DurationMinutes: int32(d.between(25, 60)),
			PersonsServed:   1,
			ResidentIds:     h.memberIDs()[:1],
			Findings:        "门牌登记有误，实际走访的是另一户。",
		}},
		&visitsv1.VoidVisitRequest{Id: id, Reason: "录入时选错了住户"},
	}
}

// cancelled plans a visit that did not take place.
func (w *world) cancelled(d *dice, s *station) Chain {
	h := pick(d, s.households)
	date := pickDay(d, officeWork, span{h.met, lastDay})
	id := w.id("visit", date)
	return Chain{
		&visitsv1.PlanVisitRequest{Visit: &visitsv1.Visit{
			Id:          id,
			HouseholdId: h.id,
			StaffId:     h.worker,
			Kind:        visitsv1.VisitKind_VISIT_KIND_HOME,
			Domain:      pickWeighted(d, h.profile.domains),
			Purpose:     "定期探访",
			PlannedDate: format(date),
		}},
		&visitsv1.CancelVisitRequest{Id: id, Reason: pick(d, []string{"住户临时外出", "台风预警，改日再访", "住户住院，改为电话问候"})},
	}
}

// calledOff is an activity that was planned and did not take place.
func (w *world) calledOff(d *dice, s *station) Chain {
	date := pickDay(d, communityWork, span{day(time.August, 1), day(time.August, 31)})
	id := w.id("activity", date)
	return Chain{
		&activitiesv1.CreateActivityRequest{Activity: &activitiesv1.Activity{
			Id: id, StationId: s.id, StaffId: pick(d, s.staff), Title: "社区纳凉晚会", Domain: communityGovernance, Location: venue(d, s),
			PlannedDate: format(date),
		}},
		&activitiesv1.CancelActivityRequest{Id: id, Reason: "配合疫情防控要求，暂停聚集性活动"},
	}
}

// recordedTwice is an activity that was recorded by two workers; one record is taken back.
func (w *world) recordedTwice(d *dice, s *station) Chain {
	date := pickDay(d, communityWork, s.period())
	id := w.id("activity", date)
	return Chain{
		&activitiesv1.CreateActivityRequest{Activity: &activitiesv1.Activity{
			Id: id, StationId: s.id, StaffId: pick(d, s.staff), Title: "社会救助政策宣传进社区", Domain: socialAssistance, Location: venue(d, s),
			HeldDate: format(date), AttendeeCount: int32(d.between(40, 120)),
		}},
		&activitiesv1.VoidActivityRequest{Id: id, Reason: "两位社工重复录入"},
	}
}

package haikou

import (
	"fmt"
	"time"

	registryv1 "circle15.dev/api/registry/v1"
)

// classified is a resident under one of the codes by which files are classified.
type classified struct {
	household *household
	member    *member
	class     string
}

var classDomains = map[string]string{
	disabled: socialAssistance, childInDifficulty: childWelfare, leftBehindChild: childWelfare,
	veryOld: elderlyServices, livingAlone: elderlyServices, emptyNest: elderlyServices,
}

// buildFiles writes the classified service files, never two of one resident under one code.
func (w *world) buildFiles() []Chain {
	quota := w.quotas("service files", filesInAll, 30, toldFiles)
	var chains []Chain
	for _, s := range w.stations {
		d := w.stream("service files of " + s.code)
		left := quota[s]
		if s.code == Binjiang {
			left-- // Tongtong's
		}
		var all []classified
		for _, h := range s.households {
			for _, m := range h.members {
				for _, class := range m.classes() {
					all = append(all, classified{h, m, class})
				}
			}
		}
		chosen := sample(d, all, left+1)
		if len(chosen) <= left {
			panic(fmt.Sprintf("%s has too few classified residents for %d files", s.street, left))
		}
		for _, c := range chosen[:left] {
			chains = append(chains, Chain{w.file(d, c)})
		}
		mistaken := w.file(d, chosen[left])
		chains = append(chains, Chain{
			mistaken, &registryv1.VoidServiceFileRequest{Id: mistaken.GetServiceFile().GetId(), Reason: "归类有误，重新建档"},
		})
	}
	return chains
}

func (w *world) file(d *dice, c classified) *registryv1.CreateServiceFileRequest {
	built := later(d, officeWork, c.household.met, 0, 14)
	domain := socialAssistance
	if named, ok := classDomains[c.class]; ok {
		domain = named
	}
	return &registryv1.CreateServiceFileRequest{ServiceFile: &registryv1.ServiceFile{
		Id:         w.id("service file", built),
		ResidentId: c.member.id,
		StaffId:    c.household.worker,
		Category:   c.class,
		Domain:     domain,
		Summary:    fileSummary(d, c.member, built),
		BuiltDate:  format(built),
	}}
}

func fileSummary(d *dice, m *member, built time.Time) string {
	plan := pick(d, []string{"每月探访一次", "每季度探访一次", "按需提供政策咨询", "纳入重点关注对象", "链接志愿者定期陪伴"})
	return fmt.Sprintf("%d岁，%s年%d月建档，%s。", m.age(), built.Format("2006"), int(built.Month()), plan)
}

package haikou

import (
	"fmt"
	"time"

	registryv1 "circle15.dev/api/registry/v1"
)

// household is a household with its residents and what was done for it.
type household struct {
	id      string
	station *station
	profile *profile
	worker  string    // who usually comes
	met     time.Time // the first contact
	atHome  bool      // visited at home; else known by phone and from publicity only
	members []*member
	visits  []*visit // completed, in order of their days
}

// member is a resident of a household.
type member struct {
	id         string
	name       string
	female     bool
	born       time.Time
	registered bool // 在册
	tier       string
	categories []string
	disability string
	degree     int32
	guardian   *member
	relation   string // of the guardian to the member
}

// age is in completed years when the stations were new.
func (m *member) age() int {
	on := day(time.June, 1)
	years := on.Year() - m.born.Year()
	if on.YearDay() < m.born.YearDay() {
		years--
	}
	return years
}

// classes are the codes under which a file of the member may be classified.
func (m *member) classes() []string {
	classes := append([]string(nil), m.categories...)
	if m.tier != "" {
		classes = append(classes, m.tier)
	}
	return classes
}

func (h *household) memberIDs() []string {
	ids := make([]string, 0, len(h.members))
	for _, m := range h.members {
		ids = append(ids, m.id)
	}
	return ids
}

// client is the member for whom the station comes: a child before anyone, else the first who is classified.
func (h *household) client() *member {
	client := h.members[0]
	for _, m := range h.members {
		if len(m.classes()) > 0 && (len(client.classes()) == 0 || m.guardian != nil) {
			client = m
		}
	}
	return client
}

// someWorker is usually the household's own worker.
func (h *household) someWorker(d *dice) string {
	if d.chance(0.8) {
		return h.worker
	}
	return pick(d, h.station.staff)
}

// settleHouseholds writes the households that the stations got to know: those they visited at home, of which there are as
// many as reported, and a few that are known by phone or from publicity only.
func (w *world) settleHouseholds() []Chain {
	quota := w.quotas("households", figures.households, 70, toldHouseholds)
	var chains []Chain
	for _, s := range w.stations {
		d := w.stream("households of " + s.code)
		atHome := quota[s]
		if s.code == Binjiang {
			atHome-- // the other one is Tongtong's
		}
		for i := range atHome + atHome/25 {
			h := w.settle(d, s)
			h.atHome = i < atHome
			s.households = append(s.households, h)
			chains = append(chains, w.introduce(d, h))
		}
	}
	return chains
}

func (w *world) settle(d *dice, s *station) *household {
	h := &household{station: s, profile: pickWeighted(d, profiles), worker: pick(d, s.staff)}
	h.met = pickDay(d, officeWork, span{s.opened, lastDay.AddDate(0, 0, -1)})
	h.id = w.id("household", h.met)
	h.members = h.profile.people(d)
	for _, m := range h.members {
		m.id = w.id("resident", h.met)
	}
	return h
}

// introduce writes the household, then its residents: adults first, since they are the children's guardians.
func (w *world) introduce(d *dice, h *household) Chain {
	c := pick(d, h.station.communities)
	chain := append(make(Chain, 0, 1+len(h.members)), &registryv1.CreateHouseholdRequest{Household: &registryv1.Household{
		Id:          h.id,
		CommunityId: c.id,
		HeadName:    h.members[0].name,
		Address:     address(d, c.name),
		Phone:       phone(d),
	}})
	for _, m := range h.members {
		chain = append(chain, &registryv1.CreateResidentRequest{Resident: w.enrol(d, h, m)})
	}
	return chain
}

// address is a place in a community; lanes and numbers are invented.
func address(d *dice, community string) string {
	if d.chance(0.35) {
		return fmt.Sprintf("%s%d巷%d号", community, d.between(1, 12), d.between(1, 98))
	}
	return fmt.Sprintf("%s%d里%d栋%d单元%d0%d房", community, d.between(1, 8), d.between(1, 24), d.between(1, 4), d.between(1, 8), d.between(1, 6))
}

var noIdentityReasons = []string{"户口未登记，正在协助补办", "证件遗失，补办中", "本人记不清证件号码，待家属提供", "外地户籍，证件未带在身边"}

// enrol writes a resident with the legal basis for keeping the record: the statutory duty to those in the register, consent
// of the others, a guardian's for a child (PIPL 13, 31).
func (w *world) enrol(d *dice, h *household, m *member) *registryv1.Resident {
	r := &registryv1.Resident{
		Id:               m.id,
		HouseholdId:      h.id,
		Name:             m.name,
		Sex:              sex(m.female),
		BirthDate:        format(m.born),
		AssistanceTier:   m.tier,
		Registered:       m.registered,
		Categories:       m.categories,
		DisabilityType:   m.disability,
		DisabilityDegree: m.degree,
		LegalBasisDate:   format(h.met),
	}
	if d.chance(0.97) {
		r.IdentityNumber = w.numbers.next(h.station.district(), m.born, m.female)
	} else {
		r.NoIdentityReason = pick(d, noIdentityReasons)
	}
	switch {
	case m.guardian != nil:
		r.Guardian = &registryv1.Guardian{ResidentId: m.guardian.id, Relationship: m.relation}
		r.LegalBasis = registryv1.LegalBasis_LEGAL_BASIS_GUARDIAN_CONSENT
		r.LegalBasisReference = "监护人知情同意书"
	case m.registered:
		r.LegalBasis = registryv1.LegalBasis_LEGAL_BASIS_STATUTORY_DUTY
		r.LegalBasisReference = "《社会救助暂行办法》"
	default:
		r.LegalBasis = registryv1.LegalBasis_LEGAL_BASIS_CONSENT
		r.LegalBasisReference = "服务对象知情同意书"
	}
	return r
}

func sex(female bool) registryv1.Sex {
	if female {
		return registryv1.Sex_SEX_FEMALE
	}
	return registryv1.Sex_SEX_MALE
}

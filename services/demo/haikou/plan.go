// Package haikou writes the demo data: what Haikou's 21 street stations did from 2021-05-01 to 2021-10-01, as the requests
// that bring it into the platform. People, households and texts are invented, places are real, and the figures counted from
// the requests are those that 海南日报 reported on 2021-10-02; README.md tells which is which.
package haikou

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	visitsv1 "circle15.dev/api/visits/v1"
)

// Tenant and DivisionCode are the city's; Province and ProvinceCode are those of the tenant above it.
const (
	Tenant       = "haikou"
	DivisionCode = "460100"
	Province     = "hainan"
	ProvinceCode = "460000"
)

// Codes of the two streets of which the article tells most.
const (
	Binjiang = "460107003" // 滨江街道
	Guoxing  = "460107001" // 国兴街道
)

// DefaultSeed is the seed of the data that `circle15 demo` loads.
const DefaultSeed = 20211001

// Plan is what the demo sends: phases one after another.
type Plan struct {
	Phases []Phase
}

// Phase is a set of chains that do not depend on one another and may be sent at the same time.
type Phase struct {
	Name   string
	Chains []Chain
}

// Chain is requests of the services' API that follow each other. Each carries the id of what it creates and its own
// request_id, so that it may be sent again.
type Chain []proto.Message

// Calls is the number of requests.
func (p *Plan) Calls() int {
	n := 0
	for _, phase := range p.Phases {
		n += phase.Calls()
	}
	return n
}

// Calls is the number of requests of the phase.
func (p Phase) Calls() int {
	n := 0
	for _, chain := range p.Chains {
		n += len(chain)
	}
	return n
}

// LastStep asks for what the very last request of the seed's plan creates: where it is found, the whole plan was carried
// out. It is told without making the plan.
func LastStep(seed uint64) *visitsv1.GetVisitRequest {
	return &visitsv1.GetVisitRequest{Id: newSource(seed).lastVisit()}
}

// New writes the plan. The same seed gives the same plan, byte for byte.
func New(seed uint64) (*Plan, error) {
	w, err := newWorld(seed)
	if err != nil {
		return nil, err
	}
	plan := &Plan{}
	for _, phase := range []struct {
		name  string
		write func() []Chain
	}{
		{"stations", w.openStations},
		{"staff", w.hireStaff},
		{"role grants", w.grantRoles},
		{"communities", w.nameCommunities},
		{"volunteer teams", w.foundTeams},
		{"volunteers", w.registerVolunteers},
		{"households and residents", w.settleHouseholds},
		{"the story of Tongtong", w.tellTongtong},
		{"visits", w.visitHouseholds},
		{"follow-up visits", w.followUpVisits},
		{"needs", w.recordNeeds},
		{"service files", w.buildFiles},
		{"cases", w.workCases},
		{"groups", w.leadGroups},
		{"activities", w.holdActivities},
		{"visits to come", w.planVisits},
		{"the last step", w.lastStep},
	} {
		plan.Phases = append(plan.Phases, Phase{phase.name, phase.write()})
	}
	for _, phase := range plan.Phases {
		for _, chain := range phase.Chains {
			for i, request := range chain {
				if err := nameRequest(request, i); err != nil {
					return nil, err
				}
			}
		}
	}
	return plan, nil
}

// nameRequest gives a request its idempotency key, which follows from its content and its place in its chain: a request
// that is sent again in a later run is recognized, one that a newer generator changed is another one.
func nameRequest(request proto.Message, place int) error {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode %s: %w", request.ProtoReflect().Descriptor().FullName(), err)
	}
	m := request.ProtoReflect()
	sum := sha256.Sum256(fmt.Appendf(content, "/%s/%d", m.Descriptor().FullName(), place))
	field := m.Descriptor().Fields().ByName("request_id")
	if field == nil {
		return fmt.Errorf("%s has no request_id", m.Descriptor().FullName())
	}
	m.Set(field, protoreflect.ValueOfString("demo-"+hex.EncodeToString(sum[:16])))
	return nil
}

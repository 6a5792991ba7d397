package haikou

import (
	"fmt"
	"math"
	"time"

	iamv1 "circle15.dev/api/iam/v1"
	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/divisions"
)

// world is what the generator knows while it writes the plan.
type world struct {
	*source
	stations []*station
	numbers  *identityNumbers
	served   int // person-times (人次) so far; what activities have to make up is what is left
}

// station is a street's station and all that belongs to it.
type station struct {
	id, code, street string
	opened           time.Time
	staff            []string // ids, the head's first
	communities      []community
	team             string
	founded          time.Time // the team's founding
	volunteers       []volunteer
	households       []*household
	clients          []*client
}

type community struct{ id, code, name string }

// district is the six-digit code of the county-level division.
func (s *station) district() string { return s.code[:6] }

// period is the days on which the station worked, to the end of the report.
func (s *station) period() span { return span{s.opened, lastDay} }

// What the article tells of the single stations. Heads are named there; other workers are invented.
var (
	heads = map[string]string{Binjiang: "林婵", Guoxing: "伍燕浪"}

	// Both opened in May 2021; the days are invented.
	openings = map[string]time.Time{Binjiang: day(time.May, 6), Guoxing: day(time.May, 10)}
)

func newWorld(seed uint64) (*world, error) {
	s := newSource(seed)
	w := &world{source: s, numbers: &identityNumbers{s.stream("identity numbers"), map[string]bool{}}}
	communities, err := communitiesByStreet()
	if err != nil {
		return nil, err
	}
	openings := w.drawOpenings()
	for _, d := range divisions.Townships(DivisionCode) {
		if !d.IsStreet() {
			continue
		}
		st := &station{code: d.Code, street: d.Name, opened: openings(d.Code)}
		st.id = w.id("station", st.opened)
		if len(communities[d.Code]) == 0 {
			return nil, fmt.Errorf("the table of communities has none of %s %s", d.Code, d.Name)
		}
		for _, c := range communities[d.Code] {
			st.communities = append(st.communities, community{w.id("community", st.opened), c.code, c.name})
		}
		w.stations = append(w.stations, st)
	}
	if len(w.stations) != figures.stations {
		return nil, fmt.Errorf("the division table has %d streets of %s, not %d", len(w.stations), DivisionCode, figures.stations)
	}
	return w, nil
}

// drawOpenings opens the stations of which nothing is told on working days from the middle of May to the middle of June:
// they were in full operation in June 2021.
func (w *world) drawOpenings() func(code string) time.Time {
	d := w.stream("openings")
	return func(code string) time.Time {
		drawn := pickDay(d, officeWork, span{day(time.May, 12), day(time.June, 16)})
		if told, ok := openings[code]; ok {
			return told
		}
		return drawn
	}
}

// weights are the stations' shares of a kind of work: larger with more communities and more days since the opening.
func (w *world) weights(label string, sigma float64) []float64 {
	d := w.stream("weights of " + label)
	weights := make([]float64, len(w.stations))
	for i, s := range w.stations {
		days := lastDay.Sub(s.opened).Hours() / 24
		weights[i] = math.Sqrt(float64(len(s.communities))) * days * d.spread(sigma)
	}
	return weights
}

// quotas divides a total among the stations: told numbers first, the rest by the weights of the label.
func (w *world) quotas(label string, total, floor int, told map[string]int) map[*station]int {
	var others []*station
	var weights []float64
	shares := map[*station]int{}
	for i, weight := range w.weights(label, 0.32) {
		s := w.stations[i]
		if n, ok := told[s.code]; ok {
			shares[s] = n
			total -= n
			continue
		}
		others, weights = append(others, s), append(weights, weight)
	}
	for i, n := range apportion(total, floor, weights) {
		shares[others[i]] = n
	}
	return shares
}

func (w *world) station(code string) *station {
	for _, s := range w.stations {
		if s.code == code {
			return s
		}
	}
	panic("no station " + code)
}

func (w *world) openStations() []Chain {
	chains := make([]Chain, 0, len(w.stations))
	d := w.stream("station addresses")
	for _, s := range w.stations {
		chains = append(chains, Chain{&registryv1.CreateStationRequest{Station: &registryv1.Station{
			Id:           s.id,
			DivisionCode: s.code,
			DisplayName:  s.street + "社工站",
			Address:      fmt.Sprintf("%s%s%d号", s.street, pick(d, s.communities).name, d.between(1, 60)),
			Phone:        phone(d),
			OpenedDate:   format(s.opened),
		}}})
	}
	return chains
}

func (w *world) hireStaff() []Chain {
	chains := make([]Chain, 0, 3*len(w.stations))
	d := w.stream("staff")
	for _, s := range w.stations {
		for i := range 3 {
			born := time.Date(d.between(1982, 1998), time.Month(d.between(1, 12)), d.between(1, 28), 0, 0, 0, 0, time.UTC)
			name := surname(d) + givenName(d, d.chance(0.75), born)
			position := registryv1.StaffPosition_STAFF_POSITION_SOCIAL_WORKER
			if i == 0 {
				position = registryv1.StaffPosition_STAFF_POSITION_HEAD
				if told, ok := heads[s.code]; ok {
					name = told
				}
			}
			id := w.id("staff", s.opened)
			s.staff = append(s.staff, id)
			chains = append(chains, Chain{&registryv1.CreateStaffRequest{Staff: &registryv1.Staff{
				Id:        id,
				StationId: s.id,
				Name:      name,
				Position:  position,
				Subject:   Subject(s.code, i+1),
				Phone:     phone(d),
				StartDate: format(s.opened),
			}}})
		}
	}
	return chains
}

// Subject is the OIDC subject with which a station's worker signs in; 1 is the head.
func Subject(station string, worker int) string { return fmt.Sprintf("staff-%s-%d", station, worker) }

// grantRoles lets the workers work: heads as heads of their stations, the others as social workers.
func (w *world) grantRoles() []Chain {
	var chains []Chain
	for _, s := range w.stations {
		for i := range s.staff {
			role := "social_worker"
			if i == 0 {
				role = "station_head"
			}
			chains = append(chains, Chain{&iamv1.CreateRoleGrantRequest{RoleGrant: &iamv1.RoleGrant{
				Id: w.id("role grant", s.opened), Subject: Subject(s.code, i+1), Role: role, StationId: s.id,
			}}})
		}
	}
	return chains
}

func (w *world) nameCommunities() []Chain {
	var chains []Chain
	for _, s := range w.stations {
		for _, c := range s.communities {
			chains = append(chains, Chain{&registryv1.CreateCommunityRequest{Community: &registryv1.Community{
				Id:           c.id,
				StationId:    s.id,
				DivisionCode: c.code,
				DisplayName:  c.name,
			}}})
		}
	}
	return chains
}

// phone is a number of Haikou's area code that cannot exist: no local number begins with 0.
func phone(d *dice) string { return fmt.Sprintf("0898-0%07d", d.IntN(10_000_000)) }

package registry_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/standards"
)

// collection reads one collection of the registry by id and as a list.
type collection struct {
	id   string
	get  func(ctx context.Context, id string) error
	list func(ctx context.Context, station string) ([]string, error)
	edit func(ctx context.Context, id string) error
}

// lister makes the list function of a collection of messages with ids.
func lister[M interface{ GetId() string }](messages []M, err error) ([]string, error) {
	found := make([]string, 0, len(messages))
	for _, m := range messages {
		found = append(found, m.GetId())
	}
	return found, err
}

// collections are those with one record at the place.
func (e *env) collections(p place) map[string]collection {
	e.t.Helper()
	need := e.need(p)
	file := must[*registryv1.ServiceFile](e.t)(e.CreateServiceFile(e.admin(), file(p, "very_old")))
	team := e.team(p.station)
	person := must[*registryv1.Volunteer](e.t)(e.CreateVolunteer(e.admin(), volunteer(team, "")))
	return map[string]collection{
		"staff": {
			p.worker.GetId(),
			func(ctx context.Context, id string) error {
				_, err := e.GetStaff(ctx, &registryv1.GetStaffRequest{Id: id})
				return err
			},
			func(ctx context.Context, station string) ([]string, error) {
				r, err := e.ListStaff(ctx, &registryv1.ListStaffRequest{StationId: station})
				return lister(r.GetStaff(), err)
			},
			func(ctx context.Context, id string) error {
				_, err := e.UpdateStaff(ctx, &registryv1.UpdateStaffRequest{Staff: &registryv1.Staff{Id: id, Phone: "1"}})
				return err
			},
		},
		"communities": {
			p.community.GetId(),
			func(ctx context.Context, id string) error {
				_, err := e.GetCommunity(ctx, &registryv1.GetCommunityRequest{Id: id})
				return err
			},
			func(ctx context.Context, station string) ([]string, error) {
				r, err := e.ListCommunities(ctx, &registryv1.ListCommunitiesRequest{StationId: station})
				return lister(r.GetCommunities(), err)
			},
			func(ctx context.Context, id string) error {
				_, err := e.UpdateCommunity(ctx, &registryv1.UpdateCommunityRequest{Community: &registryv1.Community{Id: id, DisplayName: "村"}})
				return err
			},
		},
		"households": {
			p.household.GetId(),
			func(ctx context.Context, id string) error {
				_, err := e.GetHousehold(ctx, &registryv1.GetHouseholdRequest{Id: id})
				return err
			},
			func(ctx context.Context, station string) ([]string, error) {
				r, err := e.ListHouseholds(ctx, &registryv1.ListHouseholdsRequest{StationId: station})
				return lister(r.GetHouseholds(), err)
			},
			func(ctx context.Context, id string) error {
				_, err := e.UpdateHousehold(ctx, &registryv1.UpdateHouseholdRequest{Household: &registryv1.Household{Id: id, Note: "n"}})
				return err
			},
		},
		"residents": {
			p.resident.GetId(),
			func(ctx context.Context, id string) error {
				_, err := e.GetResident(ctx, &registryv1.GetResidentRequest{Id: id})
				return err
			},
			func(ctx context.Context, station string) ([]string, error) {
				r, err := e.ListResidents(ctx, &registryv1.ListResidentsRequest{StationId: station})
				return lister(r.GetResidents(), err)
			},
			func(ctx context.Context, id string) error {
				_, err := e.UpdateResident(ctx, &registryv1.UpdateResidentRequest{Resident: &registryv1.Resident{Id: id, Phone: "1"}})
				return err
			},
		},
		"needs": {
			need.GetId(),
			func(ctx context.Context, id string) error {
				_, err := e.GetNeed(ctx, &registryv1.GetNeedRequest{Id: id})
				return err
			},
			func(ctx context.Context, station string) ([]string, error) {
				r, err := e.ListNeeds(ctx, &registryv1.ListNeedsRequest{StationId: station})
				return lister(r.GetNeeds(), err)
			},
			func(ctx context.Context, id string) error {
				_, err := e.UpdateNeed(ctx, &registryv1.UpdateNeedRequest{Need: &registryv1.Need{Id: id, Description: "d"}})
				return err
			},
		},
		"serviceFiles": {
			file.GetId(),
			func(ctx context.Context, id string) error {
				_, err := e.GetServiceFile(ctx, &registryv1.GetServiceFileRequest{Id: id})
				return err
			},
			func(ctx context.Context, station string) ([]string, error) {
				r, err := e.ListServiceFiles(ctx, &registryv1.ListServiceFilesRequest{StationId: station})
				return lister(r.GetServiceFiles(), err)
			},
			func(ctx context.Context, id string) error {
				_, err := e.UpdateServiceFile(ctx, &registryv1.UpdateServiceFileRequest{ServiceFile: &registryv1.ServiceFile{Id: id, Summary: "s"}})
				return err
			},
		},
		"volunteerTeams": {
			team.GetId(),
			func(ctx context.Context, id string) error {
				_, err := e.GetVolunteerTeam(ctx, &registryv1.GetVolunteerTeamRequest{Id: id})
				return err
			},
			func(ctx context.Context, station string) ([]string, error) {
				r, err := e.ListVolunteerTeams(ctx, &registryv1.ListVolunteerTeamsRequest{StationId: station})
				return lister(r.GetVolunteerTeams(), err)
			},
			func(ctx context.Context, id string) error {
				_, err := e.UpdateVolunteerTeam(ctx, &registryv1.UpdateVolunteerTeamRequest{
					VolunteerTeam: &registryv1.VolunteerTeam{Id: id, DisplayName: "队"},
				})
				return err
			},
		},
		"volunteers": {
			person.GetId(),
			func(ctx context.Context, id string) error {
				_, err := e.GetVolunteer(ctx, &registryv1.GetVolunteerRequest{Id: id})
				return err
			},
			func(ctx context.Context, station string) ([]string, error) {
				r, err := e.ListVolunteers(ctx, &registryv1.ListVolunteersRequest{StationId: station})
				return lister(r.GetVolunteers(), err)
			},
			func(ctx context.Context, id string) error {
				_, err := e.UpdateVolunteer(ctx, &registryv1.UpdateVolunteerRequest{Volunteer: &registryv1.Volunteer{Id: id, Phone: "1"}})
				return err
			},
		},
		"stations": {
			p.station.GetId(),
			func(ctx context.Context, id string) error {
				_, err := e.GetStation(ctx, &registryv1.GetStationRequest{Id: id})
				return err
			},
			func(ctx context.Context, station string) ([]string, error) {
				code := ""
				if station != "" {
					code = p.station.GetDivisionCode()
				}
				r, err := e.ListStations(ctx, &registryv1.ListStationsRequest{DivisionCode: code})
				return lister(r.GetStations(), err)
			},
			func(ctx context.Context, id string) error {
				_, err := e.UpdateStation(ctx, &registryv1.UpdateStationRequest{Station: &registryv1.Station{Id: id, Phone: "1"}})
				return err
			},
		},
	}
}

func TestWhatLiesOutsideTheDataScopeIsNotThere(t *testing.T) {
	e := newEnv(t)
	p, other := e.place(township), e.place("460107001")
	station := []uuid.UUID{uuid.MustParse(p.station.GetId())}
	elsewhere := []uuid.UUID{uuid.MustParse(other.station.GetId())}
	inside := map[string]authz.Scope{
		"tenant":           {Level: authz.LevelTenant},
		"station":          {Level: authz.LevelStation, Stations: station},
		"own, recorded":    {Level: authz.LevelOwn, Stations: station, Subject: "someone"}, // as everything here is
		"several stations": {Level: authz.LevelStation, Stations: append(slices.Clone(elsewhere), station...)},
	}
	outside := map[string]authz.Scope{
		"another station":   {Level: authz.LevelStation, Stations: elsewhere},
		"no station":        {Level: authz.LevelStation, Stations: []uuid.UUID{}},
		"own, of a station": {Level: authz.LevelOwn, Stations: station, Subject: "someone else"},
		"aggregates only":   {Level: authz.LevelAggregate},
		"nothing":           {},
	}
	for name, c := range e.collections(p) {
		for scope, s := range inside {
			if err := c.get(e.as(s), c.id); err != nil {
				t.Errorf("%s, %s: get: %v", name, scope, err)
			}
			found, err := c.list(e.as(s), p.station.GetId())
			if err != nil || !slices.Contains(found, c.id) {
				t.Errorf("%s, %s: list: %v, %v", name, scope, found, err)
			}
			if err := c.edit(e.as(s), c.id); err != nil {
				t.Errorf("%s, %s: update: %v", name, scope, err)
			}
		}
		for scope, s := range outside {
			refused(t, name+", "+scope+": get", c.get(e.as(s), c.id), codes.NotFound, "")
			refused(t, name+", "+scope+": update", c.edit(e.as(s), c.id), codes.NotFound, "")
			for _, filter := range []string{"", p.station.GetId()} {
				found, err := c.list(e.as(s), filter)
				if err != nil || slices.Contains(found, c.id) {
					t.Errorf("%s, %s: list of %q: %v, %v", name, scope, filter, found, err)
				}
			}
		}
		refused(t, name+": an unknown id", c.get(e.admin(), newID()), codes.NotFound, "")
		refused(t, name+": no id", c.get(e.admin(), "7"), codes.InvalidArgument, "id")
	}
}

func TestPagesHoldEveryRecordOnceInOrder(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	want := make([]string, 5)
	want[0] = p.household.GetId()
	for i := range want[1:] {
		want[1+i] = e.household(p.community).GetId()
	}
	slices.Sort(want)
	var got []string
	request := &registryv1.ListHouseholdsRequest{PageSize: 2, StationId: p.station.GetId(), CommunityId: p.community.GetId()}
	for pages := 1; ; pages++ {
		r := must[*registryv1.ListHouseholdsResponse](t)(e.ListHouseholds(e.admin(), request))
		found, _ := lister(r.GetHouseholds(), nil)
		got = append(got, found...)
		if r.GetNextPageToken() == "" {
			if pages != 3 {
				t.Errorf("%d pages of 2 for 5 records", pages)
			}
			break
		}
		request.PageToken = r.GetNextPageToken()
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	request.CommunityId = newID()
	_, err := e.ListHouseholds(e.admin(), request)
	refused(t, "a token of another filter", err, codes.InvalidArgument, "pageToken")
}

func TestFiltersNarrowAList(t *testing.T) {
	e := newEnv(t)
	p, other := e.place(township), e.place("460107001")
	poor := e.resident(p.household, func(r *registryv1.Resident) { r.AssistanceTier = "extreme_hardship" })
	old := e.resident(p.household, func(r *registryv1.Resident) { r.Categories = []string{"living_alone", "very_old"} })
	residents := func(r *registryv1.ListResidentsRequest) ([]string, error) {
		reply, err := e.ListResidents(e.admin(), r)
		return lister(reply.GetResidents(), err)
	}
	open := e.need(p)
	met := e.need(p, func(n *registryv1.Need) { n.Domain, n.ResidentId = "social_affairs", "" })
	must[*registryv1.Need](t)(e.MeetNeed(e.admin(), &registryv1.MeetNeedRequest{Id: met.GetId(), MetDate: "2021-06-11", Outcome: "done"}))
	needs := func(r *registryv1.ListNeedsRequest) ([]string, error) {
		reply, err := e.ListNeeds(e.admin(), r)
		return lister(reply.GetNeeds(), err)
	}
	of := func(found []string, err error) []string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for name, tt := range map[string]struct{ got, want []string }{
		"station": {
			of(residents(&registryv1.ListResidentsRequest{StationId: other.station.GetId()})), []string{other.resident.GetId()},
		},
		"household": {
			of(residents(&registryv1.ListResidentsRequest{HouseholdId: p.household.GetId()})),
			[]string{p.resident.GetId(), poor.GetId(), old.GetId()},
		},
		"tier": {of(residents(&registryv1.ListResidentsRequest{AssistanceTier: "extreme_hardship"})), []string{poor.GetId()}},
		"category": {
			of(residents(&registryv1.ListResidentsRequest{Category: "very_old", StationId: p.station.GetId()})), []string{old.GetId()},
		},
		"nothing of it": {of(residents(&registryv1.ListResidentsRequest{Category: "disabled"})), nil},
		"need's state": {
			of(needs(&registryv1.ListNeedsRequest{State: registryv1.NeedState_NEED_STATE_MET})), []string{met.GetId()},
		},
		"need's domain":   {of(needs(&registryv1.ListNeedsRequest{Domain: "child_welfare"})), []string{open.GetId()}},
		"need's resident": {of(needs(&registryv1.ListNeedsRequest{ResidentId: p.resident.GetId()})), []string{open.GetId()}},
		"need's household": {
			of(needs(&registryv1.ListNeedsRequest{HouseholdId: p.household.GetId()})), []string{open.GetId(), met.GetId()},
		},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: %v, want %v", name, tt.got, tt.want)
		}
	}
}

func TestOfTwoUpdatesWithOneETagExactlyOneWins(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	for range 10 {
		current := must[*registryv1.Household](t)(e.GetHousehold(e.admin(), &registryv1.GetHouseholdRequest{Id: p.household.GetId()}))
		var outcomes [2]error
		var racing sync.WaitGroup
		for i := range outcomes {
			racing.Go(func() {
				ctx := e.admin()
				update := &registryv1.UpdateHouseholdRequest{Household: &registryv1.Household{Id: current.GetId(), Note: string(rune('a' + i))}}
				if i == 0 { // the tag in the body, and in If-Match
					update.Household.Etag = current.GetEtag()
				} else {
					ctx = metadata.AppendToOutgoingContext(ctx, "if-match", current.GetEtag())
				}
				_, outcomes[i] = e.UpdateHousehold(ctx, update)
			})
		}
		racing.Wait()
		won, stale := 0, 0
		for _, err := range outcomes {
			if err == nil {
				won++
			} else if status.Code(err) == codes.FailedPrecondition {
				stale++
			}
		}
		if won != 1 || stale != 1 {
			t.Fatalf("%d won, %d were stale: %v", won, stale, outcomes)
		}
	}
}

func TestACreateThatIsSentTwiceIsDoneOnce(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	create := need(p)
	create.RequestId = "offline-7"
	first := must[*registryv1.Need](t)(e.CreateNeed(e.admin(), create))
	again := must[*registryv1.Need](t)(e.CreateNeed(e.admin(), create))
	if first.GetId() != again.GetId() || len(e.facts(first.GetId())) != 1 {
		t.Errorf("%s and %s were made, with the facts %v", first.GetId(), again.GetId(), e.facts(first.GetId()))
	}
	if n := e.count(`SELECT count(*) FROM {tenant}.needs`); n != 1 {
		t.Errorf("%d needs were stored", n)
	}
}

func TestTheStandardsAreThoseInForce(t *testing.T) {
	e := newEnv(t)
	got := must[*registryv1.Standards](t)(e.GetStandards(e.admin(), &registryv1.GetStandardsRequest{}))
	pack := standards.For(t.Context())
	if got.GetPack() != pack.Name || got.GetVersion() != pack.Version || len(got.GetLists()) != len(pack.Lists) {
		t.Fatalf("the pack reads %s %s with %d lists", got.GetPack(), got.GetVersion(), len(got.GetLists()))
	}
	for i, list := range pack.Lists {
		if read := got.GetLists()[i]; read.GetName() != list.Name || len(read.GetCodes()) != len(list.Codes) ||
			read.GetCodes()[0].GetLabelZh() != list.Codes[0].Zh || read.GetCodes()[0].GetUnitZh() != list.Codes[0].UnitZh {
			t.Errorf("the list %s reads %v", list.Name, read)
		}
	}
}

func TestAnIDInCapitalsIsNoChange(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	n := e.need(p)
	must[*registryv1.Need](t)(e.UpdateNeed(e.admin(), &registryv1.UpdateNeedRequest{Need: &registryv1.Need{
		Id: n.GetId(), HouseholdId: strings.ToUpper(n.GetHouseholdId()), StaffId: strings.ToUpper(n.GetStaffId()),
	}}))
	if facts := e.facts(n.GetId()); len(facts) != 1 {
		t.Errorf("the need is counted by %v", facts)
	}
	_, err := e.UpdateNeed(e.admin(), &registryv1.UpdateNeedRequest{Need: &registryv1.Need{Id: n.GetId(), HouseholdId: newID()}})
	refused(t, "another household", err, codes.InvalidArgument, "need.householdId")
	v := must[*registryv1.Volunteer](t)(e.CreateVolunteer(e.admin(), volunteer(e.team(p.station), "")))
	same := must[*registryv1.Volunteer](t)(e.UpdateVolunteer(e.admin(), &registryv1.UpdateVolunteerRequest{
		Volunteer: &registryv1.Volunteer{Id: v.GetId(), TeamId: strings.ToUpper(v.GetTeamId())},
	}))
	if same.GetTeamId() != v.GetTeamId() || same.GetTeamSince() != v.GetTeamSince() {
		t.Errorf("the same team became %s since %s", same.GetTeamId(), same.GetTeamSince())
	}
}

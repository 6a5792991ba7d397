package e2e_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	registryv1 "circle15.dev/api/registry/v1"
	reportingv1 "circle15.dev/api/reporting/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
	"circle15.dev/services/demo/restclient"
)

// TestWritesSurviveTheKillOfTheServingProcess kills the serving process again and again while clients write. A client that
// got no answer sends the same request with the same key. Every write that was acknowledged is there exactly once.
func TestWritesSurviveTheKillOfTheServingProcess(t *testing.T) {
	city := testenv.NewTenant(t, func(spec *provision.Spec) {
		spec.Policy.Grants = []provision.Grant{{Subject: "bureau", Role: "bureau_admin"}}
	})
	township := townshipsOf(t, city)[0]
	process := startProcess(t)
	client := &restclient.Client{Base: process.rest, Token: process.token(t, "bureau", city), Patience: time.Minute}
	station := ask(t, restCaller{client}, &registryv1.CreateStationRequest{RequestId: "station", Station: &registryv1.Station{
		DivisionCode: township, DisplayName: "社工站", OpenedDate: "2021-05-06",
	}}, &registryv1.Station{})
	worker := ask(t, restCaller{client}, &registryv1.CreateStaffRequest{RequestId: "worker", Staff: &registryv1.Staff{
		StationId: station.GetId(), Name: "社工", Position: registryv1.StaffPosition_STAFF_POSITION_HEAD, StartDate: "2021-05-06",
	}}, &registryv1.Staff{})
	community := ask(t, restCaller{client}, &registryv1.CreateCommunityRequest{RequestId: "community", Community: &registryv1.Community{
		StationId: station.GetId(), DivisionCode: township + "005", DisplayName: "社区",
	}}, &registryv1.Community{})

	const kills, writers = 4, 6
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	acknowledged := map[string]string{} // household id by head name
	personTimes := int32(0)
	for range writers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				name := ids.New().String()
				var h registryv1.Household
				err := client.Call(t.Context(), &registryv1.CreateHouseholdRequest{RequestId: "h" + name, Household: &registryv1.Household{
					CommunityId: community.GetId(), HeadName: name, Address: "1号",
				}}, &h)
				if err != nil {
					t.Error(err)
					return
				}
				persons := int32(1 + rand.N(4))
				err = client.Call(t.Context(), &visitsv1.RecordVisitRequest{RequestId: "v" + name, Visit: &visitsv1.Visit{
					HouseholdId: h.GetId(), StaffId: worker.GetId(), Kind: visitsv1.VisitKind_VISIT_KIND_HOME, Domain: "social_assistance",
					VisitDate: "2021-06-01", DurationMinutes: 30, PersonsServed: persons, Findings: "安好",
				}}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged[name] = h.GetId()
				personTimes += persons
				mu.Unlock()
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged)
	}
	for range kills {
		before := count()
		testenv.Await(t, "writes to be acknowledged", func() bool { return count() > before+20 || t.Failed() })
		process.kill()
		process.start()
	}
	close(stop)
	wg.Wait()

	stored := map[string]string{}
	request := &registryv1.ListHouseholdsRequest{PageSize: 500}
	for {
		page := ask(t, restCaller{client}, request, &registryv1.ListHouseholdsResponse{})
		for _, h := range page.GetHouseholds() {
			if other, twice := stored[h.GetHeadName()]; twice {
				t.Errorf("household %s was stored twice, as %s and %s", h.GetHeadName(), other, h.GetId())
			}
			stored[h.GetHeadName()] = h.GetId()
		}
		if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
			break
		}
	}
	for name, id := range acknowledged {
		if stored[name] != id {
			t.Errorf("household %s was acknowledged as %s and is stored as %q", name, id, stored[name])
		}
	}
	if len(stored) != len(acknowledged) {
		t.Errorf("%d households are stored, %d were acknowledged", len(stored), len(acknowledged))
	}
	n := int32(len(acknowledged))
	got := ask(t, restCaller{client}, &reportingv1.GetWorkSummaryRequest{From: "2021-06-01", To: "2021-06-01"}, &reportingv1.WorkSummary{}).GetTotal()
	if got.GetHomeVisits() != n || got.GetHouseholdsVisited() != n || got.GetPersonTimes() != personTimes {
		t.Errorf("the report counts %v, want %d visits and %d person-times", got, n, personTimes)
	}
	t.Logf("%d writes acknowledged through %d kills", 2*n, kills)
}

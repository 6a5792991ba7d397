package visits_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/services/internal/testenv/world"
)

const (
	created   = visitsv1.SyncOutcome_SYNC_OUTCOME_CREATED
	unchanged = visitsv1.SyncOutcome_SYNC_OUTCOME_UNCHANGED
	rejected  = visitsv1.SyncOutcome_SYNC_OUTCOME_REJECTED
)

func (s *scene) batch(n int) []*visitsv1.Visit {
	out := make([]*visitsv1.Visit, n)
	for i := range out {
		out[i] = s.newVisit()
		out[i].Findings = fmt.Sprintf("visit %d", i)
	}
	return out
}

func (s *scene) sync(t testing.TB, list ...*visitsv1.Visit) []*visitsv1.SyncResult {
	t.Helper()
	answer, err := s.service.SyncVisits(s.ctx, &visitsv1.SyncVisitsRequest{Visits: list})
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetResults()) != len(list) {
		t.Fatalf("%d results of %d visits", len(answer.GetResults()), len(list))
	}
	for i, r := range answer.GetResults() {
		if r.GetId() != list[i].GetId() {
			t.Fatalf("result %d is of %q, want %q", i, r.GetId(), list[i].GetId())
		}
	}
	return answer.GetResults()
}

func outcomes(results []*visitsv1.SyncResult) []visitsv1.SyncOutcome {
	out := make([]visitsv1.SyncOutcome, len(results))
	for i, r := range results {
		out[i] = r.GetOutcome()
	}
	return out
}

func TestABatchSentTwiceIsStoredAndCountedOnce(t *testing.T) {
	s := setup(t)
	list := s.batch(30)
	for i, r := range s.sync(t, list...) {
		if r.GetOutcome() != created || r.GetVisit().GetFindings() != list[i].GetFindings() || r.GetVisit().GetState() != completedState {
			t.Fatalf("result %d: %v", i, r)
		}
		if got := must(t)(s.service.GetVisit(s.ctx, &visitsv1.GetVisitRequest{Id: r.GetId()})); !proto.Equal(got, r.GetVisit()) {
			t.Fatalf("stored %v, acknowledged %v", got, r.GetVisit())
		}
	}
	want := map[string]int{"home_visit": 30, "person_times": 60}
	if diff := cmp.Diff(want, s.Figures(t)); diff != "" {
		t.Fatal(diff)
	}
	slices.Reverse(list)
	slices.Reverse(list[0].GetResidentIds())
	for i, r := range s.sync(t, list...) {
		if r.GetOutcome() != unchanged || r.GetVisit().GetId() != list[i].GetId() {
			t.Fatalf("result %d: %v", i, r)
		}
	}
	if diff := cmp.Diff(want, s.Figures(t)); diff != "" {
		t.Error(diff)
	}
	facts := []world.Fact{s.fact("home_visit", "elderly_services", 1), s.fact("person_times", "elderly_services", 2)}
	if diff := cmp.Diff(facts, s.Facts(t, "visits", list[0].GetId())); diff != "" {
		t.Error(diff)
	}
}

func TestAVisitTwiceInABatchIsStoredOnce(t *testing.T) {
	s := setup(t)
	v, other := s.newVisit(), s.newVisit()
	twin, changed := proto.Clone(v).(*visitsv1.Visit), proto.Clone(v).(*visitsv1.Visit)
	twin.PersonsServed = 2 // which is what 0 means here
	changed.Findings = "Another"
	results := s.sync(t, v, twin, other, changed)
	if diff := cmp.Diff([]visitsv1.SyncOutcome{created, unchanged, created, rejected}, outcomes(results)); diff != "" {
		t.Fatal(diff)
	}
	if r := results[3]; r.GetError().GetReason() != "CONFLICT" || r.GetVisit().GetFindings() != v.GetFindings() {
		t.Errorf("got %v", r)
	}
	if diff := cmp.Diff(map[string]int{"home_visit": 2, "person_times": 4}, s.Figures(t)); diff != "" {
		t.Error(diff)
	}
}

func TestABadVisitKeepsNoneOfTheOthersOut(t *testing.T) {
	s := setup(t)
	type bad struct {
		name, field string
		visit       *visitsv1.Visit
	}
	var all []bad
	add := func(name, field string, change func(*visitsv1.Visit)) {
		v := s.newVisit()
		change(v)
		all = append(all, bad{name, field, v})
	}
	for name, c := range badReferences(s) {
		add(name, c.field, c.change)
	}
	add("no id", "id", func(v *visitsv1.Visit) { v.Id = "" })
	add("no kind", "kind", func(v *visitsv1.Visit) { v.Kind = 0 })
	add("too long", "durationMinutes", func(v *visitsv1.Visit) { v.DurationMinutes = 1441 })
	add("no findings", "findings", func(v *visitsv1.Visit) { v.Findings = "" })
	add("no household", "householdId", func(v *visitsv1.Visit) { v.HouseholdId = "" })
	add("a NUL", "findings", func(v *visitsv1.Visit) { v.Findings = "a\x00b" })
	add("a NUL in the id", "id", func(v *visitsv1.Visit) { v.Id = "a\x00b" })
	add("a NUL in a list", "residentIds[1]", func(v *visitsv1.Visit) { v.ResidentIds[1] = "\x00" })
	add("a kind without a name", "kind", func(v *visitsv1.Visit) { v.Kind = 99 })

	list := make([]*visitsv1.Visit, 0, 2*len(all))
	for _, b := range all {
		list = append(list, b.visit, s.newVisit())
	}
	before := s.Figures(t)["home_visit"]
	results := s.sync(t, list...)
	for i, b := range all {
		r := results[2*i]
		if r.GetOutcome() != rejected || r.GetError().GetReason() != "INVALID_ARGUMENT" || r.GetVisit() != nil {
			t.Errorf("%s: %v", b.name, r)
			continue
		}
		if f := r.GetError().GetFields(); len(f) == 0 || f[0].GetField() != b.field {
			t.Errorf("%s: fields %v, want %s", b.name, f, b.field)
		}
		if results[2*i+1].GetOutcome() != created {
			t.Errorf("beside %s: %v", b.name, results[2*i+1])
		}
	}
	if got := s.Figures(t)["home_visit"] - before; got != len(all) {
		t.Errorf("%d home visits counted, want %d", got, len(all))
	}
}

func TestAVisitStoredWithAnotherContentIsAConflict(t *testing.T) {
	s := setup(t)
	for name, change := range map[string]func(*visitsv1.Visit){
		"staff":     func(v *visitsv1.Visit) { v.StaffId = s.East.Colleague },
		"household": func(v *visitsv1.Visit) { v.HouseholdId, v.ResidentIds, v.PersonsServed = s.East.Neighbours, nil, 2 },
		"kind":      func(v *visitsv1.Visit) { v.Kind = phoneKind },
		"domain":    func(v *visitsv1.Visit) { v.Domain = "child_welfare" },
		"purpose":   func(v *visitsv1.Visit) { v.Purpose = "" },
		"planned":   func(v *visitsv1.Visit) { v.PlannedDate = "2021-06-09" },
		"date":      func(v *visitsv1.Visit) { v.VisitDate = "2021-06-09" },
		"duration":  func(v *visitsv1.Visit) { v.DurationMinutes++ },
		"persons":   func(v *visitsv1.Visit) { v.PersonsServed = 3 },
		"residents": func(v *visitsv1.Visit) { v.ResidentIds, v.PersonsServed = v.GetResidentIds()[:1], 2 },
		"findings":  func(v *visitsv1.Visit) { v.Findings += "." },
	} {
		t.Run(name, func(t *testing.T) {
			v := s.newVisit()
			s.sync(t, v)
			stored := must(t)(s.service.GetVisit(s.ctx, &visitsv1.GetVisitRequest{Id: v.GetId()}))
			change(v)
			r := s.sync(t, v)[0]
			if r.GetOutcome() != rejected || r.GetError().GetReason() != "CONFLICT" || !proto.Equal(r.GetVisit(), stored) {
				t.Errorf("got %v", r)
			}
		})
	}
}

func TestAStoredVisitOfAnotherStationIsNotShown(t *testing.T) {
	s := setup(t)
	v := s.newVisit()
	s.sync(t, v)
	west := &scene{s.World, s.service, s.At(t, s.West)}
	r := west.sync(t, v)[0]
	if r.GetOutcome() != rejected || r.GetError().GetReason() != "CONFLICT" || r.GetVisit() != nil {
		t.Errorf("got %v", r)
	}
}

// TestTwoPhonesWithTheSameBatchStoreEachVisitOnce sends overlapping batches from several clients at once, in different
// orders: every visit is created by exactly one, and counted once.
func TestTwoPhonesWithTheSameBatchStoreEachVisitOnce(t *testing.T) {
	s := setup(t)
	const rounds, size = 6, 60
	for range rounds {
		list := s.batch(size)
		turned := slices.Clone(list)
		slices.Reverse(turned)
		sent := [][]*visitsv1.Visit{list, turned, list[size/3:], turned[size/3:]}
		answers := make([][]*visitsv1.SyncResult, len(sent))
		var group sync.WaitGroup
		for i := range sent {
			group.Go(func() {
				answer, err := s.service.SyncVisits(s.ctx, &visitsv1.SyncVisitsRequest{Visits: sent[i]})
				if err != nil {
					t.Error(err)
				}
				answers[i] = answer.GetResults()
			})
		}
		group.Wait()
		creations := map[string]int{}
		for i, results := range answers {
			for _, r := range results {
				switch r.GetOutcome() {
				case created:
					creations[r.GetId()]++
				case unchanged:
				default:
					t.Errorf("client %d: %v", i, r)
				}
			}
		}
		for _, v := range list {
			if creations[v.GetId()] != 1 {
				t.Errorf("visit %s was created %d times", v.GetId(), creations[v.GetId()])
			}
			if facts := s.Facts(t, "visits", v.GetId()); len(facts) != 2 {
				t.Errorf("visit %s has the facts %v", v.GetId(), facts)
			}
		}
	}
	want := map[string]int{"home_visit": rounds * size, "person_times": 2 * rounds * size}
	if diff := cmp.Diff(want, s.Figures(t)); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkSyncVisits stores batches of 200 visits from one client.
func BenchmarkSyncVisits(b *testing.B) {
	s := setup(b)
	const size = 200
	for b.Loop() {
		b.StopTimer()
		list := s.batch(size)
		b.StartTimer()
		for _, r := range s.sync(b, list...) {
			if r.GetOutcome() != created {
				b.Fatal(r)
			}
		}
	}
	b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "visits/s")
}

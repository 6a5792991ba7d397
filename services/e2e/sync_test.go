package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	visitsv1 "circle15.dev/api/visits/v1"
)

// A phone that holds one visit with a text that cannot be stored gets the others off.
func TestAVisitWhoseTextCannotBeStoredKeepsNoneOfABatchOut(t *testing.T) {
	w := newWorld(t)
	for name, open := range doors {
		t.Run(name, func(t *testing.T) {
			bureau := open(t, w.p, "bureau", w.tenant)
			bad, good := withID(w.own.visitOf()), withID(w.own.visitOf())
			bad.Findings = "a\x00b"
			results := ask(t, bureau, &visitsv1.SyncVisitsRequest{Visits: []*visitsv1.Visit{bad, good}, RequestId: "batch-" + good.GetId()},
				&visitsv1.SyncVisitsResponse{}).GetResults()
			if len(results) != 2 {
				t.Fatalf("%d results", len(results))
			}
			if fields := results[0].GetError().GetFields(); results[0].GetId() != bad.GetId() || len(fields) != 1 || fields[0].GetField() != "findings" {
				t.Errorf("the bad visit: %v", results[0])
			}
			if results[1].GetOutcome() != visitsv1.SyncOutcome_SYNC_OUTCOME_CREATED {
				t.Errorf("the good visit: %v", results[1])
			}
			ask(t, bureau, &visitsv1.GetVisitRequest{Id: good.GetId()}, &visitsv1.Visit{})
			refused(t, bureau, &visitsv1.GetVisitRequest{Id: bad.GetId()}, "NOT_FOUND")
		})
	}
}

// What is no JSON of a visit is refused with the whole batch. The problem names the element, in a batch of any size, so that
// a phone can set it aside and get the others off.
func TestTheVisitThatIsNoJSONIsNamedInItsBatch(t *testing.T) {
	w := newWorld(t)
	token := w.p.token(t, mighty, w.tenant)
	for name, c := range map[string]struct {
		size, at int
		field    string
		value    any
		findings string
		named    string
	}{
		"half a surrogate pair": {size: 5, at: 3, field: "findings", value: raw(`"\ud800"`), findings: "安好", named: "visits[3].findings"},
		"an unknown enum name":  {size: 5, at: 0, field: "kind", value: "VISIT_KIND_X", findings: "安好", named: "visits[0].kind"},
		"a value of a wrong type": {
			size: 5, at: 4, field: "durationMinutes", value: "long", findings: "安好", named: "visits[4].durationMinutes",
		},
		"an element of a list": {size: 5, at: 2, field: "residentIds", value: []any{"x", 2}, findings: "安好", named: "visits[2].residentIds[1]"},
		"an unknown field":     {size: 5, at: 1, field: "colour", value: "red", findings: "安好", named: "visits[1].colour"},
		"in nearly 4 MiB": {
			size: 150, at: 149, field: "findings", value: raw(`"\ud800"`), findings: strings.Repeat("安", 8000), named: "visits[149].findings",
		},
	} {
		t.Run(name, func(t *testing.T) {
			request := &visitsv1.SyncVisitsRequest{}
			for range c.size {
				v := withID(w.own.visitOf())
				v.Findings = c.findings
				request.Visits = append(request.Visits, v)
			}
			batch := wireTo(t, "visits.SyncVisits", request, token)
			visits := batch.body["visits"].([]any)
			visits[c.at].(map[string]any)[c.field] = c.value
			refused := batch.send(t, w.p.rest)
			problem, err := refused.problem()
			if err != nil || refused.status != http.StatusBadRequest || !problem.names(c.named) {
				t.Fatalf("%d %.300s, %v", refused.status, refused.body, err)
			}
			batch.body["visits"] = slices.Delete(visits, c.at, c.at+1)
			if rest := batch.send(t, w.p.rest); rest.status != http.StatusOK ||
				strings.Count(string(rest.body), `"SYNC_OUTCOME_CREATED"`) != c.size-1 {
				t.Errorf("without it: %d %.300s", rest.status, rest.body)
			}
		})
	}
}

func TestABatchOfMoreThan4MiBIsToBeSplit(t *testing.T) {
	w := newWorld(t)
	request := &visitsv1.SyncVisitsRequest{}
	for range 180 {
		v := withID(w.own.visitOf())
		v.Findings = strings.Repeat("安", 8000)
		request.Visits = append(request.Visits, v)
	}
	batch := wireTo(t, "visits.SyncVisits", request, w.p.token(t, mighty, w.tenant))
	a := batch.send(t, w.p.rest)
	if problem, err := a.problem(); err != nil || a.status != http.StatusRequestEntityTooLarge || !problem.names("body") {
		t.Errorf("%d %.300s, %v", a.status, a.body, err)
	}
}

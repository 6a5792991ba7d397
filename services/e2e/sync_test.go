package e2e_test

import (
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

package validate_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	registryv1 "circle15.dev/api/registry/v1"
	reportingv1 "circle15.dev/api/reporting/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/validate"
)

func fieldOf(err error) string {
	e, ok := errors.AsType[*apierr.Error](err)
	switch {
	case err == nil:
		return ""
	case !ok || e.Kind != apierr.Invalid || len(e.Fields) == 0:
		return "not refused as it should be: " + err.Error()
	}
	return e.Fields[0].Name
}

func checker(t *testing.T, of proto.Message) *validate.Checker {
	t.Helper()
	c, err := validate.NewChecker([]protoreflect.MessageDescriptor{of.ProtoReflect().Descriptor()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnElementOfABatchIsLeftToACheckOfItsOwn(t *testing.T) {
	broken := map[string]*visitsv1.Visit{
		"findings": {Findings: "a\x00b"}, "purpose": {Purpose: "\xff"}, "kind": {Kind: 99}, "residentIds[0]": {ResidentIds: []string{"\x00"}},
	}
	c := checker(t, &visitsv1.SyncVisitsRequest{})
	for field, visit := range broken {
		if got := fieldOf(c.Check(&visitsv1.SyncVisitsRequest{Visits: []*visitsv1.Visit{{}, visit}})); got != "" {
			t.Errorf("%s: the batch is refused for %s", field, got)
		}
		if got := fieldOf(validate.Message("", visit)); got != field {
			t.Errorf("the visit is refused for %q, want %s", got, field)
		}
		if got := fieldOf(validate.Message("visit", visit)); got != "visit."+field {
			t.Errorf("a part of a request is refused for %q, want visit.%s", got, field)
		}
	}
	request := &visitsv1.SyncVisitsRequest{Visits: []*visitsv1.Visit{{}}, RequestId: "a\x00b"}
	if got := fieldOf(c.Check(request)); got != "requestId" {
		t.Errorf("a NUL beside the batch is refused for %q", got)
	}
}

// What an update leaves unsaid is not validated, but nothing that it says may hold a NUL.
func TestANULIsRefusedWhereRulesAreLeftToTheHandler(t *testing.T) {
	request := &registryv1.UpdateStationRequest{Station: &registryv1.Station{Id: "\x00"}}
	if got := fieldOf(checker(t, request).Check(request)); got != "station.id" {
		t.Errorf("got %q", got)
	}
}

func TestANULIsRefusedInTheElementsOfAList(t *testing.T) {
	request := &visitsv1.RecordVisitRequest{Visit: &visitsv1.Visit{ResidentIds: []string{"a", "\x00"}}}
	if got := fieldOf(checker(t, request).Check(request)); got != "visit.residentIds[1]" {
		t.Errorf("got %q", got)
	}
}

func TestTextOfWhiteSpaceAloneIsRefused(t *testing.T) {
	for _, blank := range []string{" ", "\n", "\u3000\t"} {
		request := &registryv1.CreateStationRequest{Station: &registryv1.Station{DivisionCode: "460107003", DisplayName: blank, OpenedDate: "2021-05-06"}}
		if got := fieldOf(checker(t, request).Check(request)); got != "station.displayName" {
			t.Errorf("%q: got %q", blank, got)
		}
	}
}

func TestMissingTextIsSaidToBeRequired(t *testing.T) {
	request := &reportingv1.GetWorkSummaryRequest{To: "2021-6-1"}
	err := checker(t, request).Check(request)
	e, ok := errors.AsType[*apierr.Error](err)
	if !ok || len(e.Fields) != 2 {
		t.Fatalf("got %v", err)
	}
	if e.Fields[0].Name != "from" || e.Fields[0].Description != "is required" {
		t.Errorf("of a missing day: %v", e.Fields[0])
	}
	if e.Fields[1].Name != "to" || e.Fields[1].Description == "is required" {
		t.Errorf("of a malformed day: %v", e.Fields[1])
	}
}

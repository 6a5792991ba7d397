package iam_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/apierr"
)

func TestWhatWasDoneIsInTheAuditTrail(t *testing.T) {
	s := setup(t)
	grant := s.grant("wu", "auditor", "")
	list := ok(s.client.ListAuditEvents(s.as("auditor"), &iamv1.ListAuditEventsRequest{Subject: "guard"}))(t)
	if len(list.GetAuditEvents()) == 0 {
		t.Fatal("the trail is empty")
	}
	event := list.GetAuditEvents()[0]
	if event.GetSubject() != "guard" || !strings.Contains(event.GetMethod(), "CreateRoleGrant") || event.GetResourceId() != grant.GetId() {
		t.Errorf("got %v", event)
	}
}

// A role's key is its name.
func TestWhatWasDoneToARoleIsInTheAuditTrailByItsName(t *testing.T) {
	s := setup(t)
	role := reader()
	ok(s.client.CreateRole(s.as("guard"), &iamv1.CreateRoleRequest{Role: role}))(t)
	role.TitleEn = "Watch"
	ok(s.client.UpdateRole(s.as("guard"), &iamv1.UpdateRoleRequest{Role: role, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title_en"}}}))(t)
	ok(s.client.DeleteRole(s.as("guard"), &iamv1.DeleteRoleRequest{Name: role.GetName()}))(t)
	_, err := s.client.DeleteRole(s.as("guard"), &iamv1.DeleteRoleRequest{Name: role.GetName()})
	refused(t, err, apierr.NotFound, "")
	var done []string
	for _, e := range ok(s.client.ListAuditEvents(s.as("auditor"), &iamv1.ListAuditEventsRequest{ResourceId: role.GetName()}))(t).GetAuditEvents() {
		done = append(done, e.GetMethod()[strings.LastIndexByte(e.GetMethod(), '/')+1:]+" "+e.GetOutcome())
	}
	want := []string{"DeleteRole NOT_FOUND", "DeleteRole OK", "UpdateRole OK", "CreateRole OK"}
	if diff := cmp.Diff(want, done); diff != "" {
		t.Error(diff)
	}
}

func TestEventsOfOneMomentAreEachOnOnePage(t *testing.T) {
	s := setup(t)
	s.exec(`INSERT INTO {tenant}.audit_events (at, subject, method, resource_id, outcome)
		SELECT '2021-05-01T00:00:00.123456Z', 'wu', 'Visit', n::text, 'OK' FROM generate_series(1, 5) n`)
	var seen string
	req := &iamv1.ListAuditEventsRequest{PageSize: 2, Subject: "wu"}
	for {
		page := ok(s.client.ListAuditEvents(s.as("auditor"), req))(t)
		for _, e := range page.GetAuditEvents() {
			seen += e.GetResourceId()
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if seen != "54321" {
		t.Errorf("the records are %s", seen)
	}
}

func TestTheAuditTrailIsReadNewestFirstPageByPage(t *testing.T) {
	s := setup(t)
	s.exec(`INSERT INTO {tenant}.audit_events (at, subject, method, resource_id, outcome)
		SELECT '2021-05-01T00:00:00Z'::timestamptz + n * interval '1 hour', 'wu', 'Visit', 'record-' || n % 2, 'OK'
		FROM generate_series(1, 5) n`)
	var hours []int
	req := &iamv1.ListAuditEventsRequest{PageSize: 2, Subject: "wu"}
	for {
		page := ok(s.client.ListAuditEvents(s.as("auditor"), req))(t)
		for _, e := range page.GetAuditEvents() {
			hours = append(hours, e.GetEventTime().AsTime().Hour())
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if len(hours) != 5 || hours[0] != 5 || hours[4] != 1 {
		t.Errorf("got %v", hours)
	}

	at := func(hour int) *timestamppb.Timestamp {
		return timestamppb.New(time.Date(2021, 5, 1, hour, 0, 0, 0, time.UTC))
	}
	for name, tc := range map[string]struct {
		req  *iamv1.ListAuditEventsRequest
		want int
	}{
		"a record":            {&iamv1.ListAuditEventsRequest{ResourceId: "record-1"}, 3},
		"a record of someone": {&iamv1.ListAuditEventsRequest{ResourceId: "record-1", Subject: "wu"}, 3},
		"a record of another": {&iamv1.ListAuditEventsRequest{ResourceId: "record-1", Subject: "guard"}, 0},
		"a period":            {&iamv1.ListAuditEventsRequest{FromTime: at(2), ToTime: at(4)}, 2},
		"someone in a period": {&iamv1.ListAuditEventsRequest{FromTime: at(2), ToTime: at(4), Subject: "wu"}, 2},
		"a record from then":  {&iamv1.ListAuditEventsRequest{FromTime: at(2), ResourceId: "record-1"}, 2},
		"nobody":              {&iamv1.ListAuditEventsRequest{Subject: "nobody"}, 0},
	} {
		if got := ok(s.client.ListAuditEvents(s.as("auditor"), tc.req))(t); len(got.GetAuditEvents()) != tc.want {
			t.Errorf("%s: %d events, want %d", name, len(got.GetAuditEvents()), tc.want)
		}
	}
	_, err := s.client.ListAuditEvents(s.as("auditor"), &iamv1.ListAuditEventsRequest{FromTime: at(4), ToTime: at(4)})
	refused(t, err, apierr.Invalid, "toTime")
	_, err = s.client.ListAuditEvents(s.as("auditor"), &iamv1.ListAuditEventsRequest{PageToken: "forged"})
	refused(t, err, apierr.Invalid, "pageToken")
}

func TestAnAttemptToGrantToOneselfIsInTheAuditTrail(t *testing.T) {
	s := setup(t)
	_, err := s.client.CreateRoleGrant(s.as("guard"), create(&iamv1.RoleGrant{Subject: "guard", Role: "auditor"}))
	refused(t, err, apierr.Denied, "")
	list := ok(s.client.ListAuditEvents(s.as("auditor"), &iamv1.ListAuditEventsRequest{Subject: "guard"}))(t)
	if len(list.GetAuditEvents()) != 1 || list.GetAuditEvents()[0].GetOutcome() != string(apierr.Denied) {
		t.Errorf("got %v", list)
	}
}

func TestOnlyAnAuditorReadsTheAuditTrail(t *testing.T) {
	s := setup(t)
	for _, subject := range []string{"guard", "chief", "stranger"} {
		_, err := s.client.ListAuditEvents(s.as(subject), &iamv1.ListAuditEventsRequest{})
		refused(t, err, apierr.Denied, "")
	}
}

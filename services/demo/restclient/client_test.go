package restclient_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	registryv1 "circle15.dev/api/registry/v1"
	reportingv1 "circle15.dev/api/reporting/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/services/demo/restclient"
)

type seen struct{ Call, Key, Token, Body string }

// platform answers every call by the script, which is used up from the front, and tells what it saw.
func platform(t *testing.T, script ...func(http.ResponseWriter)) (*restclient.Client, *[]seen) {
	t.Helper()
	calls := &[]seen{}
	var mu sync.Mutex // a repeated call may come over another connection
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		*calls = append(*calls, seen{r.Method + " " + r.URL.String(), r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization"), string(body)})
		if len(script) > 0 {
			script[0](w)
			script = script[1:]
			return
		}
		_, _ = io.WriteString(w, `{"id":"n1"}`)
	}))
	t.Cleanup(server.Close)
	return &restclient.Client{Base: server.URL, Token: "secret", HTTP: server.Client()}, calls
}

func TestARequestGoesWhereTheContractSays(t *testing.T) {
	tests := []struct {
		request proto.Message
		want    seen
	}{
		{
			&registryv1.CreateStationRequest{Station: &registryv1.Station{DisplayName: "站"}, RequestId: "k"},
			seen{"POST /v1/stations", "k", "Bearer secret", `{"displayName":"站"}`},
		},
		{
			&registryv1.MeetNeedRequest{Id: "n1", MetDate: "2021-08-25", RequestId: "k"},
			seen{"POST /v1/needs/n1:meet", "k", "Bearer secret", `{"metDate":"2021-08-25"}`},
		},
		{
			&visitsv1.UpdateVisitRequest{
				Visit: &visitsv1.Visit{Id: "a b", PersonsServed: 2}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"persons_served", "findings"}},
			},
			seen{"PATCH /v1/visits/a%20b?updateMask=persons_served%2Cfindings", "", "Bearer secret", `{"personsServed":2}`},
		},
		{
			&reportingv1.GetWorkSummaryRequest{From: "2021-05-01", To: "2021-10-01", GroupBy: []string{"station", "month"}},
			seen{"GET /v1/reports/workSummary?from=2021-05-01&groupBy=station&groupBy=month&to=2021-10-01", "", "Bearer secret", ""},
		},
		{
			&visitsv1.ListVisitsRequest{PageSize: 5, State: visitsv1.VisitState_VISIT_STATE_PLANNED},
			seen{"GET /v1/visits?pageSize=5&state=VISIT_STATE_PLANNED", "", "Bearer secret", ""},
		},
	}
	for _, test := range tests {
		client, calls := platform(t)
		before := proto.Clone(test.request)
		if err := client.Call(t.Context(), test.request, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]seen{test.want}, *calls, cmp.Transformer("json", compact)); diff != "" {
			t.Error(diff)
		}
		if !proto.Equal(before, test.request) {
			t.Error("the request was changed")
		}
	}
}

// compact takes the space out that protojson adds at random.
func compact(s seen) string {
	body := ""
	for i, r := range s.Body {
		if r != ' ' || i == 0 {
			body += string(r)
		}
	}
	return fmt.Sprint(s.Call, s.Key, s.Token, body)
}

func TestAnAnswerIsReadIntoTheReply(t *testing.T) {
	client, _ := platform(t)
	var need registryv1.Need
	if err := client.Call(t.Context(), &registryv1.GetNeedRequest{Id: "n1"}, &need); err != nil || need.GetId() != "n1" {
		t.Errorf("got %v, %v", &need, err)
	}
}

func TestARequestWithoutItsPathParameterIsNotSent(t *testing.T) {
	client, calls := platform(t)
	if err := client.Call(t.Context(), &registryv1.GetNeedRequest{}, nil); err == nil || len(*calls) > 0 {
		t.Errorf("got %v after %d calls", err, len(*calls))
	}
}

func refuse(status int, document string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, document)
	}
}

func TestARefusalIsOneSentenceWithTheDetail(t *testing.T) {
	client, _ := platform(t, refuse(400, `{"type":"https://circle15.dev/problems/invalid-argument","title":"The request is not valid",
		"detail":"need.domain: is unknown","errors":[{"field":"need.domain","message":"is unknown"}]}`))
	err := client.Call(t.Context(), &registryv1.CreateNeedRequest{Need: &registryv1.Need{}}, nil)
	var problem *restclient.Problem
	if !errors.As(err, &problem) || problem.Kind() != "invalid-argument" || problem.Fields[0].Field != "need.domain" {
		t.Fatalf("got %#v", err)
	}
	if want := "POST /v1/needs was answered 400: need.domain: is unknown"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestAWriteWithAKeyIsRepeatedWhileThePlatformIsAway(t *testing.T) {
	away := refuse(503, `{"detail":"starting"}`)
	hangUp := func(w http.ResponseWriter) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		_ = conn.Close()
	}
	client, calls := platform(t, away, hangUp, away)
	client.Patience = time.Minute
	if err := client.Call(t.Context(), &registryv1.MeetNeedRequest{Id: "n1", RequestId: "k"}, nil); err != nil || len(*calls) != 4 {
		t.Errorf("got %v after %d calls", err, len(*calls))
	}
}

func TestAWriteWithoutAKeyIsNotRepeated(t *testing.T) {
	client, calls := platform(t, refuse(503, `{}`))
	client.Patience = time.Minute
	if err := client.Call(t.Context(), &registryv1.MeetNeedRequest{Id: "n1"}, nil); err == nil || len(*calls) != 1 {
		t.Errorf("got %v after %d calls", err, len(*calls))
	}
}

func TestARefusalIsNotRepeated(t *testing.T) {
	for _, refusal := range []func(http.ResponseWriter){
		refuse(400, `{"detail":"metDate: is no day"}`),
		refuse(409, `{"type":"https://circle15.dev/problems/conflict","detail":"the need was met before"}`),
	} {
		client, calls := platform(t, refusal)
		client.Patience = time.Minute
		if err := client.Call(t.Context(), &registryv1.MeetNeedRequest{Id: "n1", RequestId: "k"}, nil); err == nil || len(*calls) != 1 {
			t.Errorf("got %v after %d calls", err, len(*calls))
		}
	}
}

func TestARequestWhoseTwinIsRunningIsRepeated(t *testing.T) {
	running := refuse(409, `{"type":"https://circle15.dev/problems/request-in-flight","detail":"the first request is still running"}`)
	client, calls := platform(t, running, running)
	client.Patience = time.Minute
	if err := client.Call(t.Context(), &registryv1.MeetNeedRequest{Id: "n1", RequestId: "k"}, nil); err != nil || len(*calls) != 3 {
		t.Errorf("got %v after %d calls", err, len(*calls))
	}
}

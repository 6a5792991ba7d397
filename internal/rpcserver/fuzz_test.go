package rpcserver_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"circle15.dev/internal/rpcserver"
)

// FuzzNoBodyIsAServerError sends any bytes as the body of a write.
func FuzzNoBodyIsAServerError(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", goodStation, `{"guardian":{"name":5}}`, `{"categories":["a",{}]}`, `{"a":1,"a":2}`, "[]", `"x"`, "{\"phone\":\"\\ud800\"}",
		`{"registered":1e400}`, `{"createTime":"10000-01-01T00:00:00Z"}`, `{"createTime":{"seconds":1}}`, strings.Repeat(`{"guardian":`, 40),
		"\xff", "{\"\x00\":1}", `{"disabilityDegree":"1"}`, `{"legalBasis":99999}`, goodStation + " x",
	} {
		f.Add([]byte(seed))
	}
	handler := newHandler(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/v1/residents", "/v1/needs/" + someID + ":meet", "/v1/visits:sync"} {
			request := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
			request.Header.Set("Content-Type", "application/json")
			checkAnswer(t, handler, request)
		}
		request := httptest.NewRequest(http.MethodPatch, stations+"/"+someID, bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		checkAnswer(t, handler, request)
	})
}

// FuzzNoTargetIsAServerError sends any path and query.
func FuzzNoTargetIsAServerError(f *testing.F) {
	for path, query := range map[string]string{
		stations: "pageSize=5&pageToken=x", stations + "/" + someID: "", "/v1/needs": "state=NEED_STATE_OPEN", "/v1/needs/x:meet": "a=b",
		"/v1/residents": "category=%00", "/%2f": "%ff=%ff", "/v1/reports/workSummary": "groupBy=station&groupBy=month", "//": ";", "/v1/stations/:": "=",
	} {
		f.Add(path, query)
	}
	handler := newHandler(f)
	f.Fuzz(func(t *testing.T, path, query string) {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.URL = &url.URL{Path: "/" + strings.TrimPrefix(path, "/"), RawQuery: query}
		request.RequestURI = request.URL.RequestURI()
		checkAnswer(t, handler, request)
	})
}

func newHandler(f *testing.F) http.Handler {
	f.Helper()
	server, err := rpcserver.New(options(echoing()))
	if err != nil {
		f.Fatal(err)
	}
	return server.Handler()
}

// checkAnswer wants an answer that is no server error and, where it is a refusal for a field, names it. Methods that
// the service without a database does not have answer 501.
func checkAnswer(t *testing.T, handler http.Handler, request *http.Request) {
	t.Helper()
	request.Header.Set("Authorization", "Bearer "+goodToken)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	if answer.Code >= 500 && answer.Code != http.StatusNotImplemented {
		t.Fatalf("%s %s: status %d: %s", request.Method, request.URL, answer.Code, answer.Body)
	}
	if answer.Code != http.StatusBadRequest {
		return
	}
	var p problem
	if err := json.Unmarshal(answer.Body.Bytes(), &p); err != nil || len(p.Errors) == 0 || p.Errors[0].Field == "" {
		t.Fatalf("%s %s: names no field: %s", request.Method, request.URL, answer.Body)
	}
}

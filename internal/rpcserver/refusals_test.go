package rpcserver_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	registryv1 "circle15.dev/api/registry/v1"
)

const goodStation = `{"divisionCode":"460107003","displayName":"滨江街道社工站","openedDate":"2021-05-01"}`

// refusal is a REST request and what its problem document must say.
type refusal struct {
	method, path, body string
	headers            headers
	status             int
	kind               string // last segment of the problem's type
	field              string // of the first error; empty for none
	says               string // part of the detail
}

var stations = "/v1/stations"

var refusals = map[string]refusal{
	// Routes.
	"an unknown path":              {path: "/v1/nothing", status: 404, kind: "not-found"},
	"an unknown path of no API":    {path: "/favicon.ico", status: 404, kind: "not-found"},
	"a trailing slash":             {path: stations + "/", status: 404, kind: "not-found"},
	"a doubled slash":              {path: "//v1/stations", status: 404, kind: "not-found"},
	"dots":                         {path: "/v1/../v1/stations", status: 404, kind: "not-found"},
	"an unknown verb":              {method: "POST", path: "/v1/needs/" + someID + ":eat", body: "{}", status: 404, kind: "not-found"},
	"a verb of another collection": {method: "POST", path: stations + "/" + someID + ":meet", body: "{}", status: 404, kind: "not-found"},
	"a method of another path":     {method: "DELETE", path: stations, status: 405, kind: "method-not-allowed", says: "GET, HEAD, POST"},
	"an unknown method":            {method: "BREW", path: stations, status: 405, kind: "method-not-allowed"},
	"a get of a custom method":     {path: "/v1/needs/" + someID + ":meet", status: 405, kind: "method-not-allowed", says: "POST"},
	"writing a page":               {method: "POST", path: "/healthz", body: "{}", status: 405, kind: "method-not-allowed"},
	"a method override": {
		method: "POST", path: stations + "/" + someID, body: "{}", headers: headers{"X-HTTP-Method-Override": "GET"},
		status: 405, kind: "method-not-allowed",
	},
	"a get hidden in a form": {
		method: "POST", path: stations + "/" + someID, body: "x=y", headers: headers{"Content-Type": "application/x-www-form-urlencoded"},
		status: 405, kind: "method-not-allowed",
	},

	// Query.
	"an unknown parameter":                 {path: stations + "?color=red", status: 400, field: "color"},
	"a parameter where none is taken":      {path: stations + "/" + someID + "?pageSize=1", status: 400, field: "pageSize"},
	"a path's parameter in the query":      {path: stations + "/" + someID + "?id=" + someID, status: 400, field: "id"},
	"a body's field in the query":          {method: "POST", path: stations + "?station.phone=1", body: goodStation, status: 400, field: "station.phone"},
	"a singular parameter twice":           {path: stations + "?pageSize=1&pageSize=2", status: 400, field: "pageSize"},
	"a parameter by both its names":        {path: stations + "?pageSize=1&page_size=2", status: 400, field: "pageSize"},
	"text for a number":                    {path: stations + "?pageSize=many", status: 400, field: "pageSize", says: "must be an integer"},
	"nothing for a number":                 {path: stations + "?pageSize=", status: 400, field: "pageSize"},
	"a number too large":                   {path: stations + "?pageSize=99999999999", status: 400, field: "pageSize"},
	"a number out of its range":            {path: stations + "?pageSize=501", status: 400, field: "pageSize"},
	"a negative number":                    {path: stations + "?page_size=-1", status: 400, field: "pageSize"},
	"an unknown name of an enum":           {path: "/v1/needs?state=SLEEPING", status: 400, field: "state", says: "must be one of"},
	"an unknown number of an enum":         {path: "/v1/needs?state=99", status: 400, field: "state"},
	"a pattern not met":                    {path: stations + "?divisionCode=46", status: 400, field: "divisionCode"},
	"a query that is not UTF-8":            {path: stations + "?divisionCode=%ff", status: 400, field: "divisionCode", says: "must be UTF-8"},
	"a NUL in the query":                   {path: stations + "?pageToken=a%00", status: 400, field: "pageToken", says: "NUL"},
	"a bad escape in the query":            {path: stations + "?pageSize=%zz", status: 400, field: "query"},
	"a semicolon in the query":             {path: stations + "?a=b;c=d", status: 400, field: "query"},
	"a parameter of a very long name":      {path: stations + "?" + strings.Repeat("x", 300) + "=1", status: 400, field: strings.Repeat("x", 100) + "…"},
	"a wrong path parameter":               {path: stations + "/1", status: 400, field: "id", says: "UUID"},
	"a path parameter that is not UTF-8":   {path: stations + "/%ff", status: 400, field: "id"},
	"a NUL in the path":                    {path: stations + "/%00", status: 400, field: "id"},
	"a slash in a path parameter":          {path: stations + "/a%2Fb", status: 400, field: "id"},
	"a wrong path parameter of a resource": {method: "PATCH", path: stations + "/1", body: "{}", status: 200},

	// Bodies.
	"no body":                      {method: "POST", path: stations, status: 400, field: "station"},
	"null":                         {method: "POST", path: stations, body: "null", status: 400, field: "station"},
	"no JSON":                      {method: "POST", path: stations, body: "hello", status: 400, field: "body", says: "is not JSON"},
	"half a JSON":                  {method: "POST", path: stations, body: `{"phone":`, status: 400, field: "body", says: "is not JSON"},
	"more after the JSON":          {method: "POST", path: stations, body: goodStation + "{}", status: 400, field: "body"},
	"an array":                     {method: "POST", path: stations, body: "[]", status: 400, field: "body", says: "must be an object"},
	"an unknown field":             {method: "POST", path: stations, body: `{"colour":1}`, status: 400, field: "station.colour"},
	"an unknown field of all":      {method: "POST", path: "/v1/needs/" + someID + ":meet", body: `{"colour":1}`, status: 400, field: "colour"},
	"a number for text":            {method: "POST", path: stations, body: `{"phone":5}`, status: 400, field: "station.phone", says: "must be a string"},
	"text for a truth":             {method: "POST", path: "/v1/residents", body: `{"registered":"yes"}`, status: 400, field: "resident.registered"},
	"text for an integer":          {method: "POST", path: "/v1/residents", body: `{"disabilityDegree":"x"}`, status: 400, field: "resident.disabilityDegree"},
	"a fraction for an integer":    {method: "POST", path: "/v1/residents", body: `{"disabilityDegree":1.5}`, status: 400, field: "resident.disabilityDegree"},
	"an unknown enum in the body":  {method: "POST", path: "/v1/residents", body: `{"sex":"SEX_X"}`, status: 400, field: "resident.sex", says: "SEX_FEMALE"},
	"an object for a list":         {method: "POST", path: "/v1/residents", body: `{"categories":{}}`, status: 400, field: "resident.categories"},
	"a wrong element of a list":    {method: "POST", path: "/v1/residents", body: `{"categories":["a",2]}`, status: 400, field: "resident.categories[1]"},
	"text for an object":           {method: "POST", path: "/v1/residents", body: `{"guardian":"x"}`, status: 400, field: "resident.guardian"},
	"an unknown field deep inside": {method: "POST", path: "/v1/residents", body: `{"guardian":{"age":1}}`, status: 400, field: "resident.guardian.age"},
	"a field given twice":          {method: "POST", path: stations, body: `{"phone":"1","phone":"2"}`, status: 400, field: "station.phone", says: "more than once"},
	"a field by both its names":    {method: "POST", path: stations, body: `{"displayName":"1","display_name":"2"}`, status: 400, field: "station.displayName"},
	"half a surrogate pair":        {method: "POST", path: stations, body: `{"phone":"\ud800"}`, status: 400, field: "station.phone"},
	"a NUL in the body":            {method: "POST", path: stations, body: strings.Replace(goodStation, "滨江", `a\u0000`, 1), status: 400, field: "station.displayName"},
	"a body that is not UTF-8":     {method: "POST", path: stations, body: "{\"phone\":\"\xff\"}", status: 400, field: "body", says: "UTF-8"},
	"a broken rule":                {method: "POST", path: stations, body: `{"divisionCode":"1"}`, status: 400, field: "station.divisionCode"},
	"a missing field":              {method: "POST", path: "/v1/needs/" + someID + ":meet", body: `{}`, status: 400, field: "metDate"},
	"a list with equal elements":   {method: "POST", path: "/v1/residents", body: `{"categories":["a","a"]}`, status: 400, field: "resident.householdId"},
	"a body that contradicts the path": {
		method: "PATCH", path: stations + "/" + someID, body: `{"id":"` + otherID + `"}`, status: 400, field: "station.id",
	},
	"a body of all that contradicts the path": {
		method: "POST", path: "/v1/needs/" + someID + ":meet", body: `{"id":"` + otherID + `"}`, status: 400, field: "id",
	},
	"a body where none is taken": {path: stations, body: "{}", status: 400, field: "body"},
	"a body nested too deep":     {method: "POST", path: stations, body: strings.Repeat("[", 33) + strings.Repeat("]", 33), status: 400, field: "body", says: "32 levels"},
	"a body of millions of brackets": {
		method: "POST", path: stations, body: strings.Repeat("[", 3<<20), status: 400, field: "body", says: "32 levels",
	},
	"a body too large": {
		method: "POST", path: stations, body: `{"phone":"` + strings.Repeat("x", 4<<20) + `"}`, status: 413, kind: "request-too-large", field: "body",
	},
	"a form": {
		method: "POST", path: stations, body: "a=b", headers: headers{"Content-Type": "application/x-www-form-urlencoded"},
		status: 415, kind: "unsupported-media-type",
	},
	"no media type": {
		method: "POST", path: stations, body: goodStation, headers: headers{"Content-Type": ""}, status: 415, kind: "unsupported-media-type",
	},
	"another charset": {
		method: "POST", path: stations, body: goodStation, headers: headers{"Content-Type": "application/json; charset=gbk"},
		status: 415, kind: "unsupported-media-type",
	},
	"a compressed body": {
		method: "POST", path: stations, body: goodStation, headers: headers{"Content-Encoding": "gzip"}, status: 415, kind: "unsupported-media-type",
	},

	// Headers and sizes.
	"a very long target":     {path: stations + "?pageToken=" + strings.Repeat("x", 8<<10), status: 414, kind: "uri-too-long"},
	"very long headers":      {path: stations, headers: headers{"X-Long": strings.Repeat("x", 33<<10)}, status: 431, kind: "header-too-large"},
	"an empty key":           {method: "POST", path: stations, body: goodStation, headers: headers{"Idempotency-Key": " "}, status: 400, field: "Idempotency-Key"},
	"a very long key":        {method: "POST", path: stations, body: goodStation, headers: headers{"Idempotency-Key": strings.Repeat("k", 256)}, status: 400, field: "Idempotency-Key"},
	"a key that is not text": {method: "POST", path: stations, body: goodStation, headers: headers{"Idempotency-Key": "钥"}, status: 400, field: "Idempotency-Key"},
	"an etag that is no text": {
		method: "PATCH", path: stations + "/" + someID, body: "{}", headers: headers{"If-Match": "\"\xe9\""}, status: 400, field: "If-Match",
	},

	// Who calls.
	"no token": {path: stations, headers: headers{"Authorization": ""}, status: 401, kind: "unauthenticated"},
	"no token, and no number": {
		path: stations + "?pageSize=many", headers: headers{"Authorization": ""}, status: 401, kind: "unauthenticated",
	},
	"no token, and no JSON": {
		method: "POST", path: stations, body: "hello", headers: headers{"Authorization": ""}, status: 401, kind: "unauthenticated",
	},
	"a bad token, and a wrong field": {
		method: "POST", path: stations, body: `{"phone":5}`, headers: headers{"Authorization": "Bearer bad"}, status: 401, kind: "unauthenticated",
	},
	"another scheme":              {path: stations, headers: headers{"Authorization": "Basic Zm9v"}, status: 401, kind: "unauthenticated"},
	"a scheme without a token":    {path: stations, headers: headers{"Authorization": "Bearer "}, status: 401, kind: "unauthenticated"},
	"a bad token":                 {path: stations, headers: headers{"Authorization": "Bearer bad"}, status: 401, kind: "unauthenticated"},
	"a token of no tenant":        {path: stations, headers: headers{"Authorization": "Bearer " + noneToken}, status: 403, kind: "permission-denied"},
	"a token of several tenants":  {path: stations, headers: headers{"Authorization": "Bearer " + bothToken}, status: 400, field: "Circle15-Tenant"},
	"another tenant than granted": {path: stations, headers: headers{"Circle15-Tenant": "sanya"}, status: 403, kind: "permission-denied"},
}

func TestABadRequestIsRefusedByAProblemThatNamesTheField(t *testing.T) {
	s := start(t, options(echoing()))
	for name, tt := range refusals {
		t.Run(name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = http.MethodGet
			}
			got := s.send(tt.method, tt.path, tt.body, tt.headers)
			if got.status != tt.status {
				t.Fatalf("status %d, want %d: %s", got.status, tt.status, got.body)
			}
			if tt.status == http.StatusOK {
				return
			}
			if tt.kind == "" {
				tt.kind = "invalid-argument"
			}
			p := got.problem(t)
			if want := "https://circle15.dev/problems/" + tt.kind; p.Type != want {
				t.Errorf("type %s, want %s", p.Type, want)
			}
			if p.Title == "" || p.Detail == "" || !strings.HasPrefix(p.Instance, "urn:trace:") && tt.path != "/healthz" {
				t.Errorf("incomplete problem: %s", got.body)
			}
			if tt.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != tt.field || p.Errors[0].Message == "") {
				t.Errorf("errors %v, want the field %q first", p.Errors, tt.field)
			}
			if !strings.Contains(p.Detail, tt.says) {
				t.Errorf("detail %q, want %q in it", p.Detail, tt.says)
			}
		})
	}
}

func TestARefusalSaysWhatIsAllowed(t *testing.T) {
	s := start(t, options(echoing()))
	if allow := s.send("DELETE", stations, "", nil).header.Get("Allow"); allow != "GET, HEAD, POST" {
		t.Errorf("Allow %q", allow)
	}
	for token, want := range map[string]string{"": `Bearer realm="circle15"`, "Bearer bad": `Bearer realm="circle15", error="invalid_token"`} {
		if got := s.send("GET", stations, "", headers{"Authorization": token}).header.Get("WWW-Authenticate"); got != want {
			t.Errorf("token %q: WWW-Authenticate %q, want %q", token, got, want)
		}
	}
}

func TestEveryFaultOfARequestIsNamedAtOnce(t *testing.T) {
	s := start(t, options(echoing()))
	p := s.send("POST", stations, `{"divisionCode":"1","phone":"`+strings.Repeat("5", 40)+`"}`, nil).problem(t)
	fields := make([]string, 0, len(p.Errors))
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
	}
	for _, want := range []string{"station.divisionCode", "station.displayName", "station.openedDate", "station.phone"} {
		if !slices.Contains(fields, want) {
			t.Errorf("%v does not name %s", fields, want)
		}
	}
}

func TestARefusedRequestReachesNoService(t *testing.T) {
	service := echoing()
	reached := false
	service.createStation = func(context.Context, *registryv1.CreateStationRequest) (*registryv1.Station, error) {
		reached = true
		return &registryv1.Station{}, nil
	}
	s := start(t, options(service))
	for name, tt := range refusals {
		if tt.method == http.MethodPost && tt.path == stations {
			s.send(tt.method, tt.path, tt.body, tt.headers)
			if reached {
				t.Fatalf("%s: the service was called", name)
			}
		}
	}
	if s.send("POST", stations, goodStation, nil); !reached {
		t.Fatal("a good request did not reach the service")
	}
}

func TestABodyLargerThanAnnouncedOrWithoutALengthIsBounded(t *testing.T) {
	s := start(t, options(echoing()))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.HTTPAddr()+stations, &endless{left: 5 << 20})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+goodToken)
	r.Header.Set("Content-Type", "application/json")
	if got := s.do(r); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

func TestALargeBodyOfAnUnknownCallerIsNotRead(t *testing.T) {
	s := start(t, options(echoing()))
	for name, token := range map[string]string{"no token": "", "a bad token": "Bearer bad"} {
		body := &endless{left: 1 << 40}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.HTTPAddr()+stations, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header["Authorization"] = []string{token}
		if got := s.do(r); got.status != http.StatusUnauthorized {
			t.Errorf("%s: status %d: %s", name, got.status, got.body)
		}
	}
}

// A search without a bound would name the element.
func TestTheSearchForAWrongFieldIsBounded(t *testing.T) {
	s := start(t, options(echoing()))
	body := `{"categories":[` + strings.Repeat(`"a",`, 1<<19) + `1]}`
	if p := s.send("POST", "/v1/residents", body, nil).problem(t); p.Errors[0].Field != "resident.categories" {
		t.Errorf("errors %v", p.Errors)
	}
}

// endless is a body of spaces whose length net/http does not know.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left -= len(p); e.left < 0 {
		return 0, io.EOF
	}
	copy(p, bytes.Repeat([]byte{' '}, len(p)))
	return len(p), nil
}

func TestMalformedHTTPIsA4xx(t *testing.T) {
	s := start(t, options(echoing()))
	for name, text := range map[string]string{
		"no HTTP":             "hello\r\n\r\n",
		"a bad escape":        "GET /v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"a bad version":       "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
		"no host":             "GET / HTTP/1.1\r\n\r\n",
		"two lengths":         "POST /v1/stations HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
		"endless headers":     "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"an asterisk":         "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"an authority":        "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\nConnection: close\r\n\r\n",
		"an absolute target":  "GET http://other/v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"a body cut in half":  "POST /v1/stations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: -5\r\n\r\n{",
		"a chunk of no size":  "POST /v1/stations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
		"an unknown encoding": "POST /v1/stations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			answer := s.raw(text)
			if !strings.HasPrefix(answer, "HTTP/1.1 4") && !strings.HasPrefix(answer, "HTTP/1.1 505") && !strings.HasPrefix(answer, "HTTP/1.1 501") {
				t.Errorf("answer %.200q", answer)
			}
		})
	}
}

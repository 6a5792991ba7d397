package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"circle15.dev/internal/ids"
	"circle15.dev/services/demo/restclient"
)

// TestNoRouteTakesBadInput spoils a good request of every route in every way that its descriptors tell, one at a time. Every
// answer is a problem document with a status of the client's fault, and nothing changes.
func TestNoRouteTakesBadInput(t *testing.T) {
	f, sent := newBadInput(t), 0
	for _, b := range f.bindings {
		t.Run(nameOf(b.rpc), func(t *testing.T) {
			cases := f.casesOf(t, b)
			sent += len(cases)
			before := f.reader.read(t)
			for _, c := range cases {
				kind := f.check(t, c)
				if c.wire.method == b.method && c.wire.suffix == "" { // otherwise it is another route that answers
					f.promises.keep(t, nameOf(b.rpc), c.name, kind)
				}
			}
			if changed := f.reader.changed(t, before); len(changed) > 0 {
				t.Errorf("bad requests changed %s", strings.Join(changed, "; "))
			}
		})
	}
	t.Logf("%d bad requests on %d routes", sent, len(f.bindings))
}

// badInput is what the tests of bad input share.
type badInput struct {
	w            *world
	bindings     []binding
	reader       *contentReader
	token        string            // of who may do everything in the tenant
	foreignToken string            // of the same in the other tenant
	pages        map[string]string // a page token of one list, by the name of its RPC
	methodsOf    map[string][]string
	promises     promises
}

func newBadInput(t *testing.T) *badInput {
	t.Helper()
	w := newWorld(t)
	f := &badInput{
		w: w, bindings: bindings(t), reader: readerOf(t, w.tenant, w.stranger), token: w.p.token(t, mighty, w.tenant),
		foreignToken: w.p.token(t, mighty, w.stranger), pages: map[string]string{}, methodsOf: map[string][]string{},
		promises: readPromises(t),
	}
	for _, b := range f.bindings {
		path := templateParam.ReplaceAllString(b.template, "{}")
		f.methodsOf[path] = append(f.methodsOf[path], b.method)
		if name := nameOf(b.rpc); name == "registry.ListStations" || name == "registry.ListNeeds" {
			first := f.good(t, b)
			first.query.Set("pageSize", "1")
			var page struct{ NextPageToken string }
			if a := first.send(t, w.p.rest); json.Unmarshal(a.body, &page) != nil || page.NextPageToken == "" {
				t.Fatalf("%s gave no page token: %s", name, a.body)
			}
			f.pages[name] = page.NextPageToken
		}
	}
	return f
}

// good is a request of the route that would be taken.
func (f *badInput) good(t *testing.T, b binding) wire {
	t.Helper()
	example, ok := samples[nameOf(b.rpc)]
	if !ok {
		t.Fatalf("samples has no request for %s", nameOf(b.rpc))
	}
	return wireOf(t, b, example.about(f.w.own), f.token)
}

func (f *badInput) casesOf(t *testing.T, b binding) []badCase {
	t.Helper()
	g := &badness{b: b, good: f.good(t, b), foreign: f.w.foreign}
	g.inParams()
	g.inQuery()
	g.inBody()
	g.asText()
	f.asPages(g)
	f.asRoute(g)
	f.asCaller(g)
	g.asHeaders()
	return g.cases
}

// asText spoils the body as a whole.
func (g *badness) asText() {
	text := func(status int, field, name, body string) {
		g.add(status, field, name, func(w *wire) { w.raw = []byte(body) })
	}
	if g.b.body == nil {
		text(http.StatusBadRequest, "body", "a body where none is taken", "{}")
		return
	}
	text(http.StatusBadRequest, "body", "half a JSON", `{"a":`)
	text(http.StatusBadRequest, "body", "no JSON", "hello")
	text(http.StatusBadRequest, "body", "NaN", `{"a":NaN}`)
	text(http.StatusBadRequest, "body", "more after the JSON", "{} {}")
	text(http.StatusBadRequest, "body", "a list", "[]")
	text(http.StatusBadRequest, "body", "text", `"x"`)
	text(http.StatusBadRequest, "body", "no UTF-8", "{\"a\":\"\xff\"}")
	text(http.StatusBadRequest, "body", "nested deep", strings.Repeat(`{"a":`, 100)+"1"+strings.Repeat("}", 100))
	text(http.StatusBadRequest, "body", "nested very deep", strings.Repeat("[", 1<<20))
	text(http.StatusRequestEntityTooLarge, "body", "more than 4 MiB", `{"a":"`+strings.Repeat("x", 4<<20)+`"}`)
	for _, mediaType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/xml", "application/json; charset=gbk"} {
		g.add(http.StatusUnsupportedMediaType, "", fmt.Sprintf("the media type %q", mediaType), func(w *wire) { w.header["Content-Type"] = []string{mediaType} })
	}
	g.add(http.StatusUnsupportedMediaType, "", "a compressed body", func(w *wire) { w.header.Set("Content-Encoding", "gzip") })
}

// asPages spoils the page token of a list.
func (f *badInput) asPages(g *badness) {
	if g.b.rpc.Input().Fields().ByName("page_token") == nil {
		return
	}
	other := "registry.ListStations"
	if nameOf(g.b.rpc) == other {
		other = "registry.ListNeeds"
	}
	for what, token := range map[string]string{
		"forged": "forged", "base64": "Zm9yZ2VkIGZvcmdlZCBmb3JnZWQgZm9yZ2VkIGZvcmdlZA", "of another list": f.pages[other], "an id": ids.New().String(),
	} {
		g.add(http.StatusBadRequest, "pageToken", "a page token "+what, func(w *wire) { w.query.Set("pageToken", token) })
	}
	if own := f.pages[nameOf(g.b.rpc)]; own != "" {
		g.add(http.StatusBadRequest, "pageToken", "a page token changed", func(w *wire) {
			w.query.Set("pageToken", string([]byte{own[0] ^ 1})+own[1:])
		})
	}
	if token := f.pages["registry.ListNeeds"]; nameOf(g.b.rpc) == "registry.ListNeeds" {
		g.add(http.StatusBadRequest, "pageToken", "a page token of another filter", func(w *wire) {
			w.query.Set("pageToken", token)
			w.query.Set("domain", "child_welfare")
		})
		g.add(http.StatusBadRequest, "pageToken", "a page token of another tenant", func(w *wire) {
			w.query.Set("pageToken", token)
			w.header.Set("Authorization", "Bearer "+f.foreignToken)
		})
	}
}

// asRoute takes other methods and paths.
func (f *badInput) asRoute(g *badness) {
	taken := f.methodsOf[templateParam.ReplaceAllString(g.b.template, "{}")]
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} {
		if !slices.Contains(taken, method) {
			g.add(http.StatusMethodNotAllowed, "", "the method "+method, func(w *wire) { w.method = method })
		}
	}
	g.add(http.StatusNotFound, "", "a path below", func(w *wire) { w.suffix = "/nothing/at/all" })
	g.add(http.StatusNotFound, "", "an unknown verb", func(w *wire) { w.suffix = ":nothing" })
	g.add(http.StatusNotFound, "", "a slash at the end", func(w *wire) { w.suffix = "/" })
}

// asCaller comes with another token or none.
func (f *badInput) asCaller(g *badness) {
	g.add(http.StatusUnauthorized, "", "no token", func(w *wire) { w.header.Del("Authorization") })
	g.add(http.StatusUnauthorized, "", "a garbage token", func(w *wire) { w.header.Set("Authorization", "Bearer garbage") })
	g.add(http.StatusUnauthorized, "", "a changed token", func(w *wire) { w.header.Set("Authorization", "Bearer "+f.token+"x") })
	g.add(http.StatusUnauthorized, "", "another scheme", func(w *wire) { w.header.Set("Authorization", "Basic "+f.token) })
	g.add(http.StatusForbidden, "", "a tenant that the token does not name", func(w *wire) { w.header.Set("Circle15-Tenant", string(f.w.stranger)) })
	if params := g.b.params(); len(params) > 0 && params[0] != "measure" {
		g.add(http.StatusNotFound, "", "a token of another tenant", func(w *wire) { w.header.Set("Authorization", "Bearer "+f.foreignToken) })
	}
}

// asHeaders spoils the preconditions and the idempotency key.
func (g *badness) asHeaders() {
	if takesETag(g.b) {
		g.add(http.StatusPreconditionFailed, "If-Match", "a stale If-Match", func(w *wire) { w.header.Set("If-Match", `"99999"`) })
		g.add(http.StatusBadRequest, "If-Match", "a malformed If-Match", func(w *wire) { w.header.Set("If-Match", "99999") })
		stale := `"99999"`
		g.add(http.StatusPreconditionFailed, g.b.inRequest("etag"), "a stale etag", func(w *wire) {
			if w.body == nil {
				w.query.Set("etag", stale)
				return
			}
			w.body["etag"] = stale
		})
	}
	if g.b.writes() {
		for what, key := range map[string]string{"empty": "", "too long": strings.Repeat("k", 129), "no ASCII": "钥匙"} {
			g.add(http.StatusBadRequest, "Idempotency-Key", "an idempotency key, "+what, func(w *wire) { w.header["Idempotency-Key"] = []string{key} })
		}
	}
}

// takesETag says whether the route changes a record that has a revision.
func takesETag(b binding) bool {
	if !b.writes() {
		return false
	}
	if b.rpc.Input().Fields().ByName("etag") != nil {
		return true
	}
	return b.method == http.MethodPatch && b.body.Fields().ByName(protoreflect.Name("etag")) != nil
}

// check sends the request, reads the answer as a client would, and returns the kind of the error.
func (f *badInput) check(t *testing.T, c badCase) (kind string) {
	t.Helper()
	a := c.wire.send(t, f.w.p.rest)
	p, err := a.problem()
	switch {
	case err != nil:
		t.Errorf("%s: %v", c.name, err)
	case a.status != c.status:
		t.Errorf("%s: is answered %d, want %d: %s", c.name, a.status, c.status, a.body)
	case c.field != "" && !p.names(c.field):
		t.Errorf("%s: the answer does not name %s: %s", c.name, c.field, a.body)
	}
	return p.kind()
}

// problemDocument is RFC 9457's, with the fields at fault.
type problemDocument struct {
	Type, Title, Detail string
	Status              int
	Errors              []restclient.FieldProblem
}

// kind is the kind of the error, from the last segment of the problem's type.
func (p problemDocument) kind() string {
	return strings.ToUpper(strings.ReplaceAll(p.Type[strings.LastIndexByte(p.Type, '/')+1:], "-", "_"))
}

func (p problemDocument) names(field string) bool {
	return slices.ContainsFunc(p.Errors, func(e restclient.FieldProblem) bool { return e.Field == field && e.Message != "" })
}

// problem reads an answer that must be a whole problem document of the client's fault.
func (a answer) problem() (problemDocument, error) {
	var p problemDocument
	err := json.Unmarshal(a.body, &p)
	whole := p.Type != "" && p.Title != "" && p.Detail != "" && p.Status == a.status
	if err != nil || !whole || a.header.Get("Content-Type") != "application/problem+json" || a.status/100 != 4 {
		return p, fmt.Errorf("is answered %d %s %.300s", a.status, a.header.Get("Content-Type"), a.body)
	}
	return p, nil
}

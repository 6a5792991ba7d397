package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// binding is the REST route of an RPC, from its google.api.http option.
type binding struct {
	rpc      protoreflect.MethodDescriptor
	method   string
	template string                         // /v1/needs/{id}:meet
	body     protoreflect.MessageDescriptor // nil where the route takes none
	prefix   string                         // JSON path of the body within the request; empty for all of it
	field    protoreflect.Name              // of the request that is the body, "*" for all
}

func bindings(t *testing.T) []binding {
	t.Helper()
	var found []binding
	for _, rpc := range rpcs() {
		rule, _ := proto.GetExtension(rpc.Options(), annotations.E_Http).(*annotations.HttpRule)
		if rule == nil || len(rule.GetAdditionalBindings()) > 0 {
			t.Fatalf("%s has no route, or several", rpc.FullName())
		}
		b := binding{rpc: rpc, field: protoreflect.Name(rule.GetBody())}
		for method, template := range map[string]string{
			"GET": rule.GetGet(), "POST": rule.GetPost(), "PUT": rule.GetPut(), "PATCH": rule.GetPatch(), "DELETE": rule.GetDelete(),
		} {
			if template != "" {
				b.method, b.template = method, template
			}
		}
		switch b.field {
		case "":
		case "*":
			b.body = rpc.Input()
		default:
			field := rpc.Input().Fields().ByName(b.field)
			b.body, b.prefix = field.Message(), field.JSONName()
		}
		found = append(found, b)
	}
	return found
}

var templateParam = regexp.MustCompile(`\{([a-z_.]+)\}`)

// params are the names of the path's parameters.
func (b binding) params() []string {
	var names []string
	for _, found := range templateParam.FindAllStringSubmatch(b.template, -1) {
		names = append(names, found[1])
	}
	return names
}

// writes says whether the RPC takes an idempotency key.
func (b binding) writes() bool { return b.method != http.MethodGet }

// inRequest is the JSON path within the request of a path within the body.
func (b binding) inRequest(path string) string {
	if b.prefix == "" {
		return path
	}
	return strings.TrimSuffix(b.prefix+"."+path, ".")
}

// queryFields are the fields that come in the query.
func (b binding) queryFields() []protoreflect.FieldDescriptor {
	if b.field == "*" {
		return nil
	}
	var found []protoreflect.FieldDescriptor
	fields := b.rpc.Input().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Name() != b.field && !slices.Contains(b.params(), string(f.Name())) {
			found = append(found, f)
		}
	}
	return found
}

// wire is a REST request that can be spoilt.
type wire struct {
	method, template string
	params           map[string]string // by their names in the template; escaped
	suffix           string            // after the path
	query            url.Values
	rawQuery         string // instead of query
	body             map[string]any
	raw              []byte // instead of body
	header           http.Header
}

// wireOf is a good request.
func wireOf(t *testing.T, b binding, request proto.Message, token string) wire {
	t.Helper()
	text, err := protojson.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		t.Fatal(err)
	}
	delete(members, "requestId")
	delete(members, "updateMask") // the door derives it from the body
	w := wire{method: b.method, template: b.template, params: map[string]string{}, query: url.Values{}, header: http.Header{}}
	w.header.Set("Authorization", "Bearer "+token)
	for _, name := range b.params() {
		w.params[name] = takeFrom(members, strings.Split(name, "."))
	}
	switch {
	case b.prefix != "":
		w.body, _ = members[b.prefix].(map[string]any)
		delete(members, b.prefix)
	case b.body != nil:
		w.body, members = members, nil
	}
	if b.body != nil && w.body == nil {
		w.body = map[string]any{}
	}
	for name, value := range members {
		switch v := value.(type) {
		case []any:
			for _, element := range v {
				w.query.Add(name, textOf(element))
			}
		default:
			w.query.Set(name, textOf(v))
		}
	}
	return w
}

// wireTo is a good request to the RPC.
func wireTo(t *testing.T, rpc string, request proto.Message, token string) wire {
	t.Helper()
	for _, b := range bindings(t) {
		if nameOf(b.rpc) == rpc {
			return wireOf(t, b, request, token)
		}
	}
	t.Fatalf("there is no RPC %s", rpc)
	return wire{}
}

func textOf(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	text, _ := json.Marshal(value)
	return string(text)
}

func takeFrom(members map[string]any, path []string) string {
	name := jsonName(path[0])
	if len(path) > 1 {
		nested, _ := members[name].(map[string]any)
		return takeFrom(nested, path[1:])
	}
	value, _ := members[name].(string)
	delete(members, name)
	return value
}

func jsonName(name string) string {
	parts := strings.Split(name, "_")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
	}
	return strings.Join(parts, "")
}

// clone shares nothing that a case may change.
func (w wire) clone() wire {
	params := maps.Clone(w.params)
	query := url.Values{}
	for name, values := range w.query {
		query[name] = slices.Clone(values)
	}
	w.params, w.query, w.header = params, query, w.header.Clone()
	if w.body != nil {
		w.body = cloneJSON(w.body).(map[string]any)
	}
	return w
}

func cloneJSON(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range v {
			out[name] = cloneJSON(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = cloneJSON(element)
		}
		return out
	default:
		return v
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (w wire) send(t *testing.T, base string) answer {
	t.Helper()
	path := templateParam.ReplaceAllStringFunc(w.template, func(param string) string { return w.params[param[1:len(param)-1]] }) + w.suffix
	query := w.rawQuery
	if query == "" {
		query = w.query.Encode()
	}
	if query != "" {
		path += "?" + query
	}
	body := w.raw
	if body == nil && w.body != nil {
		var err error
		if body, err = json.Marshal(w.body); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), w.method, base+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = w.header.Clone()
	if body != nil && request.Header["Content-Type"] == nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", w.method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{status: response.StatusCode, header: response.Header}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return a
}

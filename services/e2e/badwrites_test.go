package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/ids"
)

// TestAnIdempotencyKeyStandsForOneRequest writes on every route with a key, sends the same again, which changes nothing and
// gets the same answer, and then another request with the key, which is refused.
func TestAnIdempotencyKeyStandsForOneRequest(t *testing.T) {
	f := newBadInput(t)
	for _, b := range f.bindings {
		if !b.writes() {
			continue
		}
		t.Run(nameOf(b.rpc), func(t *testing.T) {
			good := f.good(t, b)
			good.header.Set("Idempotency-Key", ids.New().String())
			first := good.send(t, f.w.p.rest)
			if first.status != http.StatusOK {
				t.Fatalf("is answered %d: %s", first.status, first.body)
			}
			before := f.reader.read(t)
			again := good.send(t, f.w.p.rest)
			if again.status != first.status || !bytes.Equal(again.body, first.body) || again.header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("the same again is answered %d %v: %s", again.status, again.header, again.body)
			}
			other, what := good.changed(b)
			f.check(t, badCase{"the key with another " + what, other, http.StatusBadRequest, "Idempotency-Key"})
			if changed := f.reader.changed(t, before); len(changed) > 0 {
				t.Errorf("requests with a key that was used changed %s", strings.Join(changed, "; "))
			}
		})
	}
}

// TestATakenIDIsNamedAsInTheRequest creates a record twice under the id that the client supplies.
func TestATakenIDIsNamedAsInTheRequest(t *testing.T) {
	f := newBadInput(t)
	for _, b := range f.bindings {
		if b.method != http.MethodPost || b.prefix == "" || b.body.Fields().ByName("id") == nil {
			continue
		}
		if is(b.body.Fields().ByName("id"), annotations.FieldBehavior_OUTPUT_ONLY) {
			continue
		}
		t.Run(nameOf(b.rpc), func(t *testing.T) {
			first := f.good(t, b)
			first.body["id"] = ids.New().String()
			if a := first.send(t, f.w.p.rest); a.status != http.StatusOK {
				t.Fatalf("is answered %d: %s", a.status, a.body)
			}
			again := f.good(t, b) // other values that must be unique
			again.body["id"] = first.body["id"]
			kind := f.check(t, badCase{"a taken id", again, http.StatusConflict, b.inRequest("id")})
			if kind != string(apierr.AlreadyExists) {
				t.Errorf("is answered %s", kind)
			}
			f.promises.keep(t, nameOf(b.rpc), "a taken id", kind)
		})
	}
}

// changed is another request that is as good: with another text in the body or, where that holds none, another path.
func (w wire) changed(b binding) (other wire, what string) {
	w = w.clone()
	if b.body != nil {
		fields := b.body.Fields()
		for i := range fields.Len() {
			field := fields.Get(i)
			rules := rulesOf(field).GetString()
			free := field.Kind() == protoreflect.StringKind && !field.IsList() && rules.HasMaxLen() && field.Name() != "etag"
			if free && field.Name() != "request_id" && !is(field, annotations.FieldBehavior_OUTPUT_ONLY) {
				w.body[field.JSONName()] = "另外"
				return w, field.JSONName()
			}
		}
	}
	if params := b.params(); len(params) > 0 {
		w.params[params[0]] = "another"
		if rulesOf(fieldAt(b.rpc.Input(), params[0])).GetString().GetUuid() {
			w.params[params[0]] = ids.New().String()
		}
		return w, "path"
	}
	return w, changeText(w.body)
}

// changeText changes a text at some depth: the id of a record that is made, or what a grant is for.
func changeText(object map[string]any) string {
	for _, name := range []string{"id", "subject", "purpose"} {
		if _, ok := object[name].(string); ok {
			object[name] = ids.New().String()
			return name
		}
	}
	for name, value := range object {
		if list, ok := value.([]any); ok {
			value = list[0]
		}
		if nested, ok := value.(map[string]any); ok {
			return name + "." + changeText(nested)
		}
	}
	return "nothing"
}

// TestExtremeInputIsAnswered sends values at the edge of what the rules admit. Whether they are taken depends on what they
// mean; the server never fails over them.
func TestExtremeInputIsAnswered(t *testing.T) {
	f, sent := newBadInput(t), 0
	for _, b := range f.bindings {
		t.Run(nameOf(b.rpc), func(t *testing.T) {
			g := &badness{b: b, good: f.good(t, b), foreign: f.w.foreign}
			g.extremes()
			for _, c := range g.cases {
				if a := c.wire.send(t, f.w.p.rest); a.status/100 != 2 {
					p, err := a.problem()
					if err != nil {
						t.Errorf("%s: %v", c.name, err)
					}
					f.promises.keep(t, nameOf(b.rpc), c.name, p.kind())
				}
			}
			sent += len(g.cases)
		})
	}
	t.Logf("%d extreme requests on %d routes", sent, len(f.bindings))
}

func (g *badness) extremes() {
	if g.b.body != nil {
		g.bodyFields(g.b.body, nil, func(field protoreflect.FieldDescriptor, path []any) {
			for i, value := range extremesOf(field) {
				if field.IsList() {
					value = []any{value}
				}
				g.withBody(0, fmt.Sprint("extreme ", i), path, value, "")
			}
		})
	}
	for _, field := range g.b.queryFields() {
		for i, value := range extremesOf(field) {
			text := textOf(value)
			if len(text) > 1000 {
				continue // the path has a limit of its own
			}
			g.add(0, "", fmt.Sprint(field.JSONName(), ": extreme ", i), func(w *wire) { w.query.Set(field.JSONName(), text) })
		}
	}
	for _, param := range g.b.params() {
		for _, id := range []string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "'%3B--"} {
			g.add(0, "", param+": "+id, func(w *wire) { w.params[param] = id })
		}
	}
}

func extremesOf(field protoreflect.FieldDescriptor) []any {
	rules := rulesOf(field)
	if field.IsList() {
		rules = rules.GetRepeated().GetItems()
	}
	switch field.Kind() {
	case protoreflect.StringKind:
		return extremeTexts(rules.GetString())
	case protoreflect.Int32Kind:
		return []any{rules.GetInt32().GetGte(), rules.GetInt32().GetLte(), -1 << 31, 1<<31 - 1, raw("-0"), raw("1e0"), "7"}
	case protoreflect.Int64Kind:
		return []any{fmt.Sprint(rules.GetInt64().GetLte()), "9223372036854775807", "-9223372036854775808"}
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		var all []any
		for i := range values.Len() {
			all = append(all, string(values.Get(i).Name()))
		}
		return append(all, -1)
	case protoreflect.BoolKind:
		return []any{true, false, raw("null")}
	case protoreflect.MessageKind:
		if wellKnown(field.Message()) {
			return []any{"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2021-06-01T08:00:00+14:00"}
		}
		return []any{map[string]any{}, raw("null")}
	default:
		return nil
	}
}

func extremeTexts(rules *validate.StringRules) []any {
	switch {
	case rules.GetUuid():
		return []any{"00000000-0000-0000-0000-000000000000", strings.ToUpper(ids.New().String()), ""}
	case isDay(rules):
		return []any{"0000-01-01", "0001-01-01", "9999-12-31", "2024-02-29", ""}
	}
	longest := max(int(rules.GetMaxLen()), int(rules.GetMaxBytes())/4, 1)
	return []any{
		"", " ", strings.Repeat("😀", longest), `'; DROP TABLE cases; --`, `%_\"`, "\u202e\u0301\ufeff\x7f\n", "000000000000",
	}
}

// TestEveryTextOfARequestHasABound keeps the contract from taking texts of any length.
func TestEveryTextOfARequestHasABound(t *testing.T) {
	for _, rpc := range rpcs() {
		g := &badness{b: binding{rpc: rpc, prefix: "-"}}
		g.bodyFields(rpc.Input(), nil, func(field protoreflect.FieldDescriptor, path []any) {
			rules := rulesOf(field)
			if field.IsList() {
				if list := rules.GetRepeated(); !list.HasMaxItems() && !is(field, annotations.FieldBehavior_OUTPUT_ONLY) {
					t.Errorf("%s: %s may have any number of elements", rpc.Name(), jsonPath(path))
				}
				rules = rules.GetRepeated().GetItems()
			}
			text := rules.GetString()
			bound := text.HasMaxLen() || text.HasMaxBytes() || text.GetUuid() || text.HasPattern() || len(text.GetIn()) > 0
			if field.Kind() == protoreflect.StringKind && !bound && !is(field, annotations.FieldBehavior_OUTPUT_ONLY) {
				t.Errorf("%s: %s may have any length", rpc.Name(), jsonPath(path))
			}
		})
	}
}

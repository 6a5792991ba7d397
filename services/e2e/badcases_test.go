package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"circle15.dev/internal/ids"
)

// badCase is a request with one thing wrong, and what the answer must be.
type badCase struct {
	name   string
	wire   wire
	status int
	field  string // that errors[] must name; empty for none
}

// badness makes the bad cases of a route from its descriptors, so that a new route has them at once.
type badness struct {
	b       binding
	good    wire
	foreign *place // a place of another tenant
	cases   []badCase
}

func (g *badness) add(status int, field, name string, spoil func(*wire)) {
	w := g.good.clone()
	spoil(&w)
	g.cases = append(g.cases, badCase{name, w, status, field})
}

// raw is JSON text as it stands: numbers that no Go value is, and halves of characters.
func raw(text string) json.RawMessage { return json.RawMessage(text) }

func rulesOf(field protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

func is(field protoreflect.FieldDescriptor, behavior annotations.FieldBehavior) bool {
	behaviors, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, behavior)
}

func wellKnown(message protoreflect.MessageDescriptor) bool {
	return message.ParentFile().Package() == "google.protobuf"
}

// bad is a value that a field must not take.
type bad struct {
	what  string
	value any
	at    string // after the field's path, for an element of a list
}

// valuesOfWrongType are JSON values that the field's type cannot hold.
func valuesOfWrongType(field protoreflect.FieldDescriptor) []bad {
	if field.IsList() {
		out := []bad{{"an object for a list", map[string]any{"a": 1}, ""}, {"a number for a list", 5, ""}}
		for _, b := range wrongScalars(field) {
			out = append(out, bad{"in a list, " + b.what, []any{b.value}, "[0]"})
		}
		return out
	}
	return wrongScalars(field)
}

const unknownNumber = "an unknown number" // of an enum

func wrongScalars(field protoreflect.FieldDescriptor) []bad {
	list, object := bad{"a list", []any{}, ""}, bad{"an object", map[string]any{}, ""}
	switch field.Kind() {
	case protoreflect.StringKind:
		return []bad{{"a number for text", 5, ""}, {"a truth for text", true, ""}, list, object, {"half a character", raw(`"\ud800"`), ""}}
	case protoreflect.BoolKind:
		return []bad{{"text for a truth", "yes", ""}, {"a number for a truth", 1, ""}, list, object}
	case protoreflect.EnumKind:
		return []bad{{"an unknown name", "NOPE", ""}, {unknownNumber, 999, ""}, {"a fraction for a name", 1.5, ""}, list, object}
	case protoreflect.MessageKind:
		if wellKnown(field.Message()) {
			return []bad{{"no time", "yesterday", ""}, {"a number for a time", 5, ""}, {"a time out of range", "10000-01-01T00:00:00Z", ""}, list}
		}
		return []bad{{"text for an object", "x", ""}, {"a number for an object", 5, ""}, list}
	default:
		tooLarge := bad{"an int32 too large", raw("2147483648"), ""}
		if field.Kind() == protoreflect.Int64Kind {
			tooLarge = bad{"an int64 too large", raw("9223372036854775808"), ""}
		}
		return []bad{
			{"text for a number", "many", ""},
			{"NaN in text", "NaN", ""},
			{"a fraction", 1.5, ""},
			{"1e400", raw("1e400"), ""},
			tooLarge,
			{"a number too small", raw("-9223372036854775809"), ""},
			list, object,
		}
	}
}

// valuesAgainstRules are values of the field's type that its rules forbid.
func valuesAgainstRules(field protoreflect.FieldDescriptor) []bad {
	rules := rulesOf(field)
	if !field.IsList() {
		return scalarsAgainstRules(field, rules)
	}
	list := rules.GetRepeated()
	var out []bad
	if list.GetItems().GetIgnore() == validate.Ignore_IGNORE_ALWAYS {
		return nil // each is answered for by itself, with 200
	}
	for _, b := range scalarsAgainstRules(field, list.GetItems()) {
		out = append(out, bad{"in a list, " + b.what, []any{b.value}, "[0]"})
	}
	example := func() any {
		if list.GetItems().GetString().GetUuid() {
			return ids.New().String()
		}
		return fmt.Sprintf("a%d", len(out))
	}
	if list.HasMaxItems() && field.Message() == nil {
		var many []any
		for range list.GetMaxItems() + 1 {
			many = append(many, example())
		}
		out = append(out, bad{"too many elements", many, ""})
	}
	if list.GetUnique() {
		same := example()
		out = append(out, bad{"an element twice", []any{same, same}, ""})
	}
	return out
}

func scalarsAgainstRules(field protoreflect.FieldDescriptor, rules *validate.FieldRules) []bad {
	switch field.Kind() {
	case protoreflect.StringKind:
		return textsAgainstRules(rules.GetString())
	case protoreflect.EnumKind:
		var out []bad
		for _, not := range rules.GetEnum().GetNotIn() {
			out = append(out, bad{"a forbidden name", string(field.Enum().Values().ByNumber(protoreflect.EnumNumber(not)).Name()), ""})
		}
		return out
	case protoreflect.Int32Kind:
		var out []bad
		if r := rules.GetInt32(); r.HasGte() && (r.GetGte() != 1 || rules.GetIgnore() != validate.Ignore_IGNORE_IF_ZERO_VALUE) {
			out = append(out, bad{"less than the least", r.GetGte() - 1, ""})
		}
		if r := rules.GetInt32(); r.HasLte() {
			out = append(out, bad{"more than the most", r.GetLte() + 1, ""})
		}
		return out
	case protoreflect.Int64Kind:
		var out []bad
		if r := rules.GetInt64(); r.HasGte() {
			out = append(out, bad{"less than the least", fmt.Sprint(r.GetGte() - 1), ""})
		}
		if r := rules.GetInt64(); r.HasLte() {
			out = append(out, bad{"more than the most", fmt.Sprint(r.GetLte() + 1), ""})
		}
		return out
	default:
		return nil
	}
}

func textsAgainstRules(rules *validate.StringRules) []bad {
	out := []bad{{"a NUL", "a\x00b", ""}, {"nothing but spaces", " \u3000\n", ""}}
	if rules.HasMaxLen() {
		out = append(out, bad{"too long a text", strings.Repeat("字", int(rules.GetMaxLen())+1), ""})
	}
	if rules.HasMaxBytes() {
		out = append(out, bad{"too many bytes", strings.Repeat("x", int(rules.GetMaxBytes())+1), ""})
	}
	if rules.GetUuid() {
		out = append(out, bad{"no UUID", "x", ""}, bad{"a UUID without hyphens", strings.Repeat("0", 32), ""},
			bad{"a UUID in braces", "{" + ids.New().String() + "}", ""}, bad{"a UUID and more", ids.New().String() + "0", ""})
	}
	if rules.HasPattern() {
		out = append(out, bad{"against the pattern", "\t!", ""})
	}
	if isDay(rules) {
		for _, day := range []string{"2021-02-30", "9999-99-99", "0000-00-00", "2021-6-1", "2021-06-01\n", "2021-06-01T00:00:00Z", "２０２１-06-01"} {
			out = append(out, bad{fmt.Sprintf("the day %q", day), day, ""})
		}
	}
	return out
}

// isDay says whether the rules are those of a calendar day.
func isDay(rules *validate.StringRules) bool {
	return strings.HasPrefix(rules.GetPattern(), "^[0-9]{4}-(0[1-9]|1[0-2])-(")
}

// bodyFields walks the fields of the body, those of messages within it too.
func (g *badness) bodyFields(message protoreflect.MessageDescriptor, path []any, visit func(field protoreflect.FieldDescriptor, path []any)) {
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if len(path) == 0 && (field.Name() == "request_id" && g.b.prefix == "" || g.inPath(field)) {
			continue
		}
		at := append(slices.Clone(path), field.JSONName())
		visit(field, at)
		if is(field, annotations.FieldBehavior_OUTPUT_ONLY) {
			continue // what is in it is not read
		}
		if field.Kind() == protoreflect.MessageKind && !wellKnown(field.Message()) {
			if field.IsList() {
				at = append(at, 0)
			}
			g.bodyFields(field.Message(), at, visit)
		}
	}
}

// inPath says whether a field of the body is a parameter of the path.
func (g *badness) inPath(field protoreflect.FieldDescriptor) bool {
	for _, param := range g.b.params() {
		if param == string(field.Name()) || strings.HasSuffix(param, "."+string(field.Name())) {
			return true
		}
	}
	return false
}

// jsonPath is how an error names the place: visits[0].householdId.
func jsonPath(path []any) string {
	var out strings.Builder
	for _, step := range path {
		if i, ok := step.(int); ok {
			fmt.Fprintf(&out, "[%d]", i)
			continue
		}
		if out.Len() > 0 {
			out.WriteByte('.')
		}
		fmt.Fprint(&out, step)
	}
	return out.String()
}

// put sets the value at the path, making what is missing on the way; a nil value takes the field away.
func put(at any, path []any, value any) any {
	if len(path) == 0 {
		return value
	}
	if i, ok := path[0].(int); ok {
		list, _ := at.([]any)
		for len(list) <= i {
			list = append(list, map[string]any{})
		}
		list[i] = put(list[i], path[1:], value)
		return list
	}
	object, _ := at.(map[string]any)
	if object == nil {
		object = map[string]any{}
	}
	name := path[0].(string)
	if len(path) == 1 && value == nil {
		delete(object, name)
		return object
	}
	object[name] = put(object[name], path[1:], value)
	return object
}

// withBody adds a case with another value in the body.
func (g *badness) withBody(status int, name string, path []any, value any, at string) {
	field := g.b.inRequest(jsonPath(path)) + at
	g.add(status, field, field+": "+name, func(w *wire) {
		if w.method == http.MethodPatch {
			w.body = map[string]any{} // what is not sent is not changed: the field alone is at fault
			if nested, isNested := g.good.body[path[0].(string)]; isNested && len(path) > 1 {
				w.body[path[0].(string)] = cloneJSON(nested)
			}
		}
		w.body = put(w.body, path, value).(map[string]any)
	})
}

// inBody spoils the fields of the body one by one.
func (g *badness) inBody() {
	if g.b.body == nil {
		return
	}
	ignored := "" // path of a list whose elements are answered for one by one
	g.bodyFields(g.b.body, nil, func(field protoreflect.FieldDescriptor, path []any) {
		inIgnored := ignored != "" && strings.HasPrefix(jsonPath(path), ignored+"[")
		for _, b := range valuesOfWrongType(field) {
			if inIgnored && b.what == unknownNumber {
				continue // JSON takes it, so the element is answered for by itself
			}
			g.withBody(http.StatusBadRequest, b.what, path, b.value, b.at)
		}
		if rulesOf(field).GetRepeated().GetItems().GetIgnore() == validate.Ignore_IGNORE_ALWAYS {
			ignored = jsonPath(path)
		}
		if is(field, annotations.FieldBehavior_OUTPUT_ONLY) || inIgnored {
			return
		}
		for _, b := range valuesAgainstRules(field) {
			g.withBody(http.StatusBadRequest, b.what, path, b.value, b.at)
		}
		if is(field, annotations.FieldBehavior_REQUIRED) {
			missing := any(nil)
			if g.b.method == http.MethodPatch {
				missing = raw("null") // named, so that it is to be emptied
			}
			g.withBody(http.StatusBadRequest, "missing", path, missing, "")
		}
		g.references(field, path)
		if field.Name() == "id" && len(path) == 1 {
			for what, id := range map[string]string{"the nil UUID": uuid.Nil.String(), "a UUID of version 4": uuid.New().String()} {
				g.withBody(http.StatusBadRequest, what, path, id, "")
			}
		}
	})
	g.bodyMessages(g.b.body, nil)
}

// bodyMessages adds an unknown field at every level.
func (g *badness) bodyMessages(message protoreflect.MessageDescriptor, path []any) {
	g.withBody(http.StatusBadRequest, "an unknown field", append(slices.Clone(path), "colour"), 1, "")
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Kind() != protoreflect.MessageKind || wellKnown(field.Message()) {
			continue
		}
		at := append(slices.Clone(path), field.JSONName())
		if field.IsList() {
			at = append(at, 0)
		}
		g.bodyMessages(field.Message(), at)
	}
}

// references adds ids of no record and of another tenant's.
func (g *badness) references(field protoreflect.FieldDescriptor, path []any) {
	name := strings.TrimSuffix(string(field.Name()), "s")
	foreign := map[string]string{
		"station_id": g.foreign.station, "staff_id": g.foreign.staff, "community_id": g.foreign.community,
		"household_id": g.foreign.household, "resident_id": g.foreign.resident, "attendee_id": g.foreign.resident,
		"member_id": g.foreign.resident, "team_id": g.foreign.team, "volunteer_id": g.foreign.volunteer,
		"need_id": g.foreign.need, "visit_id": g.foreign.completedVisit, "case_id": g.foreign.intakeCase,
	}[name]
	if foreign == "" {
		return
	}
	for what, id := range map[string]any{"an unknown id": ids.New().String(), "an id of another tenant": foreign} {
		at := ""
		if field.IsList() {
			id, at = []any{id}, "[0]"
		}
		g.withBody(http.StatusBadRequest, what, path, id, at)
	}
}

// inQuery spoils the parameters of the query one by one.
func (g *badness) inQuery() {
	g.add(http.StatusBadRequest, "colour", "an unknown parameter", func(w *wire) { w.query.Set("colour", "1") })
	g.add(http.StatusBadRequest, "query", "a malformed query", func(w *wire) { w.rawQuery = "a=%zz" })
	for _, field := range g.b.queryFields() {
		name := field.JSONName()
		set := func(what, value string) {
			g.add(http.StatusBadRequest, name, name+": "+what, func(w *wire) { w.query.Set(name, value) })
		}
		if field.Kind() == protoreflect.StringKind || field.Kind() == protoreflect.EnumKind {
			set("no UTF-8", "\xff")
		}
		if !field.IsList() {
			g.add(http.StatusBadRequest, name, name+": twice", func(w *wire) { w.query[name] = []string{"1", "1"} })
			g.add(http.StatusBadRequest, name, name+": by both names", func(w *wire) {
				w.query.Set(name, "1")
				w.query.Set(string(field.Name()), "1")
				if string(field.Name()) == name {
					w.query.Add(name, "2")
				}
			})
		}
		if is(field, annotations.FieldBehavior_REQUIRED) {
			g.add(http.StatusBadRequest, name, name+": missing", func(w *wire) { w.query.Del(name) })
		}
		if field.Kind() != protoreflect.StringKind {
			for _, value := range []string{"many", "NaN", "1e400", "1.5", "99999999999"} {
				set(value, value)
			}
		}
		for _, b := range valuesAgainstRules(field) {
			value := b.value
			if text, ok := value.(string); ok {
				value = strings.ReplaceAll(text, "字", "x") // three times as many would make the path too long
			}
			if list, ok := value.([]any); ok {
				g.add(http.StatusBadRequest, name+b.at, name+": "+b.what, func(w *wire) {
					w.query.Del(name)
					for _, element := range list {
						w.query.Add(name, textOf(element))
					}
				})
				continue
			}
			set(b.what, textOf(value))
		}
	}
}

// inParams spoils the parameters of the path one by one.
func (g *badness) inParams() {
	for _, param := range g.b.params() {
		field := fieldAt(g.b.rpc.Input(), param)
		names := strings.Split(param, ".")
		for i := range names {
			names[i] = jsonName(names[i])
		}
		name := strings.Join(names, ".")
		for what, value := range map[string]string{
			"malformed": "!", "a NUL": "%00", "no UTF-8": "%ff", "very long": strings.Repeat("x", 300), "a slash": "a%2Fb", "a bad day": "2021-02-30",
		} {
			g.add(http.StatusBadRequest, name, "path "+name+": "+what, func(w *wire) { w.params[param] = value })
		}
		unknown, status, at := ids.New().String(), http.StatusNotFound, ""
		switch {
		case rulesOf(field).GetString().GetUuid():
		case field.Name() == "measure":
			unknown, status, at = "happiness", http.StatusBadRequest, name
		default:
			unknown = "no_such_name"
		}
		g.add(status, at, "path "+name+": unknown", func(w *wire) { w.params[param] = unknown })
	}
}

func fieldAt(message protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	first, rest, nested := strings.Cut(path, ".")
	field := message.Fields().ByName(protoreflect.Name(first))
	if nested {
		return fieldAt(field.Message(), rest)
	}
	return field
}

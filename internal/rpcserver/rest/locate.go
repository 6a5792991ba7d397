package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"circle15.dev/internal/apierr"
)

// locate finds the field for which the JSON text is no message of the type. protojson says so in words that may
// change from one build to the next, so each field is tried by itself. It returns nil where the text is fine.
func locate(data []byte, message protoreflect.MessageDescriptor) *apierr.Error {
	if !json.Valid(data) {
		return malformed(json.Unmarshal(data, new(any)))
	}
	l := &locator{trials: locateTrials, bytes: locateBytes + 2*len(data)}
	return l.inMessage(data, message, "")
}

const (
	// What the search in a refused body may cost: values tried, and bytes parsed beyond the body itself twice, once whole and
	// once element by element. So the element at fault is found in a batch of any allowed size. Where either ends, the field
	// found so far is named.
	locateTrials = 8 << 10
	locateBytes  = 2 << 20
)

type locator struct{ trials, bytes int } // what is left

func (l *locator) spent() bool { return l.trials < 0 || l.bytes < 0 }

func malformed(err error) *apierr.Error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return apierr.InvalidField("body", "is not JSON: wrong at byte %d", syntax.Offset)
	}
	return apierr.InvalidField("body", "is not JSON")
}

func (l *locator) inMessage(data []byte, message protoreflect.MessageDescriptor, path string) *apierr.Error {
	members, ok := membersOf(data)
	if !ok {
		return faulty(path, "must be an object")
	}
	seen := map[protoreflect.FieldNumber]bool{}
	for _, m := range members {
		field := message.Fields().ByJSONName(m.name)
		if field == nil {
			field = message.Fields().ByName(protoName(m.name))
		}
		if field == nil {
			return faulty(join(path, shown(m.name)), "is not a field of %s", message.Name())
		}
		at := join(path, field.JSONName())
		if seen[field.Number()] {
			return faulty(at, "is given more than once")
		}
		seen[field.Number()] = true
		if err := l.inField(m.value, field, at); err != nil {
			return err
		}
	}
	return nil
}

func (l *locator) inField(data []byte, field protoreflect.FieldDescriptor, path string) *apierr.Error {
	if l.fits(data, field) {
		return nil
	}
	switch {
	case l.spent():
	case field.IsList():
		var elements []json.RawMessage
		if json.Unmarshal(data, &elements) != nil {
			return faulty(path, "must be an array")
		}
		for i, element := range elements {
			if l.fits(fmt.Appendf(nil, "[%s]", element), field) {
				continue
			}
			if l.spent() { // which says nothing of this element
				break
			}
			return l.inValue(element, field, fmt.Sprintf("%s[%d]", path, i))
		}
	case field.IsMap():
		if _, ok := membersOf(data); !ok {
			return faulty(path, "must be an object")
		}
		return faulty(path, "holds a key or a value of the wrong type")
	default:
		return l.inValue(data, field, path)
	}
	return faulty(path, "has the wrong type")
}

func (l *locator) inValue(data []byte, field protoreflect.FieldDescriptor, path string) *apierr.Error {
	if message := field.Message(); message != nil && !wellKnown(message) {
		if err := l.inMessage(data, message, path); err != nil {
			return err
		}
	}
	return faulty(path, "must be %s", wanted(field))
}

// fits says whether protojson takes the value for the field. Once the search has cost enough, nothing fits.
func (l *locator) fits(value []byte, field protoreflect.FieldDescriptor) bool {
	l.trials--
	l.bytes -= len(value)
	if l.spent() {
		return false
	}
	text := fmt.Appendf(nil, "{%q:%s}", field.JSONName(), value)
	return protojson.Unmarshal(text, dynamicpb.NewMessage(field.ContainingMessage())) == nil
}

// wanted says in words what JSON the field takes.
func wanted(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "a string"
	case protoreflect.BytesKind:
		return "a string in base64"
	case protoreflect.EnumKind:
		return "one of " + strings.Join(valueNames(field.Enum()), ", ")
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "a number"
	case protoreflect.MessageKind, protoreflect.GroupKind:
		switch field.Message().FullName() {
		case "google.protobuf.Timestamp":
			return "a time as in RFC 3339: 2021-05-01T08:00:00Z"
		case "google.protobuf.Duration":
			return `a duration in seconds: "1.5s"`
		case "google.protobuf.FieldMask":
			return `a list of field names: "name,phone"`
		default:
			return "an object"
		}
	default:
		return "an integer"
	}
}

func valueNames(enum protoreflect.EnumDescriptor) []string {
	values := enum.Values()
	names := make([]string, 0, values.Len())
	for i := range values.Len() {
		names = append(names, string(values.Get(i).Name()))
	}
	return names
}

func wellKnown(message protoreflect.MessageDescriptor) bool {
	return message.ParentFile().Package() == "google.protobuf"
}

func protoName(s string) protoreflect.Name { return protoreflect.Name(s) }

func faulty(path, format string, args ...any) *apierr.Error {
	if path == "" {
		path = "body"
	}
	return apierr.InvalidField(path, format, args...)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

type member struct {
	name  string
	value json.RawMessage
}

// membersOf are the members of a JSON object in their order, repeated names included; false for another value.
func membersOf(data []byte) ([]member, bool) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	var members []member
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, false
		}
		members = append(members, member{name.(string), value})
	}
	_, err := decoder.Token()
	return members, err == nil || errors.Is(err, io.EOF)
}

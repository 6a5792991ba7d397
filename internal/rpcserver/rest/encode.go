package rest

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// encoders write messages as protojson does with EmitDefaultValues, but for two things: fields that are INPUT_ONLY are
// left out rather than shown empty, and what can be known of a message type is known before, not found out for every
// message (protojson sorts the fields each time). README.md has the measurement.
var encoders = &encoderCache{byName: map[protoreflect.FullName]*encoder{}}

type encoderCache struct {
	mu     sync.RWMutex
	byName map[protoreflect.FullName]*encoder
}

// encoder writes messages of one type.
type encoder struct {
	fields []fieldEncoder
	whole  bool         // left to protojson: well-known types with a JSON form of their own
	hint   atomic.Int64 // length of the last top-level message, in bytes
}

type fieldEncoder struct {
	field   protoreflect.FieldDescriptor
	key     string // with quotes and colon
	message *encoder
}

func (c *encoderCache) of(descriptor protoreflect.MessageDescriptor) *encoder {
	c.mu.RLock()
	e := c.byName[descriptor.FullName()]
	c.mu.RUnlock()
	if e != nil {
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.compile(descriptor)
}

// compile is of with the lock held. A message may hold itself: it is in the cache before its fields are looked at.
func (c *encoderCache) compile(descriptor protoreflect.MessageDescriptor) *encoder {
	if e := c.byName[descriptor.FullName()]; e != nil {
		return e
	}
	e := &encoder{}
	c.byName[descriptor.FullName()] = e
	if wellKnown(descriptor) && descriptor.FullName() != "google.protobuf.Empty" {
		e.whole = true
		return e
	}
	fields := descriptor.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if inputOnly(field) {
			continue
		}
		f := fieldEncoder{field: field, key: strconv.Quote(field.JSONName()) + ":"}
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			f.message = c.compile(field.MapValue().Message())
		case !field.IsMap() && field.Message() != nil:
			f.message = c.compile(field.Message())
		}
		e.fields = append(e.fields, f)
	}
	return e
}

func inputOnly(field protoreflect.FieldDescriptor) bool {
	behaviors, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, annotations.FieldBehavior_INPUT_ONLY)
}

const smallestBuffer = 512 // bytes

// encode is the JSON of the message.
func encode(message proto.Message) ([]byte, error) {
	reflected := message.ProtoReflect()
	e := encoders.of(reflected.Descriptor())
	hint := e.hint.Load()
	out, err := e.append(make([]byte, 0, max(hint+hint/8, smallestBuffer)), reflected)
	e.hint.Store(int64(len(out)))
	return out, err
}

func (e *encoder) append(out []byte, message protoreflect.Message) ([]byte, error) {
	if e.whole {
		return appendWellKnown(out, message)
	}
	out = append(out, '{')
	first := true
	for i := range e.fields {
		f := &e.fields[i]
		if f.field.HasPresence() && !message.Has(f.field) {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		var err error
		if out, err = f.append(append(out, f.key...), message.Get(f.field)); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func (f *fieldEncoder) append(out []byte, value protoreflect.Value) (_ []byte, err error) {
	switch {
	case f.field.IsList():
		values := value.List()
		out = append(out, '[')
		for i := range values.Len() {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = f.appendOne(out, f.field, values.Get(i)); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case f.field.IsMap():
		return f.appendMap(out, value.Map())
	default:
		return f.appendOne(out, f.field, value)
	}
}

// appendMap writes a map with its keys sorted, as text.
func (f *fieldEncoder) appendMap(out []byte, values protoreflect.Map) (_ []byte, err error) {
	keys := make([]protoreflect.MapKey, 0, values.Len())
	values.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, key)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	out = append(out, '{')
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = appendText(out, key.String()); err != nil {
			return nil, err
		}
		if out, err = f.appendOne(append(out, ':'), f.field.MapValue(), values.Get(key)); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func (f *fieldEncoder) appendOne(out []byte, field protoreflect.FieldDescriptor, value protoreflect.Value) ([]byte, error) {
	switch field.Kind() {
	case protoreflect.StringKind:
		return appendText(out, value.String())
	case protoreflect.BoolKind:
		return strconv.AppendBool(out, value.Bool()), nil
	case protoreflect.EnumKind:
		return appendEnum(out, field.Enum(), value.Enum()), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return strconv.AppendInt(out, value.Int(), 10), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return strconv.AppendUint(out, value.Uint(), 10), nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return append(strconv.AppendInt(append(out, '"'), value.Int(), 10), '"'), nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return append(strconv.AppendUint(append(out, '"'), value.Uint(), 10), '"'), nil
	case protoreflect.BytesKind:
		return append(base64.StdEncoding.AppendEncode(append(out, '"'), value.Bytes()), '"'), nil
	case protoreflect.MessageKind:
		return f.message.append(out, value.Message())
	case protoreflect.FloatKind:
		return appendFloat(out, value.Float(), 32), nil
	case protoreflect.DoubleKind:
		return appendFloat(out, value.Float(), 64), nil
	default:
		return nil, fmt.Errorf("field %s: cannot write a %s", field.FullName(), field.Kind())
	}
}

func appendEnum(out []byte, enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) []byte {
	if named := enum.Values().ByNumber(number); named != nil {
		return append(append(append(out, '"'), named.Name()...), '"')
	}
	return strconv.AppendInt(out, int64(number), 10)
}

func appendWellKnown(out []byte, message protoreflect.Message) ([]byte, error) {
	if stamp, ok := message.Interface().(*timestamppb.Timestamp); ok && stamp.IsValid() {
		return appendTime(out, stamp.AsTime()), nil
	}
	return protojson.MarshalOptions{EmitDefaultValues: true}.MarshalAppend(out, message.Interface())
}

// appendTime writes a time with 0, 3, 6 or 9 digits of its second's fraction, as the JSON mapping of Timestamp wants.
func appendTime(out []byte, t time.Time) []byte {
	layout := `"2006-01-02T15:04:05Z"`
	switch nanos := t.Nanosecond(); {
	case nanos == 0:
	case nanos%1e6 == 0:
		layout = `"2006-01-02T15:04:05.000Z"`
	case nanos%1e3 == 0:
		layout = `"2006-01-02T15:04:05.000000Z"`
	default:
		layout = `"2006-01-02T15:04:05.000000000Z"`
	}
	return t.UTC().AppendFormat(out, layout)
}

const hexDigits = "0123456789abcdef"

// appendText writes a JSON string. Text that is not UTF-8 is an error: no client could read it.
func appendText(out []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("a string is not UTF-8")
	}
	out = append(out, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		out = append(out, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\n':
			out = append(out, '\\', 'n')
		case '\r':
			out = append(out, '\\', 'r')
		case '\t':
			out = append(out, '\\', 't')
		default:
			out = append(out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
	}
	return append(append(out, s[start:]...), '"'), nil
}

// appendFloat writes a number as encoding/json does, and what is not finite by its name.
func appendFloat(out []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(out, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(out, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(out, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(out, f, format, -1, bits)
}

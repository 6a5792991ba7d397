package rest

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	_ "circle15.dev/api/activities/v1"
	_ "circle15.dev/api/cases/v1"
	_ "circle15.dev/api/iam/v1"
	registryv1 "circle15.dev/api/registry/v1"
	_ "circle15.dev/api/reporting/v1"
	_ "circle15.dev/api/visits/v1"
)

// messageTypes are those of the platform, and protobuf's own that have all kinds of fields.
func messageTypes() []protoreflect.MessageType {
	var types []protoreflect.MessageType
	protoregistry.GlobalTypes.RangeMessages(func(t protoreflect.MessageType) bool {
		switch t.Descriptor().ParentFile().Package().Parent().Parent() {
		case "circle15", "buf": // buf.validate's messages have every kind of field
			types = append(types, t)
		}
		return true
	})
	return types
}

func TestMessagesAreWrittenAsProtojsonWritesThem(t *testing.T) {
	types := messageTypes()
	if len(types) < 100 {
		t.Fatalf("%d types", len(types))
	}
	rapid.Check(t, func(t *rapid.T) {
		message := rapid.SampledFrom(types).Draw(t, "type").New()
		draw(t, message, 3)
		got, err := encode(message.Interface())
		if err != nil {
			t.Fatal(err)
		}
		dropInputOnly(message)
		want, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(decoded(t, want), withoutInputOnly(message.Descriptor(), decoded(t, got))); diff != "" {
			t.Fatalf("%s (-protojson +ours)\n%s\n%s", message.Descriptor().FullName(), diff, got)
		}
	})
}

// dropInputOnly clears what is never written, so that protojson writes only its default, which withoutInputOnly adds.
func dropInputOnly(message protoreflect.Message) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case inputOnly(field):
			message.Clear(field)
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				dropInputOnly(value.List().Get(i).Message())
			}
		case field.Message() != nil && !field.IsMap():
			dropInputOnly(value.Message())
		}
		return true
	})
}

// withoutInputOnly gives our JSON the empty input-only fields that protojson shows.
func withoutInputOnly(descriptor protoreflect.MessageDescriptor, value any) any {
	object, ok := value.(map[string]any)
	if !ok {
		return value
	}
	fields := descriptor.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := field.JSONName()
		switch inner := object[name].(type) {
		case []any:
			for j := range inner {
				if field.Message() != nil {
					inner[j] = withoutInputOnly(field.Message(), inner[j])
				}
			}
		case map[string]any:
			if field.Message() != nil && !field.IsMap() {
				object[name] = withoutInputOnly(field.Message(), inner)
			}
		}
		if inputOnly(field) {
			object[name] = ""
		}
	}
	return object
}

func decoded(t *rapid.T, data []byte) any {
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return out
}

// draw fills some fields of the message.
func draw(t *rapid.T, message protoreflect.Message, depth int) {
	switch known := message.Interface().(type) {
	case *timestamppb.Timestamp:
		known.Seconds = rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds")
		known.Nanos = rapid.SampledFrom([]int32{0, 1, 1000, 1_000_000, 999_999_999, 120_000_000, 5_000}).Draw(t, "nanos")
		return
	case *durationpb.Duration:
		known.Seconds = rapid.Int64Range(-1000, 1000).Draw(t, "seconds")
		return
	}
	if wellKnown(message.Descriptor()) {
		return
	}
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if !rapid.Bool().Draw(t, "set") || field.Message() != nil && depth == 0 {
			continue
		}
		switch {
		case field.IsMap():
		case field.IsList():
			list := message.Mutable(field).List()
			for range rapid.IntRange(0, 3).Draw(t, "n") {
				if field.Message() != nil {
					element := list.NewElement()
					draw(t, element.Message(), depth-1)
					list.Append(element)
				} else {
					list.Append(drawValue(t, field))
				}
			}
		case field.Message() != nil:
			draw(t, message.Mutable(field).Message(), depth-1)
		default:
			message.Set(field, drawValue(t, field))
		}
	}
}

func drawValue(t *rapid.T, field protoreflect.FieldDescriptor) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.Int32Range(-1, 12).Draw(t, "enum")))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(rapid.OneOf(rapid.Float32(), rapid.Just(float32(math.Inf(1)))).Draw(t, "float"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.OneOf(rapid.Float64(), rapid.Just(math.NaN())).Draw(t, "double"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	default:
		return protoreflect.ValueOfString(rapid.String().Draw(t, "string"))
	}
}

func TestWellKnownMessagesAreWrittenInTheirOwnForm(t *testing.T) {
	for name, tt := range map[string]struct {
		message proto.Message
		want    string
	}{
		"empty":      {&emptypb.Empty{}, `{}`},
		"a time":     {timestamppb.New(timestamppb.Now().AsTime().Truncate(0)), ""},
		"a duration": {&durationpb.Duration{Seconds: 1, Nanos: 500_000_000}, `"1.500s"`},
		"a struct":   {&structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewNumberValue(1)}}, `{"a":1}`},
	} {
		got, err := encode(tt.message)
		if err != nil {
			t.Fatal(err)
		}
		want := tt.want
		if want == "" {
			text, err := protojson.Marshal(tt.message)
			if err != nil {
				t.Fatal(err)
			}
			want = string(text)
		}
		if string(got) != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestTextThatIsNotUTF8IsNotWritten(t *testing.T) {
	if got, err := encode(&registryv1.Station{Phone: "\xff"}); err == nil {
		t.Errorf("wrote %q", got)
	}
}

func BenchmarkEncode(b *testing.B) {
	message := &registryv1.Resident{
		Id: "0193f1c2-7b1e-7cc0-9a51-0d8f0e1c2b3a", HouseholdId: "0193f1c2-7b1e-7cc0-9a51-0d8f0e1c2b3b", Name: "王桂英",
		Sex: registryv1.Sex_SEX_FEMALE, BirthDate: "1945-12-03", MaskedIdentityNumber: "460100********0027", Phone: "0898-60000000",
		AssistanceTier: "minimum_living", Registered: true, Categories: []string{"elderly_alone", "chronic_illness"},
		LegalBasisDate: "2021-05-01", Etag: `"3"`, CreateTime: timestamppb.Now(), UpdateTime: timestamppb.Now(),
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := encode(message); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("protojson", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (protojson.MarshalOptions{EmitDefaultValues: true}).Marshal(message); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package validate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"circle15.dev/internal/apierr"
)

// wellFormed refuses values that a message can carry and no column can hold, or that say nothing: text with a NUL character,
// that is not UTF-8 or that is all white space, an enum number without a name, a number that is not finite, a time out of
// range. No validation rule of the
// contract has to repeat that. The elements of a batch that the contract leaves to be checked one by one are left out here
// too, lest one of them refuses the others.
func wellFormed(message protoreflect.Message) error {
	if fault := findFault(message); fault != nil {
		return apierr.InvalidField(fault.path(), "%s", fault.description)
	}
	return nil
}

// fault is a value that is not well formed. Its path grows from the leaf as the search returns.
type fault struct {
	description string
	segments    []string // innermost first
}

func (f *fault) path() string {
	var out strings.Builder
	for _, segment := range slices.Backward(f.segments) {
		if out.Len() > 0 && !strings.HasPrefix(segment, "[") {
			out.WriteByte('.')
		}
		out.WriteString(segment)
	}
	return out.String()
}

func (f *fault) in(segment string) *fault {
	f.segments = append(f.segments, segment)
	return f
}

func findFault(message protoreflect.Message) (found *fault) {
	switch known := message.Interface().(type) {
	case *timestamppb.Timestamp:
		if !known.IsValid() {
			return &fault{description: "must be a time between the years 1 and 9999"}
		}
		return nil
	case *durationpb.Duration:
		if !known.IsValid() {
			return &fault{description: "must be a duration of at most 10000 years"}
		}
		return nil
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if found = faultOfField(field, value); found != nil {
			found.in(field.JSONName())
		}
		return found == nil
	})
	return found
}

func faultOfField(field protoreflect.FieldDescriptor, value protoreflect.Value) (found *fault) {
	switch {
	case field.IsList():
		if oneByOne(field) {
			return nil
		}
		list := value.List()
		for i := range list.Len() {
			if found = faultOfValue(field, list.Get(i)); found != nil {
				return found.in(fmt.Sprintf("[%d]", i))
			}
		}
		return nil
	case field.IsMap():
		value.Map().Range(func(key protoreflect.MapKey, entry protoreflect.Value) bool {
			if found = faultOfValue(field.MapKey(), key.Value()); found == nil {
				found = faultOfValue(field.MapValue(), entry)
			}
			if found != nil {
				found.in(fmt.Sprintf("[%q]", key.String()))
			}
			return found == nil
		})
		return found
	default:
		return faultOfValue(field, value)
	}
}

// oneByOne says whether the contract leaves the elements of the list to be checked one by one, by Message.
func oneByOne(list protoreflect.FieldDescriptor) bool {
	if list.Message() == nil {
		return false
	}
	rules, _ := proto.GetExtension(list.Options(), validate.E_Field).(*validate.FieldRules)
	return rules.GetRepeated().GetItems().GetIgnore() == validate.Ignore_IGNORE_ALWAYS
}

func faultOfValue(field protoreflect.FieldDescriptor, value protoreflect.Value) *fault {
	switch field.Kind() {
	case protoreflect.StringKind:
		return faultOfText(value.String())
	case protoreflect.EnumKind:
		if field.Enum().Values().ByNumber(value.Enum()) == nil {
			return &fault{description: fmt.Sprintf("%d is not a value of %s", value.Enum(), field.Enum().Name())}
		}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		if f := value.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return &fault{description: "must be a finite number"}
		}
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return findFault(value.Message())
	default:
	}
	return nil
}

func faultOfText(s string) *fault {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return &fault{description: "must not hold a NUL character"}
	case !utf8.ValidString(s):
		return &fault{description: "must be UTF-8"}
	case s != "" && strings.TrimSpace(s) == "":
		return &fault{description: "must not be blank"}
	default:
		return nil
	}
}

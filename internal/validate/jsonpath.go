package validate

import (
	"strconv"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// jsonPathOf is a violation's field path in the names of JSON: visits[3].householdId.
func jsonPathOf(message protoreflect.MessageDescriptor, path *validate.FieldPath) string {
	var out []byte
	for _, element := range path.GetElements() {
		name := element.GetFieldName()
		var field protoreflect.FieldDescriptor
		if message != nil {
			field = message.Fields().ByNumber(protoreflect.FieldNumber(element.GetFieldNumber()))
		}
		message = nil
		if field != nil {
			name = field.JSONName()
			message = elementMessage(field)
		}
		if len(out) > 0 {
			out = append(out, '.')
		}
		out = append(out, name...)
		out = appendSubscript(out, element)
	}
	return string(out)
}

// elementMessage is the message type of the field's values, nil where they are none.
func elementMessage(field protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if field.IsMap() {
		return field.MapValue().Message()
	}
	return field.Message()
}

func appendSubscript(out []byte, element *validate.FieldPathElement) []byte {
	switch subscript := element.GetSubscript().(type) {
	case *validate.FieldPathElement_Index:
		return appendIndex(out, subscript.Index)
	case *validate.FieldPathElement_BoolKey:
		return append(strconv.AppendBool(append(out, '['), subscript.BoolKey), ']')
	case *validate.FieldPathElement_IntKey:
		return append(strconv.AppendInt(append(out, '['), subscript.IntKey, 10), ']')
	case *validate.FieldPathElement_UintKey:
		return appendIndex(out, subscript.UintKey)
	case *validate.FieldPathElement_StringKey:
		return append(strconv.AppendQuote(append(out, '['), subscript.StringKey), ']')
	default:
		return out
	}
}

func appendIndex(out []byte, index uint64) []byte {
	return append(strconv.AppendUint(append(out, '['), index, 10), ']')
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// maxExampleDepth bounds the nesting of examples.
const maxExampleDepth = 4

// bodyExample is a request body that passes the validation rules.
func (o *operation) bodyExample() ([]byte, error) {
	request := dynamicpb.NewMessage(o.rpc.Input())
	fill(request, forRequest, 0)
	setPathParams(request, o.path)
	if o.verb != "patch" { // the rules hold for what results from the change, not for the change alone
		if err := protovalidate.Validate(request); err != nil {
			return nil, fmt.Errorf("the example of the request is not valid: %w", err)
		}
	}
	if o.body == "*" {
		clearPathParams(request, o.path)
		return compact(request, false)
	}
	field := o.rpc.Input().Fields().ByName(protoreflect.Name(o.body))
	resource := request.Mutable(field).Message().Interface().(*dynamicpb.Message)
	if o.verb == "patch" {
		resource = change(resource)
	}
	return compact(resource, false)
}

// setPathParams gives the path's fields their samples, as a request would.
func setPathParams(request protoreflect.Message, path string) {
	for _, param := range pathParam.FindAllString(path, -1) {
		at, leaf := leafOf(request, strings.Trim(param, "{}"))
		if sample, ok := sampleText(leaf); ok {
			at.Set(leaf, protoreflect.ValueOfString(sample))
		}
	}
}

func clearPathParams(request protoreflect.Message, path string) {
	for _, param := range pathParam.FindAllString(path, -1) {
		at, leaf := leafOf(request, strings.Trim(param, "{}"))
		at.Clear(leaf)
	}
}

func leafOf(message protoreflect.Message, path string) (protoreflect.Message, protoreflect.FieldDescriptor) {
	first, rest, nested := strings.Cut(path, ".")
	field := message.Descriptor().Fields().ByName(protoreflect.Name(first))
	if !nested {
		return message, field
	}
	return leafOf(message.Mutable(field).Message(), rest)
}

// change keeps of a resource what a PATCH would plausibly send: its first two texts that may change.
func change(resource *dynamicpb.Message) *dynamicpb.Message {
	out := dynamicpb.NewMessage(resource.Descriptor())
	left := 2
	fields := resource.Descriptor().Fields()
	for i := 0; i < fields.Len() && left > 0; i++ {
		field := fields.Get(i)
		if field.Kind() != protoreflect.StringKind || field.IsList() || !resource.Has(field) || has(field, annotations.FieldBehavior_IMMUTABLE) ||
			field.Name() == "id" || strings.HasSuffix(string(field.Name()), "_id") {
			continue
		}
		out.Set(field, resource.Get(field))
		left--
	}
	return out
}

// responseExample is an answer with every field filled.
func responseExample(output protoreflect.MessageDescriptor) ([]byte, error) {
	if output.FullName() == "google.protobuf.Empty" {
		return []byte("{}"), nil
	}
	response := dynamicpb.NewMessage(output)
	fill(response, forResponse, 0)
	return compact(response, true)
}

func compact(message proto.Message, defaults bool) ([]byte, error) {
	data, err := protojson.MarshalOptions{EmitDefaultValues: defaults}.Marshal(message)
	if err != nil {
		return nil, err
	}
	// protojson varies its spacing from build to build.
	var out bytes.Buffer
	if err := json.Compact(&out, data); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

type purpose int

const (
	forRequest purpose = iota
	forResponse
)

func fill(message protoreflect.Message, why purpose, depth int) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if leftOut(field, why, depth) {
			continue
		}
		switch {
		case field.IsMap():
		case field.IsList():
			fillList(message.Mutable(field).List(), field, why, depth)
		case field.Message() != nil:
			fillMessage(message, field, why, depth)
		default:
			if value, ok := sample(field); ok {
				message.Set(field, value)
			}
		}
	}
}

// leftOut says whether examples do without the field: those of requests without what the server sets, headers stand
// for, or other fields exclude.
func leftOut(field protoreflect.FieldDescriptor, why purpose, depth int) bool {
	if slices.Contains(unusual, string(field.Parent().Name())+"."+string(field.Name())) {
		return true
	}
	if why == forResponse {
		return has(field, annotations.FieldBehavior_INPUT_ONLY)
	}
	switch field.Name() {
	case "request_id", "page_token", "etag", "update_mask":
		return true
	case "id":
		return depth > 0 && !has(field, annotations.FieldBehavior_REQUIRED) && field.Parent().Name() != "Visit"
	}
	return has(field, annotations.FieldBehavior_OUTPUT_ONLY)
}

func fillList(values protoreflect.List, field protoreflect.FieldDescriptor, why purpose, depth int) {
	if depth >= maxExampleDepth {
		return
	}
	if field.Message() == nil {
		if value, ok := sample(field); ok {
			values.Append(value)
		}
		return
	}
	element := values.NewElement()
	fill(element.Message(), why, depth+1)
	values.Append(element)
}

func fillMessage(message protoreflect.Message, field protoreflect.FieldDescriptor, why purpose, depth int) {
	switch field.Message().FullName() {
	case "google.protobuf.Timestamp":
		stamp := message.Mutable(field).Message()
		stamp.Set(stamp.Descriptor().Fields().ByName("seconds"), protoreflect.ValueOfInt64(sampleTime))
	case "google.protobuf.FieldMask":
	default:
		if depth < maxExampleDepth {
			fill(message.Mutable(field).Message(), why, depth+1)
		}
	}
}

func has(field protoreflect.FieldDescriptor, behavior annotations.FieldBehavior) bool {
	behaviors, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, behavior)
}

package main

import (
	"fmt"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

const (
	// datePattern is the pattern of the protos' dates, which OpenAPI has a format for.
	datePattern = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
	uuidPattern = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
)

// applyRules writes the validation rules of every message's fields into its schema.
func (d *document) applyRules() error {
	var problem error
	each(d.schemas, func(name string, schema *yaml.Node) {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			problem = fmt.Errorf("schema %s: %w", name, err)
			return
		}
		if message, ok := found.(protoreflect.MessageDescriptor); ok {
			if err := applyMessageRules(schema, message); err != nil {
				problem = err
			}
		}
	})
	return problem
}

// applyMessageRules writes the rules of the message's fields into the properties, and puts these in the proto's order.
func applyMessageRules(schema *yaml.Node, message protoreflect.MessageDescriptor) error {
	properties := get(schema, "properties")
	var names []string
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		names = append(names, field.JSONName())
		if property := get(properties, field.JSONName()); property != nil {
			if err := applyFieldRules(property, field); err != nil {
				return err
			}
		}
	}
	order(properties, names...)
	return nil
}

func applyFieldRules(schema *yaml.Node, field protoreflect.FieldDescriptor) error {
	rules, err := protovalidate.ResolveFieldRules(field)
	if err != nil {
		return fmt.Errorf("field %s: %w", field.FullName(), err)
	}
	if rules == nil {
		return nil
	}
	if repeated := rules.GetRepeated(); repeated != nil {
		applyRepeated(schema, repeated)
		return nil
	}
	applyScalar(schema, rules)
	order(schema, "type", "format", "description")
	return nil
}

func applyRepeated(schema *yaml.Node, rules *validate.RepeatedRules) {
	if rules.HasMinItems() {
		set(schema, "minItems", number(rules.GetMinItems()))
	}
	if rules.HasMaxItems() {
		set(schema, "maxItems", number(rules.GetMaxItems()))
	}
	if rules.GetUnique() {
		set(schema, "uniqueItems", boolean(true))
	}
	if items := get(schema, "items"); items != nil && rules.GetItems() != nil {
		applyScalar(items, rules.GetItems())
	}
}

func applyScalar(schema *yaml.Node, rules *validate.FieldRules) {
	switch {
	case rules.GetString() != nil:
		applyString(schema, rules.GetString(), rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE)
	case rules.GetInt32() != nil:
		r := rules.GetInt32()
		applyRange(schema, bounds[int32]{
			r.HasGt(), r.GetGt(), r.HasGte(), r.GetGte(), r.HasLt(), r.GetLt(), r.HasLte(), r.GetLte(),
		})
	case rules.GetInt64() != nil:
		// An int64 is a string in JSON, so the range can only be told.
		r := rules.GetInt64()
		if r.HasGte() || r.HasLte() {
			addSentence(schema, fmt.Sprintf("From %d to %d.", r.GetGte(), r.GetLte()))
		}
	}
}

// applyString writes the rules of a string. Where it may be empty, and so comes in answers, it has a pattern that says
// so instead of a format, which a client's generated code would fail on.
func applyString(schema *yaml.Node, rules *validate.StringRules, mayBeEmpty bool) {
	pattern, format := rules.GetPattern(), ""
	switch {
	case rules.GetUuid():
		pattern, format = uuidPattern, "uuid"
	case pattern == datePattern:
		format = "date"
	}
	switch {
	case mayBeEmpty && pattern != "":
		set(schema, "pattern", text("^("+strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$")+")?$"))
	case format != "":
		set(schema, "format", text(format))
	case pattern != "":
		set(schema, "pattern", text(pattern))
	}
	if rules.HasMinLen() {
		set(schema, "minLength", number(rules.GetMinLen()))
	}
	if rules.HasMaxLen() {
		set(schema, "maxLength", number(rules.GetMaxLen()))
	}
	if in := rules.GetIn(); len(in) > 0 {
		values := list()
		for _, s := range in {
			values.Content = append(values.Content, text(s))
		}
		set(schema, "enum", values)
	}
}

type bounds[N int32 | int64] struct {
	hasGt  bool
	gt     N
	hasGte bool
	gte    N
	hasLt  bool
	lt     N
	hasLte bool
	lte    N
}

func applyRange[N int32 | int64](schema *yaml.Node, b bounds[N]) {
	for _, bound := range []struct {
		has   bool
		key   string
		value N
	}{
		{b.hasGt, "exclusiveMinimum", b.gt},
		{b.hasGte, "minimum", b.gte},
		{b.hasLt, "exclusiveMaximum", b.lt},
		{b.hasLte, "maximum", b.lte},
	} {
		if bound.has {
			set(schema, bound.key, number(bound.value))
		}
	}
}

// addSentence adds to the description.
func addSentence(schema *yaml.Node, sentence string) {
	description := valueOf(get(schema, "description"))
	if description != "" {
		description += " "
	}
	set(schema, "description", text(description+sentence))
}

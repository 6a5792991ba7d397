// Package validate checks messages: that they are well formed, then the validation rules of the contract
// (protovalidate). Its errors name every field at fault by its JSON path.
package validate

import (
	"errors"
	"slices"
	"sync"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"circle15.dev/internal/apierr"
)

// Checker checks request messages: that they are well formed, then the validation rules of the contract.
type Checker struct{ rules protovalidate.Validator }

// NewChecker compiles the rules of the messages at once, so that a wrong rule stops the start and no request waits
// for a compilation. Without messages, each is compiled at its first use.
func NewChecker(inputs []protoreflect.MessageDescriptor) (*Checker, error) {
	options := []protovalidate.ValidatorOption{protovalidate.WithAllowUnknownFields()}
	if len(inputs) > 0 {
		options = append(options, protovalidate.WithMessageDescriptors(inputs...), protovalidate.WithDisableLazy())
	}
	rules, err := protovalidate.New(options...)
	if err != nil {
		return nil, err
	}
	return &Checker{rules}, nil
}

// Check returns an Invalid error that names every field at fault by its JSON path.
func (c *Checker) Check(message proto.Message) error {
	if err := wellFormed(message.ProtoReflect()); err != nil {
		return err
	}
	err := c.rules.Validate(message)
	if err == nil {
		return nil
	}
	var broken *protovalidate.ValidationError
	if !errors.As(err, &broken) {
		return apierr.New(apierr.Internal, "internal error").Cause(err)
	}
	return violations(message.ProtoReflect().Descriptor(), broken.Violations)
}

// shared checks what is no request by itself; it compiles the rules of a message at its first use.
var shared = sync.OnceValues(func() (*Checker, error) { return NewChecker(nil) })

// Message is Check for a part of a request: what results from an update, or one element of a batch. field is the part's
// JSON path in the request, before which the names of its own fields go; empty for none.
func Message(field string, message proto.Message) error {
	checks, err := shared()
	if err != nil {
		return apierr.New(apierr.Internal, "internal error").Cause(err)
	}
	err = checks.Check(message)
	e, ok := errors.AsType[*apierr.Error](err)
	if !ok || field == "" || len(e.Fields) == 0 {
		return err
	}
	for i := range e.Fields {
		e.Fields[i].Name = field + "." + e.Fields[i].Name
	}
	e.Message = e.Fields[0].Name + ": " + e.Fields[0].Description
	return e
}

func violations(root protoreflect.MessageDescriptor, broken []*protovalidate.Violation) error {
	out := apierr.New(apierr.Invalid, "the request breaks a rule")
	for _, v := range broken {
		out = out.With(jsonPathOf(root, v.Proto.GetField()), describe(v))
	}
	if len(out.Fields) > 0 {
		out.Message = out.Fields[0].Name + ": " + out.Fields[0].Description
	}
	return out
}

// describe says what is wrong. Of text that is missing it says so, not which pattern it should have had.
func describe(v *protovalidate.Violation) string {
	switch message := v.Proto.GetMessage(); {
	case missing(v):
		return "is required"
	case message == "":
		return "breaks the rule " + v.Proto.GetRuleId()
	default:
		return message
	}
}

func missing(v *protovalidate.Violation) bool {
	field := v.FieldDescriptor
	if field == nil || field.Kind() != protoreflect.StringKind || field.IsList() || v.FieldValue.String() != "" {
		return false
	}
	behaviors, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, annotations.FieldBehavior_REQUIRED)
}

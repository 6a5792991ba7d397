package rpcserver

import (
	"errors"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"circle15.dev/internal/apierr"
)

// checker checks request messages: that they are well formed, then the validation rules of the contract.
type checker struct{ rules protovalidate.Validator }

// newChecker compiles the rules of the messages at once, so that a wrong rule stops the start and no request waits
// for a compilation.
func newChecker(inputs []protoreflect.MessageDescriptor) (*checker, error) {
	rules, err := protovalidate.New(
		protovalidate.WithMessageDescriptors(inputs...),
		protovalidate.WithDisableLazy(),
		protovalidate.WithAllowUnknownFields(),
	)
	if err != nil {
		return nil, err
	}
	return &checker{rules}, nil
}

// check returns an Invalid error that names every field at fault by its JSON path.
func (c *checker) check(message proto.Message) error {
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

func violations(root protoreflect.MessageDescriptor, broken []*protovalidate.Violation) error {
	out := apierr.New(apierr.Invalid, "the request breaks a rule")
	for _, v := range broken {
		description := v.Proto.GetMessage()
		if description == "" {
			description = "breaks the rule " + v.Proto.GetRuleId()
		}
		out = out.With(jsonPathOf(root, v.Proto.GetField()), description)
	}
	if len(out.Fields) > 0 {
		out.Message = out.Fields[0].Name + ": " + out.Fields[0].Description
	}
	return out
}

package rpcserver

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	optionsv1 "circle15.dev/api/options/v1"
)

// method is what the interceptors need to know about an RPC, compiled once so that a request needs no reflection on it.
type method struct {
	full       string // "/circle15.cases.v1.CasesService/GetCase"
	service    string // "circle15.cases.v1.CasesService"
	name       string // "GetCase"
	resource   string // of the authorization rule
	action     string
	descriptor protoreflect.MethodDescriptor
	meters     [doorCount]meters
}

// methodTable maps full method names to methods.
type methodTable map[string]*method

// compileMethods looks up the descriptor and the authorization rule of every method of the registered services. Every
// method without a rule is an error: nobody could have decided who may call it.
func compileMethods(services []*grpc.ServiceDesc) (methodTable, error) {
	table := methodTable{}
	var problems []error
	for _, s := range services {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(s.ServiceName))
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", s.ServiceName, err)
		}
		descriptor, ok := found.(protoreflect.ServiceDescriptor)
		if !ok {
			return nil, fmt.Errorf("%s is not a service", s.ServiceName)
		}
		for _, name := range methodNames(s) {
			m, err := compileMethod(descriptor, name)
			if err != nil {
				problems = append(problems, err)
				continue
			}
			table[m.full] = m
		}
	}
	return table, errors.Join(problems...)
}

func methodNames(s *grpc.ServiceDesc) []string {
	names := make([]string, 0, len(s.Methods)+len(s.Streams))
	for _, m := range s.Methods {
		names = append(names, m.MethodName)
	}
	for _, m := range s.Streams {
		names = append(names, m.StreamName)
	}
	return names
}

func compileMethod(service protoreflect.ServiceDescriptor, name string) (*method, error) {
	full := fmt.Sprintf("/%s/%s", service.FullName(), name)
	descriptor := service.Methods().ByName(protoreflect.Name(name))
	if descriptor == nil {
		return nil, fmt.Errorf("method %s is not in the service's descriptor", full)
	}
	rule, _ := proto.GetExtension(descriptor.Options(), optionsv1.E_Authorization).(*optionsv1.Authorization)
	if rule.GetResource() == "" || rule.GetAction() == "" {
		return nil, fmt.Errorf("method %s has no authorization rule: set the option (circle15.options.v1.authorization)", full)
	}
	return &method{
		full:       full,
		service:    string(service.FullName()),
		name:       name,
		resource:   rule.GetResource(),
		action:     rule.GetAction(),
		descriptor: descriptor,
	}, nil
}

// inputs are the request messages of all methods, sorted by name.
func (t methodTable) inputs() []protoreflect.MessageDescriptor {
	byName := map[protoreflect.FullName]protoreflect.MessageDescriptor{}
	for _, m := range t {
		byName[m.descriptor.Input().FullName()] = m.descriptor.Input()
	}
	inputs := make([]protoreflect.MessageDescriptor, 0, len(byName))
	for _, d := range byName {
		inputs = append(inputs, d)
	}
	slices.SortFunc(inputs, func(a, b protoreflect.MessageDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return inputs
}

package rest

import (
	"fmt"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// route is one HTTP binding of an RPC, compiled from its google.api.http rule.
type route struct {
	httpMethod string
	template   string // "/v1/needs/{id}:meet"
	segments   []segment
	verb       string // "meet", or empty
	rpc        protoreflect.MethodDescriptor
	body       bodyRule
	query      map[string]parameter // by every name that a request may use

	handle runtime.HandlerFunc // the generated handler
}

// segment is one part of a path: a literal, or a parameter with the path of its field ("station.id").
type segment struct {
	literal string
	param   string
}

// bodyRule says what a request body stands for.
type bodyRule struct {
	allowed bool
	message protoreflect.MessageDescriptor // of the body
	prefix  string                         // JSON path of the body within the request message; empty for all of it
}

// parameter is a query parameter.
type parameter struct {
	field protoreflect.FieldDescriptor
	name  string // its JSON name, with those of the messages around it
}

func (p parameter) isFieldMask() bool {
	return p.field.Message() != nil && p.field.Message().FullName() == "google.protobuf.FieldMask"
}

// routesOf compiles the bindings of all methods of the service.
func routesOf(service protoreflect.ServiceDescriptor) ([]*route, error) {
	var routes []*route
	methods := service.Methods()
	for i := range methods.Len() {
		rpc := methods.Get(i)
		rule, _ := proto.GetExtension(rpc.Options(), annotations.E_Http).(*annotations.HttpRule)
		if rule == nil {
			continue // a method without a binding has no REST route
		}
		for _, binding := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
			r, err := newRoute(rpc, binding)
			if err != nil {
				return nil, fmt.Errorf("HTTP rule of %s: %w", rpc.FullName(), err)
			}
			routes = append(routes, r)
		}
	}
	return routes, nil
}

func newRoute(rpc protoreflect.MethodDescriptor, rule *annotations.HttpRule) (*route, error) {
	r := &route{rpc: rpc}
	if r.httpMethod, r.template = methodAndTemplate(rule); r.httpMethod == "" {
		return nil, fmt.Errorf("want get, post, put, patch or delete")
	}
	var err error
	if r.segments, r.verb, err = parseTemplate(r.template); err != nil {
		return nil, err
	}
	if r.body, err = newBodyRule(rpc.Input(), rule.GetBody()); err != nil {
		return nil, err
	}
	if rule.GetBody() != "*" {
		r.query = map[string]parameter{}
		r.addParameters(rpc.Input(), "", "", rule.GetBody(), 0)
	}
	return r, nil
}

func methodAndTemplate(rule *annotations.HttpRule) (method, template string) {
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return "GET", pattern.Get
	case *annotations.HttpRule_Post:
		return "POST", pattern.Post
	case *annotations.HttpRule_Put:
		return "PUT", pattern.Put
	case *annotations.HttpRule_Patch:
		return "PATCH", pattern.Patch
	case *annotations.HttpRule_Delete:
		return "DELETE", pattern.Delete
	default:
		return "", ""
	}
}

// parseTemplate reads templates of literal segments, single-segment parameters and a verb: all that a resource
// collection needs. Multi-segment parameters are refused at start.
func parseTemplate(template string) (segments []segment, verb string, err error) {
	if !strings.HasPrefix(template, "/") {
		return nil, "", fmt.Errorf("template %q does not start with a slash", template)
	}
	path := template[1:]
	if colon := strings.LastIndexByte(path, ':'); colon > strings.LastIndexByte(path, '}') && colon > strings.LastIndexByte(path, '/') {
		path, verb = path[:colon], path[colon+1:]
	}
	for part := range strings.SplitSeq(path, "/") {
		name, isParam := strings.CutPrefix(part, "{")
		switch {
		case isParam && strings.HasSuffix(name, "}") && !strings.ContainsAny(name, "*{"):
			segments = append(segments, segment{param: strings.TrimSuffix(name, "}")})
		case isParam || part == "" || strings.ContainsAny(part, "{}*"):
			return nil, "", fmt.Errorf("template %q: segment %q is not a literal and not {field}", template, part)
		default:
			segments = append(segments, segment{literal: part})
		}
	}
	return segments, verb, nil
}

func newBodyRule(input protoreflect.MessageDescriptor, body string) (bodyRule, error) {
	switch body {
	case "":
		return bodyRule{}, nil
	case "*":
		return bodyRule{allowed: true, message: input}, nil
	}
	field := input.Fields().ByName(protoreflect.Name(body))
	if field == nil || field.Message() == nil || field.IsList() || field.IsMap() {
		return bodyRule{}, fmt.Errorf("body %q is not a message field of %s", body, input.FullName())
	}
	return bodyRule{allowed: true, message: field.Message(), prefix: field.JSONName()}, nil
}

// maxParameterDepth bounds how deep fields of nested messages can be named in a query.
const maxParameterDepth = 4

// addParameters adds the fields of the message that may come in the query: all but the path's and the body's.
func (r *route) addParameters(message protoreflect.MessageDescriptor, jsonPrefix, protoPrefix, body string, depth int) {
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		protoName := protoPrefix + string(field.Name())
		if protoName == body || r.inPath(protoName) || field.IsMap() {
			continue
		}
		jsonName := jsonPrefix + field.JSONName()
		if nested := field.Message(); nested != nil && nested.ParentFile().Package() != "google.protobuf" {
			if !field.IsList() && depth < maxParameterDepth {
				r.addParameters(nested, jsonName+".", protoName+".", body, depth+1)
			}
			continue
		}
		p := parameter{field: field, name: jsonName}
		r.query[jsonName] = p
		r.query[protoName] = p
	}
}

func (r *route) inPath(param string) bool {
	for _, s := range r.segments {
		if s.param == param {
			return true
		}
	}
	return false
}

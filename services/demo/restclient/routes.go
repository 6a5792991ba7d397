package restclient

import (
	"fmt"
	"net/url"
	"strings"
	"sync"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// route is how an RPC is called over REST (google.api.http).
type route struct {
	rpc      protoreflect.MethodDescriptor
	method   string // POST …
	template string // /v1/needs/{id}:meet
	body     string // field of the request, "*" for all of it, or empty
}

// routes are the routes of the circle15 services that are linked in, by the name of their request: each RPC has a
// request message of its own.
var routes = sync.OnceValue(func() map[protoreflect.FullName]route {
	found := map[protoreflect.FullName]route{}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "circle15.") {
			return true
		}
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				if r, ok := routeOf(methods.Get(j)); ok {
					found[r.rpc.Input().FullName()] = r
				}
			}
		}
		return true
	})
	return found
})

func routeOf(rpc protoreflect.MethodDescriptor) (route, bool) {
	rule, ok := proto.GetExtension(rpc.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return route{}, false
	}
	r := route{rpc: rpc, body: rule.GetBody()}
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		r.method, r.template = "GET", pattern.Get
	case *annotations.HttpRule_Post:
		r.method, r.template = "POST", pattern.Post
	case *annotations.HttpRule_Put:
		r.method, r.template = "PUT", pattern.Put
	case *annotations.HttpRule_Patch:
		r.method, r.template = "PATCH", pattern.Patch
	case *annotations.HttpRule_Delete:
		r.method, r.template = "DELETE", pattern.Delete
	default:
		return route{}, false
	}
	return r, true
}

// RPC is the method that takes the request.
func RPC(request proto.Message) (protoreflect.MethodDescriptor, error) {
	r, err := routeFor(request)
	return r.rpc, err
}

func routeFor(request proto.Message) (route, error) {
	name := request.ProtoReflect().Descriptor().FullName()
	r, ok := routes()[name]
	if !ok {
		return route{}, fmt.Errorf("no REST route takes a %s", name)
	}
	return r, nil
}

// call is a request as it goes over the wire.
type call struct {
	method, path   string // path with its query
	body           []byte // JSON, nil for none
	idempotencyKey string
}

// encode writes a request in the form of its route: fields go into the path, the body and the query, as the route says,
// and request_id becomes the Idempotency-Key header.
func encode(request proto.Message) (call, error) {
	r, err := routeFor(request)
	if err != nil {
		return call{}, err
	}
	rest := proto.Clone(request).ProtoReflect()
	c := call{method: r.method}
	if field := rest.Descriptor().Fields().ByName("request_id"); field != nil {
		c.idempotencyKey = rest.Get(field).String()
		rest.Clear(field)
	}
	if c.path, err = r.path(rest); err != nil {
		return c, err
	}
	if c.body, err = r.takeBody(rest); err != nil {
		return c, err
	}
	if query := queryOf(rest); len(query) > 0 {
		c.path += "?" + query.Encode()
	}
	return c, nil
}

// path fills the template, taking the fields that it names from the request.
func (r route) path(request protoreflect.Message) (string, error) {
	var out strings.Builder
	template := r.template
	for {
		before, after, found := strings.Cut(template, "{")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, rest, _ := strings.Cut(after, "}")
		value := take(request, strings.Split(name, "."))
		if value == "" {
			return "", fmt.Errorf("%s needs a %s", r.rpc.Name(), name)
		}
		out.WriteString(url.PathEscape(value))
		template = rest
	}
}

// take removes the text field at the path within the message.
func take(m protoreflect.Message, path []string) string {
	field := m.Descriptor().Fields().ByName(protoreflect.Name(path[0]))
	switch {
	case field == nil || !m.Has(field):
		return ""
	case len(path) > 1:
		return take(m.Mutable(field).Message(), path[1:])
	default:
		value := m.Get(field).String()
		m.Clear(field)
		return value
	}
}

// takeBody removes what goes into the body.
func (r route) takeBody(request protoreflect.Message) ([]byte, error) {
	switch r.body {
	case "":
		return nil, nil
	case "*":
		body, err := protojson.Marshal(request.Interface())
		request.Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			request.Clear(field)
			return true
		})
		return body, err
	default:
		field := request.Descriptor().Fields().ByName(protoreflect.Name(r.body))
		body, err := protojson.Marshal(request.Get(field).Message().Interface())
		request.Clear(field)
		return body, err
	}
}

// queryOf is the fields that are left: texts, numbers, lists of them, and field masks.
func queryOf(request protoreflect.Message) url.Values {
	query := url.Values{}
	request.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsList():
			for i := range value.List().Len() {
				query.Add(field.JSONName(), value.List().Get(i).String())
			}
		case field.Message() != nil && field.Message().FullName() == "google.protobuf.FieldMask":
			paths := value.Message().Get(field.Message().Fields().ByName("paths")).List()
			names := make([]string, 0, paths.Len())
			for i := range paths.Len() {
				names = append(names, paths.Get(i).String())
			}
			query.Set(field.JSONName(), strings.Join(names, ","))
		case field.Enum() != nil:
			query.Set(field.JSONName(), string(field.Enum().Values().ByNumber(value.Enum()).Name()))
		default:
			query.Set(field.JSONName(), value.String())
		}
		return true
	})
	return query
}

package rest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// router finds the route of a path in as many steps as the path has segments. The gateway's own multiplexer tries the
// routes of a method one after another, which with a hundred routes costs more than the rest of the REST door.
type router struct{ root node }

// node is a place in the tree of path segments.
type node struct {
	literals map[string]*node
	param    *node
	ends     map[string]map[string]*route // verb ("" for none) → HTTP method → route
}

func (t *router) add(r *route) error {
	at := &t.root
	for _, s := range r.segments {
		at = at.child(s)
	}
	if at.ends == nil {
		at.ends = map[string]map[string]*route{}
	}
	if at.ends[r.verb] == nil {
		at.ends[r.verb] = map[string]*route{}
	}
	if other := at.ends[r.verb][r.httpMethod]; other != nil {
		return fmt.Errorf("%s %s is the route of %s and of %s", r.httpMethod, r.template, other.rpc.FullName(), r.rpc.FullName())
	}
	at.ends[r.verb][r.httpMethod] = r
	return nil
}

func (n *node) child(s segment) *node {
	if s.param != "" {
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	if n.literals == nil {
		n.literals = map[string]*node{}
	}
	if n.literals[s.literal] == nil {
		n.literals[s.literal] = &node{}
	}
	return n.literals[s.literal]
}

// match is what a path leads to: the routes by HTTP method, and the values of the parameters in order.
type match struct {
	methods map[string]*route
	values  []string
}

// find follows the path. A literal goes before a parameter.
func (t *router) find(u *url.URL) (*match, bool) {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		return nil, false
	}
	m := &match{values: make([]string, 0, 2)}
	return m, t.root.find(path[1:], m)
}

func (n *node) find(path string, m *match) bool {
	part, rest, more := strings.Cut(path, "/")
	if more {
		if next := n.literals[part]; next != nil && next.find(rest, m) {
			return true
		}
		return n.param != nil && m.capture(part, func() bool { return n.param.find(rest, m) })
	}
	// A colon that is no part of a verb would have to be escaped: an unknown verb is not found, rather than a value of
	// the parameter before it.
	verb := ""
	if colon := strings.LastIndexByte(part, ':'); colon >= 0 {
		part, verb = part[:colon], part[colon+1:]
		if verb == "" {
			return false
		}
	}
	return n.end(part, verb, m)
}

// end looks for the last segment with the verb.
func (n *node) end(part, verb string, m *match) bool {
	if last := n.literals[part]; last != nil && last.ends[verb] != nil {
		m.methods = last.ends[verb]
		return true
	}
	if n.param == nil || n.param.ends[verb] == nil {
		return false
	}
	return m.capture(part, func() bool {
		m.methods = n.param.ends[verb]
		return true
	})
}

// capture takes the segment as a parameter's value and, should the rest of the path not match, gives it back. An
// empty segment is no value.
func (m *match) capture(part string, proceed func() bool) bool {
	value, err := url.PathUnescape(part)
	if err != nil || value == "" {
		return false
	}
	m.values = append(m.values, value)
	if proceed() {
		return true
	}
	m.values = m.values[:len(m.values)-1]
	return false
}

// allow is the value of the Allow header: the methods of the path.
func (m *match) allow() string {
	var methods []string
	for method := range m.methods {
		methods = append(methods, method)
		if method == "GET" {
			methods = append(methods, "HEAD")
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// params are the path parameters of the route by the names that the generated handlers use.
func (r *route) params(values []string) map[string]string {
	params := make(map[string]string, len(values))
	for _, s := range r.segments {
		if s.param != "" {
			params[s.param] = values[len(params)]
		}
	}
	return params
}

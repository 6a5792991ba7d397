package rest

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// captured receives the generated handler of a route and the pattern under which it was registered.
type captured struct {
	handle  runtime.HandlerFunc
	pattern string
}

type capturedKey struct{}

// captureHandler is the middleware by which New gets hold of the generated handlers, which the multiplexer would keep
// to itself.
func captureHandler(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		c, ok := r.Context().Value(capturedKey{}).(*captured)
		if !ok {
			next(w, r, params)
			return
		}
		c.handle = next
		if pattern, ok := runtime.HTTPPattern(r.Context()); ok {
			c.pattern = pattern.String()
		}
	}
}

// capture sets the route's generated handler: it sends the multiplexer a request to the route.
func (r *route) capture(mux *runtime.ServeMux) error {
	c := &captured{}
	ctx := context.WithValue(context.Background(), capturedKey{}, c)
	request, err := http.NewRequestWithContext(ctx, r.httpMethod, r.samplePath(), http.NoBody)
	if err != nil {
		return fmt.Errorf("route %s %s: %w", r.httpMethod, r.template, err)
	}
	mux.ServeHTTP(nowhere{}, request)
	if c.pattern != r.pattern() {
		return fmt.Errorf("route %s %s of %s is not registered, or another route takes its requests",
			r.httpMethod, r.template, r.rpc.FullName())
	}
	r.handle = c.handle
	return nil
}

// samplePath is a path that the template matches.
func (r *route) samplePath() string { return r.render(func(string) string { return "sample" }) }

// pattern is the template as the multiplexer writes it.
func (r *route) pattern() string {
	return r.render(func(param string) string { return "{" + param + "=*}" })
}

func (r *route) render(param func(name string) string) string {
	var out strings.Builder
	for _, s := range r.segments {
		out.WriteByte('/')
		out.WriteString(s.literal)
		if s.param != "" {
			out.WriteString(param(s.param))
		}
	}
	if r.verb != "" {
		out.WriteByte(':')
		out.WriteString(r.verb)
	}
	return out.String()
}

// nowhere is a response writer for the answers that nobody reads.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}

package rpcserver

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"sync"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"

	"circle15.dev/api/openapi"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/rpcserver/docs"
	"circle15.dev/internal/rpcserver/problem"
	"circle15.dev/internal/telemetry"
)

// routes is the REST door: a few pages, and the services for all the rest. Only the services' requests make spans.
func (s *Server) routes(gateway http.Handler, methods methodTable) http.Handler {
	pages := map[string]http.Handler{
		"/":             http.RedirectHandler("/docs", http.StatusFound),
		"/healthz":      http.HandlerFunc(healthz),
		"/readyz":       s.readyz(),
		"/openapi.yaml": s.description(methods),
	}
	maps.Copy(pages, docs.Pages())
	maps.Copy(pages, s.options.Pages)
	traced := s.traced(gateway)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		switch {
		case !ok:
			traced.ServeHTTP(w, r)
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			w.Header().Set("X-Content-Type-Options", "nosniff")
			page.ServeHTTP(w, r)
		default:
			w.Header().Set("Allow", "GET, HEAD")
			problem.MethodNotAllowed.With("allowed here: GET, HEAD").Write(w, r)
		}
	})
}

// traced gives every request of the services a span where spans are exported, else a trace id alone, which costs a
// tenth. Metrics are the chain's.
func (s *Server) traced(gateway http.Handler) http.Handler {
	if s.options.Tracing {
		return spanned(gateway)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gateway.ServeHTTP(w, r.WithContext(telemetry.Identify(r.Context(), r.Header.Get("Traceparent"))))
	})
}

// spanned gives every request a span that holds nothing of its target, in which a client may have written anything: a
// name, an identity number. otelhttp, which would put the path into the span, is not shown it; the gateway adds the route.
func spanned(gateway http.Handler) http.Handler {
	type targetKey struct{}
	shown := func(w http.ResponseWriter, r *http.Request) {
		r.URL, _ = r.Context().Value(targetKey{}).(*url.URL) // r is otelhttp's own copy
		gateway.ServeHTTP(w, r)
	}
	traced := otelhttp.NewHandler(http.HandlerFunc(shown), "REST", otelhttp.WithMeterProvider(noop.NewMeterProvider()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hidden := r.WithContext(context.WithValue(r.Context(), targetKey{}, r.URL))
		hidden.URL = &url.URL{}
		traced.ServeHTTP(w, hidden)
	})
}

// description is the OpenAPI description of the services that run here. It is made for the first who asks: that takes
// some 50 ms, which the start of a process can do without.
func (s *Server) description(methods methodTable) http.HandlerFunc {
	served := map[string]bool{}
	for _, m := range methods {
		served[m.name] = true
	}
	selected := sync.OnceValues(func() ([]byte, error) { return openapi.Select(func(id string) bool { return served[id] }) })
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := selected()
		if err != nil {
			s.options.Logger.ErrorContext(r.Context(), "the OpenAPI description", "error", err)
			problem.WriteError(w, r, apierr.New(apierr.Internal, "internal error"))
			return
		}
		w.Header().Set("Content-Type", "application/yaml")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(text) // the client may be gone
	}
}

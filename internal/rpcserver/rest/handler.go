// Package rest is the REST door: it turns HTTP requests into calls of the services over an in-process channel, by the
// handlers that grpc-gateway generated from the google.api.http rules, and is strict about everything that the
// handlers are lax about. Every error is a problem document that names the field at fault.
package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/rpcserver/problem"
	"circle15.dev/internal/telemetry"
)

// Limits bound what a request may be, in bytes and levels.
type Limits struct{ Body, Header, URL, Depth int }

// Config is what a Handler is made of.
type Config struct {
	Services   []protoreflect.ServiceDescriptor
	Register   func(*runtime.ServeMux) error // registers the generated handlers of all Services
	Admit      func(context.Context) error   // says whether the caller of the metadata in ctx is known
	Limits     Limits
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Handler serves the routes of the services.
type Handler struct {
	router  router
	admit   func(context.Context) error
	limits  Limits
	logger  *slog.Logger
	refused *prometheus.CounterVec
}

// New compiles the routes. It fails where two bindings have one route, or a binding has a template that is not made of
// literals, single parameters and a verb.
func New(c Config) (*Handler, error) {
	h := &Handler{limits: c.Limits, admit: c.Admit, logger: c.Logger, refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "circle15_rest_refused_total",
		Help: "REST requests that were refused before they became a call, by HTTP status.",
	}, []string{"status"})}
	if err := c.Registerer.Register(h.refused); err != nil {
		return nil, err
	}
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newCodec()),
		runtime.WithErrorHandler(h.answerError),
		runtime.WithForwardResponseOption(setETag),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }), // metadataOf does it
		runtime.WithOutgoingHeaderMatcher(responseHeader),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
		runtime.WithMiddlewares(captureHandler),
	)
	if err := c.Register(mux); err != nil {
		return nil, err
	}
	for _, service := range c.Services {
		routes, err := routesOf(service)
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			if err := h.add(r, mux); err != nil {
				return nil, err
			}
		}
	}
	return h, nil
}

func (h *Handler) add(r *route, mux *runtime.ServeMux) error {
	if err := r.capture(mux); err != nil {
		return err
	}
	return h.router.add(r)
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.recoverPanic(w, r)
	header := w.Header()
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	if rt, err := h.serve(w, r); err != nil {
		h.refuse(w, r, rt, err)
	}
}

// freeBody is how long a body is read and parsed before it is known who sends it, in bytes. The generated handlers parse
// before the chain verifies the token; for longer bodies, and those of unknown length, the token is verified twice.
const freeBody = 16 << 10

var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// serve hands the request to its route's handler. An error is a refusal: nothing was called and nothing written. The route
// is nil where the request was refused before it was found.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (*route, error) {
	if len(r.RequestURI) > h.limits.URL {
		return nil, refusal{problem.URITooLong.With(fmt.Sprintf("the request target is longer than %d bytes", h.limits.URL))}
	}
	if headerSize(r.Header) > h.limits.Header {
		return nil, refusal{problem.HeaderTooLarge.With(fmt.Sprintf("the headers are larger than %d bytes", h.limits.Header))}
	}
	rt, values, err := h.route(w, r)
	if err != nil {
		return nil, err
	}
	nameSpan(r.Context(), rt)
	return rt, h.serveRoute(w, r, rt, values)
}

func (h *Handler) serveRoute(w http.ResponseWriter, r *http.Request, rt *route, values []string) (err error) {
	x := &exchange{
		route: rt, params: rt.params(values), ifNoneMatch: r.Header.Get("If-None-Match"), tokenSent: r.Header.Get("Authorization") != "",
	}
	if x.query, err = rt.checkQuery(r.URL.RawQuery); err != nil {
		return err
	}
	md, err := metadataOf(r.Header)
	if err != nil {
		return err
	}
	ctx := metadata.NewIncomingContext(r.Context(), md)
	if r.ContentLength < 0 || r.ContentLength > freeBody {
		if err := h.admit(ctx); err != nil {
			return err
		}
	}
	if x.body, err = h.readBody(w, r, rt); err != nil {
		return err
	}
	if err := rt.checkPathAgrees(x.body, x.params); err != nil {
		return err
	}
	ctx = context.WithValue(ctx, exchangeKey{}, x)
	rt.handle(w, x.request(r, ctx), x.params)
	return nil
}

// request is the request as the generated handler gets it: what was checked, and nothing else.
func (x *exchange) request(r *http.Request, ctx context.Context) *http.Request {
	inner := r.WithContext(ctx)
	inner.Method = x.route.httpMethod
	inner.Header, inner.Host, inner.RemoteAddr = nil, "", ""
	inner.Form, inner.PostForm = x.query, x.query
	inner.Body = http.NoBody
	if len(x.body) > 0 {
		inner.Body = newBody(x.body)
	}
	return inner
}

func (h *Handler) route(w http.ResponseWriter, r *http.Request) (*route, []string, error) {
	found, ok := h.router.find(r.URL)
	if !ok {
		return nil, nil, apierr.New(apierr.NotFound, "there is nothing at this path; /openapi.yaml lists the routes")
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body out
	}
	rt := found.methods[method]
	if rt == nil {
		w.Header().Set("Allow", found.allow())
		return nil, nil, refusal{problem.MethodNotAllowed.With("allowed here: " + found.allow())}
	}
	return rt, found.values, nil
}

// nameSpan names the HTTP span by its route, a bounded set.
func nameSpan(ctx context.Context, rt *route) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetName(rt.httpMethod + " " + rt.template)
		span.SetAttributes(attribute.String("http.route", rt.template))
	}
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, rt *route, err error) {
	var e *apierr.Error
	var other refusal
	p := problem.Of(apierr.New(apierr.Internal, "internal error"))
	switch {
	case errors.As(err, &e):
		p = problem.Of(e)
		challenge(w, e, r.Header.Get("Authorization") != "")
	case errors.As(err, &other):
		p = other.Problem
	}
	h.record(r.Context(), rt, p, err)
	p.Write(w, r)
}

// record counts and logs a request that did not become a call, of which the chain knows nothing. The line finds the trace
// id of the problem; what the client wrote is not in it.
func (h *Handler) record(ctx context.Context, rt *route, p problem.Problem, err error) {
	h.refused.WithLabelValues(strconv.Itoa(p.Status)).Inc()
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.Int("status", p.Status), slog.String("problem", p.Type)}
	if rt != nil {
		attrs = append(attrs, slog.String("route", rt.httpMethod+" "+rt.template))
	}
	if p.Status >= http.StatusInternalServerError {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	h.logger.LogAttrs(ctx, level, "refused", attrs...)
}

// recoverPanic answers a panic of the door's own code; those of the services end in the interceptors.
func (h *Handler) recoverPanic(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // a sentinel that is compared by identity, as net/http does
		panic(p)
	}
	telemetry.LogPanic(r.Context(), h.logger, p)
	problem.WriteError(w, r, apierr.New(apierr.Internal, "internal error"))
}

package rest

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/rpcserver/problem"
)

// exchange is what the door knows of a request, for those parts of the answer that the generated handlers leave to it.
type exchange struct {
	route       *route
	params      map[string]string
	query       url.Values
	body        []byte
	ifNoneMatch string
	tokenSent   bool
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// routeOf is the route of an exchange, nil where there is none.
func routeOf(x *exchange) *route {
	if x == nil {
		return nil
	}
	return x.route
}

// responseHeader maps the metadata that a handler sets to response headers; no other metadata leaves.
func responseHeader(key string) (string, bool) {
	switch key {
	case "idempotent-replayed":
		return "Idempotent-Replayed", true
	case "retry-after":
		return "Retry-After", true
	default:
		return "", false
	}
}

// invalidToken is the challenge to who sent a token (RFC 6750, 3.1).
var invalidToken = []string{problem.Challenge + `, error="invalid_token"`}

var errNotModified = errors.New("not modified")

// setETag gives the answer the entity tag of the resource, and ends a conditional GET that finds nothing new.
func setETag(ctx context.Context, w http.ResponseWriter, message proto.Message) error {
	tagged, ok := message.(interface{ GetEtag() string })
	if !ok || tagged.GetEtag() == "" {
		return nil
	}
	tag := tagged.GetEtag()
	w.Header()["Etag"] = []string{tag}
	if x := exchangeOf(ctx); x != nil && x.ifNoneMatch != "" && x.route.httpMethod == http.MethodGet {
		if matched, _ := etag.Contains(x.ifNoneMatch, tag, true); matched {
			return errNotModified
		}
	}
	return nil
}

// answerError writes the errors of the generated handlers: those of the call, and their own about the request.
func (h *Handler) answerError(
	ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error,
) {
	if errors.Is(err, errNotModified) {
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if md, ok := runtime.ServerMetadataFromContext(ctx); ok {
		for key, values := range md.HeaderMD {
			if name, ok := responseHeader(key); ok {
				w.Header()[name] = values
			}
		}
	}
	x := exchangeOf(ctx)
	e, called := errors.AsType[*apierr.Error](err)
	if !called {
		e = h.notCalled(ctx, x, err)
		h.record(ctx, routeOf(x), problem.Of(e), e)
	}
	challenge(w, e, x != nil && x.tokenSent)
	problem.WriteError(w, r, e)
}

// challenge tells who sent a token that it is no good.
func challenge(w http.ResponseWriter, e *apierr.Error, tokenSent bool) {
	if e.Kind == apierr.Unauthenticated && tokenSent {
		w.Header()["Www-Authenticate"] = invalidToken
	}
}

// notCalled is the error of a request of which the generated code made no call: it could not read the request or lost
// the way to the service. What is wrong with a request is looked for, which takes time, and told to a known caller alone.
func (h *Handler) notCalled(ctx context.Context, x *exchange, err error) *apierr.Error {
	if status.Code(err) != codes.InvalidArgument {
		return apierr.New(apierr.Internal, "internal error").Cause(err)
	}
	if unknown := h.admit(ctx); unknown != nil {
		if e, ok := errors.AsType[*apierr.Error](unknown); ok {
			return e
		}
		return apierr.New(apierr.Internal, "internal error").Cause(unknown)
	}
	if x != nil {
		if found := x.fault(); found != nil {
			return found.Cause(err)
		}
	}
	return apierr.New(apierr.Invalid, "the request cannot be read").Cause(err)
}

// fault finds the field that the generated code could not read.
func (x *exchange) fault() *apierr.Error {
	if x.route.body.allowed && len(x.body) > 0 {
		if found := locate(x.body, x.route.body.message); found != nil {
			return x.route.inRequest(found)
		}
	}
	for _, name := range sortedKeys(x.query) {
		trial := dynamicpb.NewMessage(x.route.rpc.Input())
		values := url.Values{name: x.query[name]}
		if runtime.PopulateQueryParameters(trial, values, utilities.NewDoubleArray(nil)) != nil {
			p := x.route.query[name]
			return apierr.InvalidField(p.name, "must be %s", wanted(p.field))
		}
	}
	for name, value := range x.params {
		trial := dynamicpb.NewMessage(x.route.rpc.Input())
		if runtime.PopulateFieldFromPath(trial, name, value) != nil {
			return apierr.InvalidField(name, "in the path has the wrong type")
		}
	}
	return nil
}

// inRequest gives the fields of an error about the body their paths within the request message.
func (r *route) inRequest(e *apierr.Error) *apierr.Error {
	if r.body.prefix == "" || len(e.Fields) != 1 || e.Fields[0].Name == "body" {
		return e
	}
	return apierr.InvalidField(r.jsonPath(e.Fields[0].Name), "%s", e.Fields[0].Description)
}

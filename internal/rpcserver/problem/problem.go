// Package problem writes errors as problem documents (RFC 9457, application/problem+json).
package problem

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"circle15.dev/internal/apierr"
)

// ContentType is the media type of a problem document.
const ContentType = "application/problem+json"

// Challenge is the WWW-Authenticate header of an answer to a request without a token (RFC 6750, 3).
const Challenge = `Bearer realm="circle15"`

// retrySoon is the Retry-After header, in seconds, of an answer that says no other: what is away is mostly back, or another
// replica answers, in a moment (RFC 9110, 15.6.4).
const retrySoon = "1"

const typeBase = "https://circle15.dev/problems/"

// Problem is a problem document.
type Problem struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	Status   int     `json:"status"`
	Detail   string  `json:"detail,omitempty"`
	Instance string  `json:"instance,omitempty"` // urn:trace:<trace id>, by which the logs find the request
	Errors   []Field `json:"errors,omitempty"`
}

// Field says what is wrong with one field of the request.
type Field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Of is the problem document of an error: its public part alone.
func Of(e *apierr.Error) Problem {
	p := Problem{
		Type:   TypeOf(string(e.Kind)),
		Title:  e.Kind.Title(),
		Status: e.Kind.HTTPStatus(),
		Detail: e.Message,
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, Field{f.Name, f.Description})
	}
	return p
}

// TypeOf is the type URI of a kind: INVALID_ARGUMENT becomes …/invalid-argument.
func TypeOf(kind string) string {
	return typeBase + strings.ToLower(strings.ReplaceAll(kind, "_", "-"))
}

// The problems of HTTP itself, which no RPC knows.
var (
	MethodNotAllowed = ofHTTP("METHOD_NOT_ALLOWED", http.StatusMethodNotAllowed, "The path exists, but not with this method")
	URITooLong       = ofHTTP("URI_TOO_LONG", http.StatusRequestURITooLong, "The request target is too long")
	HeaderTooLarge   = ofHTTP("HEADER_TOO_LARGE", http.StatusRequestHeaderFieldsTooLarge, "The request headers are too large")
	UnsupportedMedia = ofHTTP("UNSUPPORTED_MEDIA_TYPE", http.StatusUnsupportedMediaType, "The body's media type is not supported")
	RequestTimeout   = ofHTTP("REQUEST_TIMEOUT", http.StatusRequestTimeout, "The request did not arrive in time")
)

func ofHTTP(kind string, status int, title string) Problem {
	return Problem{Type: TypeOf(kind), Title: title, Status: status}
}

// With returns the problem with a detail.
func (p Problem) With(detail string) Problem {
	p.Detail = detail
	return p
}

// Write writes the problem as the answer to r.
func (p Problem) Write(w http.ResponseWriter, r *http.Request) {
	if span := trace.SpanContextFromContext(r.Context()); span.HasTraceID() {
		p.Instance = "urn:trace:" + span.TraceID().String()
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(p) //nolint:errchkjson // a Problem holds strings and an int: it always encodes
	header := w.Header()
	header.Set("Content-Type", ContentType)
	header.Del("Content-Length")
	if p.Status == http.StatusUnauthorized && header.Get("WWW-Authenticate") == "" {
		header.Set("WWW-Authenticate", Challenge)
	}
	if p.Status == http.StatusServiceUnavailable && header.Get("Retry-After") == "" {
		header.Set("Retry-After", retrySoon)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body.Bytes()) // the client may be gone
}

// WriteError writes the problem document of e as the answer to r.
func WriteError(w http.ResponseWriter, r *http.Request, e *apierr.Error) { Of(e).Write(w, r) }

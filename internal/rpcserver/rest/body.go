package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/rpcserver/problem"
)

// body is a request body that was read and checked. The generated handlers read it again, the codec takes it whole.
type body struct {
	bytes.Reader
	data []byte
}

func newBody(data []byte) *body {
	b := &body{data: data}
	b.Reset(data)
	return b
}

// Close implements io.ReadCloser.
func (*body) Close() error { return nil }

// refusal is a problem that no apierr kind stands for.
type refusal struct{ problem.Problem }

func (r refusal) Error() string { return r.Detail }

// readBody reads the body of a request to the route and checks all that needs no schema: presence, media type, size,
// UTF-8, depth.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, rt *route) ([]byte, error) {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if !rt.body.allowed {
		if n, _ := io.ReadFull(r.Body, make([]byte, 1)); n == 0 {
			return nil, nil
		}
		return nil, apierr.InvalidField("body", "this method takes no body")
	}
	if err := checkMediaType(r.Header); err != nil {
		return nil, err
	}
	limit := int64(h.limits.Body)
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	var buffer bytes.Buffer
	if r.ContentLength > 0 {
		buffer.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buffer.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		return nil, readError(err, limit)
	}
	data := buffer.Bytes()
	if !utf8.Valid(data) {
		return nil, apierr.InvalidField("body", "must be UTF-8")
	}
	if deeper(data, h.limits.Depth) {
		return nil, apierr.InvalidField("body", "is nested deeper than %d levels", h.limits.Depth)
	}
	return data, nil
}

func readError(err error, limit int64) error {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refusal{problem.RequestTimeout.With("the body did not arrive in time")}
	default:
		return apierr.InvalidField("body", "ended before its announced length, or is not well-formed HTTP").Cause(err)
	}
}

func tooLarge(limit int64) error {
	return apierr.New(apierr.TooLarge, "the body is larger than %d bytes", limit).With("body", "is too large")
}

// checkMediaType wants JSON in UTF-8, uncompressed.
func checkMediaType(header http.Header) error {
	unsupported := func(detail string) error { return refusal{problem.UnsupportedMedia.With(detail)} }
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return unsupported("send the body without a Content-Encoding")
	}
	mediaType, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" || len(header["Content-Type"]) > 1 {
		return unsupported("send the body as Content-Type: application/json")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return unsupported("send the body in UTF-8")
	}
	return nil
}

// deeper says whether the JSON text nests objects and arrays deeper than the limit. What is not JSON is left to the
// parser.
func deeper(data []byte, limit int) bool {
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// checkPathAgrees refuses a body that names another value for a field than the path does; the path's would win
// silently.
func (r *route) checkPathAgrees(data []byte, params map[string]string) error {
	if len(data) == 0 || len(params) == 0 || r.body.message == nil {
		return nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return nil //nolint:nilerr // the handler's own parser says what is wrong
	}
	for param, want := range params {
		field := r.rpc.Input().Fields().ByName(protoName(param))
		name := param
		if r.body.prefix != "" {
			first, rest, nested := strings.Cut(param, ".")
			outer := r.rpc.Input().Fields().ByName(protoName(first))
			if !nested || outer == nil || outer.JSONName() != r.body.prefix {
				continue
			}
			field, name = r.body.message.Fields().ByName(protoName(rest)), rest
		}
		if field == nil {
			continue
		}
		for _, key := range []string{name, field.JSONName()} {
			var got string
			if raw, ok := members[key]; ok && json.Unmarshal(raw, &got) == nil && got != "" && got != want {
				return apierr.InvalidField(r.jsonPath(field.JSONName()), "differs from the path's")
			}
		}
	}
	return nil
}

// jsonPath is the path within the request message of a path within the body.
func (r *route) jsonPath(inBody string) string {
	switch {
	case r.body.prefix == "":
		return inBody
	case inBody == "":
		return r.body.prefix
	default:
		return r.body.prefix + "." + inBody
	}
}

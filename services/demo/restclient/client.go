// Package restclient calls the services over REST with the request and reply messages of their contract. The route of a
// request comes from the contract itself (google.api.http), so a client of this package cannot drift from it.
package restclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Client calls one platform with one token. It is safe for concurrent use.
type Client struct {
	Base  string // "http://127.0.0.1:8080"
	Token string
	// Tenant is sent along (Circle15-Tenant) where it is not empty: a token of several tenants needs it.
	Tenant string
	HTTP   *http.Client // nil: http.DefaultClient
	// Patience is how long a call that may be repeated (a read, or a write with a request_id) is repeated while the platform
	// is away or asks to come back later. 0: not at all.
	Patience time.Duration
}

// Problem is an answer that is no success (RFC 9457).
type Problem struct { //nolint:errname // the name that RFC 9457 gives it
	Call   string // "POST /v1/households"
	Status int
	Type   string // "https://circle15.dev/problems/invalid-argument"
	Title  string
	Detail string
	Fields []FieldProblem
}

// FieldProblem is what is wrong with one field of the request.
type FieldProblem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error is one sentence.
func (p *Problem) Error() string {
	what := p.Detail
	if what == "" {
		what = p.Title
	}
	return fmt.Sprintf("%s was answered %d: %s", p.Call, p.Status, strings.TrimRight(what, "."))
}

// Kind is the last segment of the problem's type: "invalid-argument".
func (p *Problem) Kind() string { return p.Type[strings.LastIndexByte(p.Type, '/')+1:] }

// Call sends the request and reads the answer into the reply; a nil reply is not read. Its error is a *Problem where the
// platform answered.
func (c *Client) Call(ctx context.Context, request, reply proto.Message) error {
	wire, err := encode(request)
	if err != nil {
		return err
	}
	repeatable := wire.method == http.MethodGet || wire.idempotencyKey != ""
	began := time.Now()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := c.once(ctx, wire, reply)
		if err == nil || !repeatable || !passes(err) || time.Since(began) >= c.Patience {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // jitter
		}
	}
}

// passes says whether it makes sense to repeat a request after the error. A platform that cannot be reached, is starting or
// stopping or has too much to do may come back at any time. The same request may still be running although its client gave
// up: that is over in a moment. Any other conflict stays.
func passes(err error) bool {
	var problem *Problem
	if !errors.As(err, &problem) {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, errReply)
	}
	switch problem.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return problem.Kind() == "request-in-flight"
	}
}

// errReply marks an answer that cannot be read; sending the request again would not help.
var errReply = errors.New("the answer cannot be read")

func (c *Client) once(ctx context.Context, wire call, reply proto.Message) error {
	request, err := http.NewRequestWithContext(ctx, wire.method, c.Base+wire.path, bytes.NewReader(wire.body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.Token)
	if c.Tenant != "" {
		request.Header.Set("Circle15-Tenant", c.Tenant)
	}
	if wire.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if wire.idempotencyKey != "" {
		request.Header.Set("Idempotency-Key", wire.idempotencyKey)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return problemOf(wire, response.StatusCode, body)
	}
	if reply == nil {
		return nil
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, reply); err != nil {
		return fmt.Errorf("%s %s: %w: %w", wire.method, wire.path, errReply, err)
	}
	return nil
}

func problemOf(wire call, status int, body []byte) *Problem {
	var document struct {
		Type, Title, Detail string
		Errors              []FieldProblem
	}
	_ = json.Unmarshal(body, &document) // an answer that is no problem document has its status alone
	path, _, _ := strings.Cut(wire.path, "?")
	p := &Problem{
		Call: wire.method + " " + path, Status: status, Type: document.Type, Title: document.Title, Detail: document.Detail,
		Fields: document.Errors,
	}
	if p.Title == "" {
		p.Title = http.StatusText(status)
	}
	return p
}

package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/rpcserver/problem"
)

const introduction = `The REST door of Circle15. Every operation is the gRPC method of the same name as well, on the gRPC door.

**Tokens.** Send ` + "`Authorization: Bearer <token>`" + `, an OpenID Connect token of an issuer that the platform
trusts. The tenant comes from the token; a token of several tenants picks one of them with the header
` + "`Circle15-Tenant`" + `. The samples take the token from ` + "`$TOKEN`" + ` and the platform's address from
` + "`$API`" + `, which is ` + "`http://127.0.0.1:8080`" + ` for the demo.

**Errors** are problem documents (RFC 9457, ` + "`application/problem+json`" + `). ` + "`errors`" + ` names every field at
fault by its path in the request message: a body that stands for one field of it, like the station of CreateStation, has that
field's name before its own (` + "`station.displayName`" + `). ` + "`instance`" + ` holds the trace id, by which the logs find the
request.

**Writing safely.** Send an ` + "`Idempotency-Key`" + ` with every write: when the answer got lost, sending the same again returns
the stored answer with ` + "`Idempotent-Replayed: true`" + `, and writes nothing. The same key with another body is refused (400).
One whose first request is still running is refused with 409, the type ` + "`…/problems/request-in-flight`" + ` and
` + "`Retry-After: 1`" + `: send it again in a second; the other types of 409 stay. Send a resource's ` + "`ETag`" + ` as
` + "`If-Match`" + ` to refuse a write on what has changed since (412).

**Lists** come in pages: ` + "`pageSize`" + ` (50 when absent, at most 500) and ` + "`pageToken`" + `, which is the
` + "`nextPageToken`" + ` of the page before, with the same filter.

**JSON.** Names are lowerCamel. Unknown fields and unknown query parameters are refused. Absent and default values are the
same; answers show defaults. 64-bit integers are strings, as in all of protobuf's JSON; counts are 32-bit and numbers.
Creating answers 200.`

func info() *yaml.Node {
	return object(
		"title", "Circle15",
		"version", "v1",
		"summary", "The service circle of a city: stations, visits, cases, activities, and the reports that count them.",
		"description", introduction,
		"license", object("name", "Apache-2.0", "identifier", "Apache-2.0"),
	)
}

func components(schemas *yaml.Node) *yaml.Node {
	return object(
		"securitySchemes", object("bearer", object(
			"type", "http", "scheme", "bearer", "bearerFormat", "JWT",
			"description", "A token of a trusted OpenID Connect issuer. In the demo, `circle15 token` prints one.",
		)),
		"parameters", object(
			"Circle15-Tenant", header("Circle15-Tenant", "The tenant, for tokens of several tenants.", "haikou", 40),
			"Idempotency-Key", header("Idempotency-Key", "A key of the client's own making, one for each write; the same for its repetition.",
				"0f7a4f0c-5a0e-4a53-9f43-1f0a8a3d9c11", 128),
			"If-Match", header("If-Match", "The ETag that the resource must still have.", `"3"`, 0),
			"If-None-Match", header("If-None-Match", "The ETag that the client has; the answer is 304 where it still holds.", `"3"`, 0),
		),
		"headers", object(
			"ETag", object("description", "The revision of the resource.", "schema", object("type", "string"), "example", `"3"`),
			"Idempotent-Replayed", object(
				"description", "Present and true where the answer is the stored one of an earlier request with this Idempotency-Key.",
				"schema", object("type", "string", "enum", list(text("true"))),
			),
			"Retry-After", object(
				"description", "Seconds after which the request may be sent again. With 409, only where the type ends in request-in-flight; "+
					"with 429 and 503, always.",
				"schema", object("type", "integer", "minimum", number(0)), "example", number(1),
			),
		),
		"responses", problems(),
		"schemas", schemas,
	)
}

func header(name, description, example string, maxLength int) *yaml.Node {
	schema := object("type", "string")
	if maxLength > 0 {
		set(schema, "maxLength", number(maxLength))
	}
	return object("name", name, "in", "header", "description", description, "schema", schema, "example", example)
}

// problemNames are the names of the problem responses by status.
var problemNames = map[string]string{
	"400": "BadRequest",
	"401": "Unauthorized",
	"403": "Forbidden",
	"404": "NotFound",
	"409": "Conflict",
	"412": "PreconditionFailed",
	"423": "Locked",
	"429": "TooManyRequests",
}

func problems() *yaml.Node {
	all := object()
	for _, e := range []*apierr.Error{
		apierr.InvalidField("pageSize", "must be an integer"),
		apierr.New(apierr.Unauthenticated, "send a token: Authorization: Bearer <token>"),
		apierr.New(apierr.Denied, "the caller's roles do not permit this"),
		apierr.Missing("case", "0179b3c2-7f00-7a41-8d4e-5b1a2c3d4e5f"),
		apierr.New(apierr.Conflict, "the state of the resource does not allow it"),
		apierr.New(apierr.StaleETag, `the resource is now at etag "4"; read it again`).With("If-Match", "names another revision"),
		apierr.New(apierr.Suspended, "the tenant is suspended"),
		apierr.New(apierr.RateLimited, "the tenant is over its quota of requests a second; try again in a second"),
	} {
		set(all, problemNames[fmt.Sprint(e.Kind.HTTPStatus())], problemResponse(e.Kind.Title()+".", problem.Of(e)))
	}
	conflict := get(all, problemNames["409"])
	set(conflict, "description", text("The request conflicts with the current state, or the first request with its Idempotency-Key "+
		"is still running: the type tells which."))
	set(get(get(conflict, "content"), problem.ContentType), "examples", conflictExamples())
	remove(get(get(conflict, "content"), problem.ContentType), "example")
	set(all, "Problem", problemResponse("Any other problem.", problem.Of(apierr.New(apierr.Unavailable, "try again in a moment"))))
	for _, passing := range []string{problemNames["409"], problemNames["429"], "Problem"} {
		set(get(all, passing), "headers", object("Retry-After", ref("headers/Retry-After")))
	}
	return all
}

// conflictExamples are the types of 409, by the last segment of each.
func conflictExamples() *yaml.Node {
	examples := object()
	for _, e := range []*apierr.Error{
		apierr.New(apierr.Conflict, "the state of the resource does not allow it"),
		apierr.New(apierr.AlreadyExists, "station.id: is taken by another record").With("station.id", "is taken by another record"),
		apierr.New(apierr.QuotaExceeded, "the tenant's quota of 43 stations in operation is used up"),
		apierr.New(apierr.InFlight, "the first request with this Idempotency-Key is still running; try again in a second"),
	} {
		p := problem.Of(e)
		set(examples, p.Type[strings.LastIndexByte(p.Type, '/')+1:], object("summary", e.Kind.Title(), "value", nodeOf(p)))
	}
	return examples
}

func problemResponse(description string, p problem.Problem) *yaml.Node {
	return object("description", description, "content", object(problem.ContentType, object(
		"schema", ref("schemas/Problem"), "example", nodeOf(p),
	)))
}

func nodeOf(p problem.Problem) *yaml.Node {
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and an int
	}
	n, err := parse(data)
	if err != nil {
		panic(err) // JSON is YAML
	}
	return n
}

// addProblemSchema describes problem documents.
func addProblemSchema(schemas *yaml.Node) {
	str := func(description string) *yaml.Node { return object("type", "string", "description", description) }
	set(schemas, "Problem", object(
		"type", "object",
		"description", "A problem document (RFC 9457).",
		"properties", object(
			"type", object("type", "string", "format", "uri", "description", "What kind of problem it is, for programs to tell by."),
			"title", str("The kind in words."),
			"status", object("type", "integer", "description", "The HTTP status."),
			"detail", str("What is wrong with this request."),
			"instance", str("urn:trace: and the trace id."),
			"errors", object("type", "array", "description", "Every field at fault.", "items", object(
				"type", "object",
				"properties", object("field", str("The path of the field, or the name of the header."), "message", str("What is wrong with it.")),
				"required", list(text("field"), text("message")),
			)),
		),
		"required", list(text("type"), text("title"), text("status")),
	))
}

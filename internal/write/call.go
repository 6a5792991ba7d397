package write

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenant"
)

const (
	// keyMetadata carries the key of a request that came with the HTTP header Idempotency-Key.
	keyMetadata = "idempotency-key"
	headerField = "Idempotency-Key"
	// keyProtoField is the field of a request that may hold the key instead (AIP-155).
	keyProtoField = "request_id"
	bodyField     = "requestId"

	maxKeyLength = 128

	iamPackage = "circle15.iam.v1"
)

// call is what is known of a writing RPC before its transaction.
type call struct {
	tenant  tenant.Name
	subject string
	method  string // the full name of the RPC, else of the request's type
	traceID string // W3C Trace Context, hexadecimal; empty where the request is not traced
	request proto.Message

	key      string // empty: none was given
	keyField string // where it was given, as the caller calls it
	digest   []byte // of method, data scope and request; only with a key
}

func newCall(ctx context.Context, req proto.Message) (*call, error) {
	name, err := tenant.From(ctx)
	if err != nil {
		return nil, apierr.New(apierr.Denied, "the request names no tenant").Cause(err)
	}
	who, ok := authn.From(ctx)
	if !ok {
		return nil, apierr.New(apierr.Unauthenticated, "a valid token is required")
	}
	c := &call{tenant: name, subject: who.Subject, method: methodOf(ctx, req), request: req}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		c.traceID = span.TraceID().String()
	}
	if c.key, c.keyField, err = keyOf(ctx, req); err != nil || c.key == "" {
		return c, err
	}
	c.digest, err = digest(c.method, authz.ScopeFrom(ctx), req)
	return c, err
}

func methodOf(ctx context.Context, req proto.Message) string {
	if method, ok := grpc.Method(ctx); ok {
		return method
	}
	return string(req.ProtoReflect().Descriptor().FullName())
}

// keyOf is the idempotency key of the request and the name of the field it came in.
func keyOf(ctx context.Context, req proto.Message) (key, field string, err error) {
	inBody := ""
	if fd := keyDescriptor(req); fd != nil {
		inBody = req.ProtoReflect().Get(fd).String()
	}
	inHeader := metadata.ValueFromIncomingContext(ctx, keyMetadata)
	switch {
	case len(inHeader) == 0 && inBody == "":
		return "", "", nil
	case len(inHeader) == 0:
		return inBody, bodyField, checkKey(bodyField, inBody)
	case len(inHeader) > 1:
		return "", "", apierr.InvalidField(headerField, "must be given once")
	case inBody != "" && inBody != inHeader[0]:
		return "", "", apierr.InvalidField(headerField, "must be the same as %s", bodyField)
	}
	return inHeader[0], headerField, checkKey(headerField, inHeader[0])
}

func checkKey(field, key string) error {
	ok := len(key) > 0 && len(key) <= maxKeyLength
	for i := 0; ok && i < len(key); i++ {
		ok = key[i] >= ' ' && key[i] <= '~'
	}
	if !ok {
		return apierr.InvalidField(field, "must have 1 to %d printable ASCII characters", maxKeyLength)
	}
	return nil
}

// keyDescriptor is the request_id field of the request's type; nil if it has none.
func keyDescriptor(m proto.Message) protoreflect.FieldDescriptor {
	return stringField(m.ProtoReflect(), keyProtoField)
}

func stringField(m protoreflect.Message, name protoreflect.Name) protoreflect.FieldDescriptor {
	fd := m.Descriptor().Fields().ByName(name)
	if fd == nil || fd.Kind() != protoreflect.StringKind || fd.Cardinality() == protoreflect.Repeated {
		return nil
	}
	return fd
}

// digest stands for a request: its method, which records it might reach, and its content without the key, which may come in
// two places. The reply to who could reach other records is not replayed.
func digest(method string, scope authz.Scope, req proto.Message) ([]byte, error) {
	if fd := keyDescriptor(req); fd != nil && req.ProtoReflect().Has(fd) {
		req = proto.Clone(req)
		req.ProtoReflect().Clear(fd)
	}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return nil, apierr.New(apierr.Internal, "internal error").Cause(err)
	}
	sum := sha256.New()
	sum.Write([]byte(method + "\x00" + string(scope.Level) + "\x00"))
	for _, station := range slices.SortedFunc(slices.Values(scope.Stations), ids.Compare) {
		sum.Write(station[:])
	}
	sum.Write([]byte{0})
	sum.Write(content)
	return sum.Sum(nil), nil
}

// lockKey is the advisory lock of the key in this tenant and of this subject.
func (c *call) lockKey() int64 {
	sum := sha256.Sum256([]byte(string(c.tenant) + "\x00" + c.subject + "\x00" + c.key))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// resourceID is the id of the record that a write was about: the key of the first message that has one, or else of a
// message in it.
func resourceID(messages ...proto.Message) string {
	for _, m := range messages {
		if id := idIn(m.ProtoReflect()); id != "" {
			return id
		}
	}
	for _, m := range messages {
		if id := idInside(m.ProtoReflect()); id != "" {
			return id
		}
	}
	return ""
}

func idIn(m protoreflect.Message) string {
	if fd := keyField(m); fd != nil {
		return m.Get(fd).String()
	}
	return ""
}

// keyField is the field that tells one record of the message's type from another: id. Of what the package iam keeps, which
// has no id, it is name; elsewhere a name may be a person's, and has no place in the audit trail.
func keyField(m protoreflect.Message) protoreflect.FieldDescriptor {
	if fd := stringField(m, "id"); fd != nil {
		return fd
	}
	if m.Descriptor().ParentFile().Package() == iamPackage {
		return stringField(m, "name")
	}
	return nil
}

func idInside(m protoreflect.Message) string {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.Kind() != protoreflect.MessageKind || fd.Cardinality() == protoreflect.Repeated || !m.Has(fd) {
			continue
		}
		if id := idIn(m.Get(fd).Message()); id != "" {
			return id
		}
	}
	return ""
}

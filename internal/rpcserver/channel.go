package rpcserver

import (
	"context"
	"sync"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// channel is the in-process connection from the REST door to the services: every call goes through the same
// interceptors as at the gRPC door. Streams take inprocgrpc's way; unary calls, which is nearly all of them, run on the
// caller's goroutine (README.md has the measurement).
type channel struct {
	inprocgrpc.Channel
	unary map[string]unaryHandler
	chain grpc.UnaryServerInterceptor
}

type unaryHandler struct {
	implementation any
	call           grpc.MethodHandler
}

func newChannel(ch *chain) *channel {
	c := &channel{unary: map[string]unaryHandler{}, chain: ch.unary()}
	c.WithServerStreamInterceptor(joinSpan(ch.stream(doorREST)))
	return c
}

// RegisterService implements grpc.ServiceRegistrar.
func (c *channel) RegisterService(desc *grpc.ServiceDesc, implementation any) {
	c.Channel.RegisterService(desc, implementation)
	for _, m := range desc.Methods {
		c.unary["/"+desc.ServiceName+"/"+m.MethodName] = unaryHandler{implementation, m.Handler}
	}
}

// Invoke implements grpc.ClientConnInterface for unary calls. The values of ctx, the span among them,
// stay.
func (c *channel) Invoke(ctx context.Context, fullMethod string, args, reply any, opts ...grpc.CallOption) error {
	h, ok := c.unary[fullMethod]
	if !ok {
		return status.Errorf(codes.Unimplemented, "method %s is not implemented", fullMethod)
	}
	stream := &transportStream{method: fullMethod}
	ctx = grpc.NewContextWithServerTransportStream(incoming(ctx), stream)
	decode := func(request any) error { return hand(request, args) }
	resp, err := h.call(h.implementation, ctx, decode, c.chain)
	stream.deliver(opts)
	if err != nil {
		return err
	}
	return hand(reply, resp)
}

// incoming makes the caller's outgoing metadata the handler's incoming metadata. The REST door sets the incoming one
// itself, which spares the copies, and has no outgoing one.
func incoming(ctx context.Context) context.Context {
	if md, ok := metadata.FromOutgoingContext(ctx); ok {
		return metadata.NewIncomingContext(ctx, md)
	}
	return ctx
}

// hand gives the content of one message to another of the same type. The giver is not used again but for reading, so
// lists of messages, where copies would be dear, are shared; else they are merged, which is faster for single messages.
func hand(to, from any) error {
	target, ok := to.(proto.Message)
	source, ok2 := from.(proto.Message)
	if !ok || !ok2 {
		return status.Errorf(codes.Internal, "cannot hand %T to %T", from, to)
	}
	reflected := source.ProtoReflect()
	if !hasMessageList(reflected.Descriptor()) {
		proto.Merge(target, source)
		return nil
	}
	destination := target.ProtoReflect()
	reflected.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		destination.Set(field, value)
		return true
	})
	return nil
}

// hasMessageList says whether the message has a repeated field of messages.
func hasMessageList(message protoreflect.MessageDescriptor) bool {
	fields := message.Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.IsList() && f.Message() != nil {
			return true
		}
	}
	return false
}

// transportStream collects the headers and trailers that a handler sets with grpc.SetHeader and grpc.SetTrailer.
type transportStream struct {
	method string

	mu              sync.Mutex
	header, trailer metadata.MD
}

func (s *transportStream) Method() string { return s.method }

func (s *transportStream) SetHeader(md metadata.MD) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.header = metadata.Join(s.header, md)
	return nil
}

func (s *transportStream) SendHeader(md metadata.MD) error { return s.SetHeader(md) }

func (s *transportStream) SetTrailer(md metadata.MD) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trailer = metadata.Join(s.trailer, md)
	return nil
}

// deliver hands what was collected to the caller's grpc.Header and grpc.Trailer options.
func (s *transportStream) deliver(opts []grpc.CallOption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, opt := range opts {
		switch o := opt.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = s.header
		case grpc.TrailerCallOption:
			*o.TrailerAddr = s.trailer
		}
	}
}

// joinSpan gives a stream's handler the span of its caller, which inprocgrpc leaves behind with all other values.
func joinSpan(next grpc.StreamServerInterceptor) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if caller := inprocgrpc.ClientContext(ss.Context()); caller != nil {
			ss = contextStream{ss, trace.ContextWithSpan(ss.Context(), trace.SpanFromContext(caller))}
		}
		return next(srv, ss, info, handler)
	}
}

type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s contextStream) Context() context.Context { return s.ctx }

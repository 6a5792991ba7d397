package rpcserver

import (
	"context"
	"errors"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	encodingproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
)

// grpcDesc is the service as the gRPC door registers it: its unary methods run the chain before their message is read,
// and the step receive reads it. gRPC's own interceptors come after the reading.
func (ch *chain) grpcDesc(desc *grpc.ServiceDesc) *grpc.ServiceDesc {
	out := *desc
	out.Methods = slices.Clone(desc.Methods)
	for i := range out.Methods {
		m := ch.methods["/"+desc.ServiceName+"/"+out.Methods[i].MethodName]
		out.Methods[i].Handler = ch.receiving(m, out.Methods[i].Handler)
	}
	return &out
}

// receiving is the generated handler of a method within the chain. It decodes the request, and then calls its
// interceptor, in which the chain goes on.
func (ch *chain) receiving(m *method, generated grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var resp any
		c := &call{method: m, door: doorGRPC, rest: ch.steps}
		c.receive = func(ctx context.Context, caller authn.Principal) error {
			inTurn := func(message any) error { return ch.intake.receive(ctx, caller.Subject, decode, message) }
			goOn := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				c.request, _ = req.(proto.Message)
				c.handle = func(ctx context.Context) (err error) {
					resp, err = handler(ctx, req)
					return err
				}
				return nil, c.next(ctx)
			}
			_, err := generated(srv, ctx, inTurn, goOn)
			return err
		}
		if err := c.next(ctx); err != nil {
			return nil, atDoor(doorGRPC, err)
		}
		return resp, nil
	}
}

// receive reads the message of a call that has come without it, which are the unary ones of the gRPC door: of a caller
// who is known, and of nobody else.
func receive(admit admission) step {
	return func(ctx context.Context, c *call) error {
		if c.receive == nil {
			return c.next(ctx)
		}
		caller, err := admit(ctx)
		if err != nil {
			return err
		}
		return c.receive(ctx, caller)
	}
}

// receive reads a message of the caller by decode, in its turn. Errors: Invalid for what is not a message of the type,
// those of enter, and io.EOF at the end of a stream.
func (in *intake) receive(ctx context.Context, caller string, decode func(any) error, message any) error {
	leave, err := in.enter(ctx, caller)
	if err != nil {
		return err
	}
	defer leave()
	e := &envelope{message: message}
	if err := decode(e); err != nil {
		if !errors.Is(err, io.EOF) && status.Code(err) == codes.Internal { // gRPC's word for what it cannot read
			return apierr.New(apierr.Invalid, "the message is cut short or is not well-formed gRPC").Cause(err)
		}
		return err
	}
	if e.fault != nil {
		return apierr.New(apierr.Invalid, "the message is not of the method's type in protobuf's wire format, with text in UTF-8").Cause(e.fault)
	}
	return nil
}

// envelope takes a message, and why it could not be decoded.
type envelope struct {
	message any
	fault   error
}

// codec is gRPC's own for protobuf but for envelopes: a message that cannot be decoded into one is no error of the
// transport. gRPC would end the call as INTERNAL by itself, and the chain could neither answer it nor tell why.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(encodingproto.Name)} }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if e, ok := v.(*envelope); ok {
		e.fault = c.CodecV2.Unmarshal(data, e.message)
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// limitStreams gives every stream of the gRPC door its time before any of it is read: a call's time for receiving and
// handling together, less for what is open to all. It ends also the wait for a message that never comes.
func (ch *chain) limitStreams(l Limits) tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		limit := l.Time
		if ch.methods[info.FullMethodName] != nil {
			limit += l.ReadBody
		}
		limited, cancel := context.WithTimeout(ctx, limit)
		context.AfterFunc(ctx, cancel) // the stream has ended
		return limited, nil
	}
}

// open registers services that ask for no token, health and reflection, each with few places for arriving messages.
type open struct{ *grpc.Server }

// RegisterService implements grpc.ServiceRegistrar.
func (o open) RegisterService(desc *grpc.ServiceDesc, implementation any) {
	in := newIntake(maxArrivingOpen, maxArrivingOpen, maxArrivingOpen)
	out := *desc
	out.Methods, out.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i := range out.Methods {
		generated := out.Methods[i].Handler
		out.Methods[i].Handler = func(srv any, ctx context.Context, decode func(any) error, next grpc.UnaryServerInterceptor) (any, error) {
			return generated(srv, ctx, func(m any) error { return in.receiveOpen(ctx, decode, m) }, next)
		}
	}
	for i := range out.Streams {
		generated := out.Streams[i].Handler
		out.Streams[i].Handler = func(srv any, ss grpc.ServerStream) error { return generated(srv, openStream{ss, in}) }
	}
	o.Server.RegisterService(&out, implementation)
}

// receiveOpen is receive of a caller who need not be known.
func (in *intake) receiveOpen(ctx context.Context, decode func(any) error, message any) error {
	err := in.receive(ctx, "", decode, message)
	if e, ok := errors.AsType[*apierr.Error](err); ok {
		return atDoor(doorGRPC, e)
	}
	return err
}

type openStream struct {
	grpc.ServerStream
	intake *intake
}

func (s openStream) RecvMsg(m any) error {
	return s.intake.receiveOpen(s.Context(), s.ServerStream.RecvMsg, m)
}

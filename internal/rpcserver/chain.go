package rpcserver

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"circle15.dev/internal/authn"
	"circle15.dev/internal/tenant"
)

// door is where a request came in.
type door int

const (
	doorGRPC door = iota
	doorREST
	doorCount
)

func (d door) String() string {
	if d == doorREST {
		return "rest"
	}
	return "grpc"
}

// step is one interceptor. It works on unary and streaming calls alike, at both doors: it does its part, calls
// c.next and does the rest of its part.
type step func(ctx context.Context, c *call) error

// call is one RPC on its way through the steps.
type call struct {
	*method
	door      door
	request   proto.Message // nil for a stream, whose messages are checked as they come, and before receive
	principal authn.Principal
	tenant    tenant.Name // set once resolved; the steps outside of that read it when the call is done

	rest    []step
	receive func(ctx context.Context, caller authn.Principal) error // reads request, sets handle and goes on; nil where they are there
	handle  func(context.Context) error
}

// next runs the steps that are left and, after the last, the handler.
func (c *call) next(ctx context.Context) error {
	if len(c.rest) == 0 {
		return c.handle(ctx)
	}
	s := c.rest[0]
	c.rest = c.rest[1:]
	return s(ctx, c)
}

// chain is the one slice of interceptors that every RPC goes through.
type chain struct {
	methods methodTable
	steps   []step
	intake  *intake                   // of the gRPC door
	check   func(proto.Message) error // the check of a stream's messages, the same that a unary call's request gets
}

// unary is the chain as gRPC's interceptor for unary calls of the REST door; those of the gRPC door are receiving.
func (ch *chain) unary() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		var resp any
		c := &call{method: ch.methods[info.FullMethod], door: doorREST, rest: ch.steps}
		c.request, _ = req.(proto.Message)
		c.handle = func(ctx context.Context) (err error) {
			resp, err = handler(ctx, req)
			return err
		}
		if err := c.next(ctx); err != nil {
			return nil, atDoor(doorREST, err)
		}
		return resp, nil
	}
}

// stream is the chain as gRPC's interceptor for streaming calls of the door.
func (ch *chain) stream(d door) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		m := ch.methods[info.FullMethod]
		if m == nil { // health and reflection, which the server itself registers, are open to all
			return handler(srv, ss)
		}
		c := &call{method: m, door: d, rest: ch.steps}
		c.handle = func(ctx context.Context) error {
			checked := &checkedStream{ServerStream: ss, ctx: ctx, receive: ss.RecvMsg, check: ch.check}
			if d == doorGRPC {
				checked.receive = func(m any) error { return ch.intake.receive(ctx, c.principal.Subject, ss.RecvMsg, m) }
			}
			return handler(srv, checked)
		}
		if err := c.next(ss.Context()); err != nil {
			return atDoor(d, err)
		}
		return nil
	}
}

// checkedStream carries the context that the steps made and checks every message received.
type checkedStream struct {
	grpc.ServerStream
	ctx     context.Context
	receive func(message any) error
	check   func(proto.Message) error
}

func (s *checkedStream) Context() context.Context { return s.ctx }

func (s *checkedStream) RecvMsg(m any) error {
	if err := s.receive(m); err != nil {
		return err
	}
	if message, ok := m.(proto.Message); ok {
		return s.check(message)
	}
	return nil
}

// atDoor is the error as the door's own code takes it: gRPC a status, which holds the public part alone; REST the
// error itself, so that the problem document is written without a detour over status details.
func atDoor(d door, err error) error {
	e := publicError(err)
	if d == doorGRPC {
		return e.GRPCStatus().Err()
	}
	return e
}

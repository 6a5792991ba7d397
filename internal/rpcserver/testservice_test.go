package rpcserver_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	optionsv1 "circle15.dev/api/options/v1"
	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/tenant"
)

// testService is a service made by hand with one bidirectional stream, which no service of the platform has: it
// answers every GetStationRequest with the station in the tenant of the call.
type testService struct{ name string }

func rule(resource, action string) *optionsv1.Authorization {
	return &optionsv1.Authorization{Resource: resource, Action: action}
}

// newTestService registers the descriptor of circle15.test.v1.<name>; a name serves once in a process.
func newTestService(t *testing.T, name string, authorization *optionsv1.Authorization) *testService {
	t.Helper()
	options := &descriptorpb.MethodOptions{}
	if authorization != nil {
		proto.SetExtension(options, optionsv1.E_Authorization, authorization)
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("circle15/test/v1/" + name + ".proto"), Package: new("circle15.test.v1"), Syntax: new("proto3"),
		Dependency: []string{"circle15/registry/v1/registry.proto", "circle15/options/v1/options.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: new(name),
			Method: []*descriptorpb.MethodDescriptorProto{{
				Name: new("Exchange"), ClientStreaming: new(true), ServerStreaming: new(true),
				InputType: new(".circle15.registry.v1.GetStationRequest"), OutputType: new(".circle15.registry.v1.Station"),
				Options: options,
			}},
		}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	if err := protoregistry.GlobalFiles.RegisterFile(file); err != nil {
		t.Fatal(err)
	}
	return &testService{"circle15.test.v1." + name}
}

func (s *testService) Name() string { return s.name }

func (s *testService) RegisterGRPC(r grpc.ServiceRegistrar) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: s.name, HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Exchange", ServerStreams: true, ClientStreams: true, Handler: answerStream}},
	}, s)
}

func (*testService) RegisterGateway(context.Context, *runtime.ServeMux, grpc.ClientConnInterface) error {
	return nil
}

func answerStream(_ any, stream grpc.ServerStream) error {
	name, err := tenant.From(stream.Context())
	if err != nil {
		return err
	}
	for {
		var request registryv1.GetStationRequest
		if err := stream.RecvMsg(&request); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(&registryv1.Station{Id: string(name) + "/" + request.GetId()}); err != nil {
			return err
		}
	}
}

// exchange sends the ids and returns the answers.
func (s *testService) exchange(conn grpc.ClientConnInterface, token string, ids ...string) ([]string, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+s.name+"/Exchange")
	if err != nil {
		return nil, err
	}
	var answers []string
	for _, id := range ids {
		if err := stream.SendMsg(&registryv1.GetStationRequest{Id: id}); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		var station registryv1.Station
		if err := stream.RecvMsg(&station); err != nil {
			return nil, err
		}
		answers = append(answers, station.GetId())
	}
	return answers, stream.CloseSend()
}

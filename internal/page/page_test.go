package page_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	_ "circle15.dev/api/activities/v1"
	_ "circle15.dev/api/cases/v1"
	_ "circle15.dev/api/iam/v1"
	_ "circle15.dev/api/registry/v1"
	_ "circle15.dev/api/reporting/v1"
	_ "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/validate"
)

// listRequest is a list request with the fields page_size, page_token and the filters name and labels.
type listRequest struct{ *dynamicpb.Message }

func (r listRequest) field(name protoreflect.Name) protoreflect.FieldDescriptor {
	return r.Descriptor().Fields().ByName(name)
}
func (r listRequest) GetPageSize() int32   { return int32(r.Get(r.field("page_size")).Int()) }
func (r listRequest) GetPageToken() string { return r.Get(r.field("page_token")).String() }

func (r listRequest) with(size int32, token, name string) listRequest {
	r = listRequest{proto.Clone(r.Message).(*dynamicpb.Message)}
	r.Set(r.field("page_size"), protoreflect.ValueOfInt32(size))
	r.Set(r.field("page_token"), protoreflect.ValueOfString(token))
	r.Set(r.field("name"), protoreflect.ValueOfString(name))
	return r
}

func newRequest(t testing.TB, messageName string) listRequest {
	t.Helper()
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: &name, Number: &number, Type: &kind, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("test.proto"), Package: new("test"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new(messageName),
			Field: []*descriptorpb.FieldDescriptorProto{
				field("page_size", 1, descriptorpb.FieldDescriptorProto_TYPE_INT32),
				field("page_token", 2, descriptorpb.FieldDescriptorProto_TYPE_STRING),
				field("name", 3, descriptorpb.FieldDescriptorProto_TYPE_STRING),
			},
		}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return listRequest{dynamicpb.NewMessage(file.Messages().Get(0))}
}

func inTenant(name tenant.Name) context.Context { return tenant.With(context.Background(), name) }

func TestThePageSizeHasADefault(t *testing.T) {
	codec, req := page.NewCodec([]byte("key")), newRequest(t, "ListRequest")
	for size, want := range map[int32]int32{0: 50, 1: 1, 500: 500} {
		p, err := codec.Start(inTenant("haikou"), req.with(size, "", ""))
		if err != nil || p.Limit != want || p.After != "" {
			t.Errorf("page_size %d: %+v, %v; want limit %d", size, p, err, want)
		}
	}
}

func TestEveryListOfTheContractRefusesASizeOfNoPage(t *testing.T) {
	var lists []page.Request
	var inputs []protoreflect.MessageDescriptor
	protoregistry.GlobalTypes.RangeMessages(func(m protoreflect.MessageType) bool {
		if list, ok := m.New().Interface().(page.Request); ok {
			lists, inputs = append(lists, list), append(inputs, m.Descriptor())
		}
		return true
	})
	checker, err := validate.NewChecker(inputs)
	if err != nil || len(lists) < 20 {
		t.Fatalf("%d lists: %v", len(lists), err)
	}
	for _, list := range lists {
		for size, good := range map[int32]bool{-1: false, 0: true, page.MaxSize: true, page.MaxSize + 1: false} {
			request := list.ProtoReflect().New()
			request.Set(request.Descriptor().Fields().ByName("page_size"), protoreflect.ValueOfInt32(size))
			err := checker.Check(request.Interface())
			var e *apierr.Error // of the size, or of a field that is required
			refused := errors.As(err, &e) && slices.ContainsFunc(e.Fields, func(f apierr.Field) bool { return f.Name == "pageSize" })
			if refused == good {
				t.Errorf("%s: page_size %d: %v", request.Descriptor().Name(), size, err)
			}
		}
	}
}

func TestATokenContinuesItsOwnList(t *testing.T) {
	codec, req := page.NewCodec([]byte("key")), newRequest(t, "ListRequest")
	rapid.Check(t, func(t *rapid.T) {
		cursor := rapid.StringN(1, -1, 100).Draw(t, "cursor")
		filter := rapid.String().Draw(t, "filter")
		firstSize, nextSize := rapid.Int32Range(0, page.MaxSize).Draw(t, "first"), rapid.Int32Range(0, page.MaxSize).Draw(t, "next")
		token := codec.Next(inTenant("haikou"), req.with(firstSize, "", filter), cursor)
		// Another page size, and the earlier token in the request, are not part of the filter (AIP-158).
		p, err := codec.Start(inTenant("haikou"), req.with(nextSize, token, filter))
		if err != nil || p.After != cursor {
			t.Fatalf("cursor %q came back as %q, %v", cursor, p.After, err)
		}
	})
}

func TestATokenOfAnotherListIsRefused(t *testing.T) {
	req := newRequest(t, "ListRequest")
	token := page.NewCodec([]byte("key")).Next(inTenant("haikou"), req.with(0, "", "a"), "cursor")
	for name, try := range map[string]struct {
		key string
		ctx context.Context
		req listRequest
	}{
		"another tenant":  {"key", inTenant("sanya"), req.with(0, token, "a")},
		"no tenant":       {"key", context.Background(), req.with(0, token, "a")},
		"another filter":  {"key", inTenant("haikou"), req.with(0, token, "b")},
		"another method":  {"key", inTenant("haikou"), newRequest(t, "ListOthersRequest").with(0, token, "a")},
		"another key":     {"other", inTenant("haikou"), req.with(0, token, "a")},
		"cut":             {"key", inTenant("haikou"), req.with(0, token[:len(token)-4], "a")},
		"changed":         {"key", inTenant("haikou"), req.with(0, "A"+token[1:], "a")},
		"padded":          {"key", inTenant("haikou"), req.with(0, token+"=", "a")},
		"a line longer":   {"key", inTenant("haikou"), req.with(0, token+"\n", "a")},
		"of two lines":    {"key", inTenant("haikou"), req.with(0, token[:9]+"\r\n"+token[9:], "a")},
		"not base64":      {"key", inTenant("haikou"), req.with(0, "?", "a")},
		"a plain id":      {"key", inTenant("haikou"), req.with(0, uuid.NewString(), "a")},
		"very long":       {"key", inTenant("haikou"), req.with(0, strings.Repeat("A", 1<<20), "a")},
		"shorter than it": {"key", inTenant("haikou"), req.with(0, "AAAA", "a")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := page.NewCodec([]byte(try.key)).Start(try.ctx, try.req)
			wantField(t, err, "pageToken")
		})
	}
}

func TestACursorThatIsNoIDIsRefusedWhereIDsAreListed(t *testing.T) {
	codec, req, ctx := page.NewCodec([]byte("key")), newRequest(t, "ListRequest"), inTenant("haikou")
	if _, id, err := codec.StartAtID(ctx, req.with(0, "", "")); err != nil || id != uuid.Nil {
		t.Errorf("at the start: %v, %v", id, err)
	}
	want := uuid.New()
	p, id, err := codec.StartAtID(ctx, req.with(7, codec.Next(ctx, req, want.String()), ""))
	if err != nil || id != want || p.Limit != 7 {
		t.Errorf("got %v, %v, %v; want %v", p, id, err, want)
	}
	_, _, err = codec.StartAtID(ctx, req.with(0, codec.Next(ctx, req, "2021-05"), ""))
	wantField(t, err, "pageToken")
	_, _, err = codec.StartAtID(ctx, req.with(0, "forged", ""))
	wantField(t, err, "pageToken")
}

func TestOneRowMoreThanAskedForMakesATokenOfTheLastThatIsShown(t *testing.T) {
	codec, req, ctx := page.NewCodec([]byte("key")), newRequest(t, "ListRequest"), inTenant("haikou")
	for name, tt := range map[string]struct {
		selected []int
		messages []string
		next     string
	}{
		"none":  {nil, []string{}, ""},
		"fewer": {[]int{1}, []string{"row 1"}, ""},
		"all":   {[]int{1, 2}, []string{"row 1", "row 2"}, ""},
		"more":  {[]int{1, 2, 3}, []string{"row 1", "row 2"}, "2"},
	} {
		messages, next := page.Answer(ctx, codec, req, page.Page{Limit: 2}, tt.selected, strconv.Itoa,
			func(n int) string { return "row " + strconv.Itoa(n) })
		p, err := codec.Start(ctx, req.with(0, next, ""))
		if diff := cmp.Diff(tt.messages, messages); diff != "" || err != nil || p.After != tt.next {
			t.Errorf("%s: after %q, %v; (-want +got)\n%s", name, p.After, err, diff)
		}
	}
}

func FuzzAnyTokenIsOpenedOrRefusedByName(f *testing.F) {
	codec, req := page.NewCodec([]byte("key")), newRequest(f, "ListRequest")
	const cursor = "0193f1c2-7b1e-7cc0-9a51-0d8f0e1c2b3a"
	good := codec.Next(inTenant("haikou"), req.with(0, "", ""), cursor)
	for _, seed := range []string{"", good, good[:10], good + good, "%00", "\x00", strings.Repeat("A", 2000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		p, err := codec.Start(inTenant("haikou"), req.with(0, token, ""))
		switch {
		case err != nil:
			wantField(t, err, "pageToken")
		case token != "" && p.After != cursor: // only tokens that the codec made open
			t.Fatalf("a forged token %q opened as %q", token, p.After)
		}
	})
}

func wantField(t *testing.T, err error, field string) {
	t.Helper()
	var e *apierr.Error
	if !errors.As(err, &e) || e.Kind != apierr.Invalid || len(e.Fields) != 1 || e.Fields[0].Name != field {
		t.Fatalf("got %v, want an Invalid error about %s", err, field)
	}
}

package rest

import (
	"bytes"
	"fmt"
	"io"
	"reflect"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// codec is the JSON of the REST door: lowerCamel names, defaults shown (a count of zero is a figure too), unknown
// fields refused.
type codec struct{ runtime.JSONPb }

func newCodec() *codec {
	return &codec{runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{EmitDefaultValues: true},
		UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
	}}
}

// Marshal implements runtime.Marshaler.
func (c *codec) Marshal(v any) ([]byte, error) {
	if message, ok := v.(proto.Message); ok {
		return encode(message)
	}
	return c.JSONPb.Marshal(v)
}

// NewDecoder implements runtime.Marshaler. Unlike JSONPb's, its decoder takes the whole body, so that anything after
// the JSON value is an error.
func (c *codec) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		data, err := whole(r)
		if err != nil {
			return err
		}
		if len(data) == 0 {
			return io.EOF
		}
		return c.decode(data, v)
	})
}

// decode reads the text into a message, or into a pointer to one, where the body stands for a field of the request.
func (c *codec) decode(data []byte, v any) error {
	if message, ok := v.(proto.Message); ok {
		return c.UnmarshalOptions.Unmarshal(data, message)
	}
	field := reflect.ValueOf(v).Elem()
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		field.SetZero()
		return nil
	}
	message, ok := reflect.TypeAssert[proto.Message](reflect.New(field.Type().Elem()))
	if !ok {
		return fmt.Errorf("a body cannot be a %T", v) // newBodyRule lets no such route start
	}
	if err := c.UnmarshalOptions.Unmarshal(data, message); err != nil {
		return err
	}
	field.Set(reflect.ValueOf(message))
	return nil
}

func whole(r io.Reader) ([]byte, error) {
	if b, ok := r.(*body); ok {
		return b.data, nil
	}
	return io.ReadAll(r)
}

package rest

import (
	"io"

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
		return c.Unmarshal(data, v)
	})
}

func whole(r io.Reader) ([]byte, error) {
	if b, ok := r.(*body); ok {
		return b.data, nil
	}
	return io.ReadAll(r)
}

package rest

import (
	"net/http"
	"strings"

	"google.golang.org/grpc/metadata"

	"circle15.dev/internal/apierr"
)

// maxHeaderValue bounds the headers that a request sends once, in bytes.
const maxHeaderValue = 255

// forwarded are the request headers that handlers see, with their metadata keys. No other header passes, so that no
// client can set metadata of its own making.
var forwarded = []struct {
	header, key string
	check       func(name string, values []string) error
}{
	{"Authorization", "authorization", nil}, // the authentication step has its own words for what is wrong with it
	{"Circle15-Tenant", "circle15-tenant", single},
	{"Idempotency-Key", "idempotency-key", single},
	{"If-Match", "if-match", printable},
}

// metadataOf is the metadata of the request.
func metadataOf(header http.Header) (metadata.MD, error) {
	md := make(metadata.MD, len(forwarded))
	for _, f := range forwarded {
		values := header[f.header]
		if len(values) == 0 {
			continue
		}
		if f.check != nil {
			if err := f.check(f.header, values); err != nil {
				return nil, err
			}
		}
		md[f.key] = values
	}
	return md, nil
}

func single(name string, values []string) error {
	switch {
	case len(values) > 1:
		return apierr.InvalidField(name, "is given %d times", len(values))
	case strings.TrimSpace(values[0]) == "":
		return apierr.InvalidField(name, "is empty")
	case len(values[0]) > maxHeaderValue:
		return apierr.InvalidField(name, "is longer than %d characters", maxHeaderValue)
	default:
		return printable(name, values)
	}
}

func printable(name string, values []string) error {
	for _, value := range values {
		for i := range len(value) {
			if value[i] < 0x20 || value[i] > 0x7e {
				return apierr.InvalidField(name, "must be printable ASCII")
			}
		}
	}
	return nil
}

// headerSize is about what the headers took on the wire, in bytes.
func headerSize(header http.Header) int {
	size := 0
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	return size
}

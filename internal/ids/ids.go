// Package ids makes and reads resource ids: UUIDs of version 7 (RFC 9562), in lower case, that sort by creation.
package ids

import (
	"bytes"

	"github.com/google/uuid"

	"circle15.dev/internal/apierr"
)

// New returns a fresh UUIDv7.
func New() uuid.UUID {
	return uuid.Must(uuid.NewV7())
}

// Parse reads the id in the field of a request; the error is Invalid and names the field by its JSON path.
func Parse(field, s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return uuid.Nil, apierr.InvalidField(field, "must be a UUID")
	}
	return id, nil
}

// Made is Parse for an id that a client has made. It must be of version 7: others do not sort by creation, and the nil
// UUID, which sorts before every page, would never be listed.
func Made(field, s string) (uuid.UUID, error) {
	id, err := Parse(field, s)
	if err == nil && (id.Version() != 7 || id.Variant() != uuid.RFC4122) {
		return uuid.Nil, apierr.InvalidField(field, "must be a UUID of version 7 (RFC 9562)")
	}
	return id, err
}

// OrNew is Made for an id that the client may supply on create (offline work); empty means a new one.
func OrNew(field, s string) (uuid.UUID, error) {
	if s == "" {
		return New(), nil
	}
	return Made(field, s)
}

// ParseOptional is Parse, with nil for an empty value.
func ParseOptional(field, s string) (*uuid.UUID, error) {
	if s == "" {
		return nil, nil
	}
	id, err := Parse(field, s)
	if err != nil {
		return nil, err
	}
	return &id, nil
}

// Strings writes ids as in messages.
func Strings(list []uuid.UUID) []string {
	out := make([]string, len(list))
	for i, id := range list {
		out[i] = id.String()
	}
	return out
}

// Compare orders ids as PostgreSQL does.
func Compare(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

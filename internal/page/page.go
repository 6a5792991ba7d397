// Package page reads page_size and page_token of list requests and makes their next_page_token (AIP-158).
//
// A token is opaque and authenticated: the cursor sealed with AES-256-GCM under a key derived from the server's key,
// the tenant, the request type and the request's filter. A token that was forged, made for another tenant, another
// method or another filter does not open, and is an Invalid error that names pageToken.
package page

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
)

const (
	// DefaultSize is the number of items of a page when the request does not say.
	DefaultSize = 50
	// MaxSize is the most items of a page. The contract refuses a larger page_size, where AIP-158 would lower it: a
	// client that takes a short page for the last one would miss rows in silence.
	MaxSize = 500

	maxTokenLength = 1024 // in characters; far more than any cursor of ours needs
)

// Request is a list request.
type Request interface {
	proto.Message
	GetPageSize() int32
	GetPageToken() string
}

// Page is what a list request asks for: at most Limit items that come after the cursor After ("" at the start).
type Page struct {
	Limit int32
	After string
}

// Fetch is the SQL LIMIT of the page: one more than asked for, which tells whether more follow.
func (p Page) Fetch() int32 { return p.Limit + 1 }

// Codec opens and makes page tokens. It is safe for concurrent use.
type Codec struct{ key []byte }

// NewCodec returns a Codec of the key, which every replica must share; 32 random bytes are a good key.
func NewCodec(key []byte) *Codec { return &Codec{key: slices.Clone(key)} }

// Start reads the page that req asks for; the contract's rules have seen to its page_size, 0 to MaxSize. Errors: Invalid
// for a token that this list did not give out.
func (c *Codec) Start(ctx context.Context, req Request) (Page, error) {
	size := req.GetPageSize()
	if size == 0 {
		size = DefaultSize
	}
	if req.GetPageToken() == "" {
		return Page{Limit: size}, nil
	}
	cursor, ok := c.open(ctx, req)
	if !ok {
		return Page{}, errBadToken()
	}
	return Page{Limit: size, After: cursor}, nil
}

// Next is the token of the page that follows the item with the cursor.
func (c *Codec) Next(ctx context.Context, req Request, cursor string) string {
	sealed := c.sealer(ctx, req).Seal(nil, nil, []byte(cursor), nil) //nolint:gosec // Seal itself takes a random nonce
	return base64.RawURLEncoding.EncodeToString(sealed)
}

func (c *Codec) open(ctx context.Context, req Request) (string, bool) {
	token := req.GetPageToken()
	if len(token) > maxTokenLength || strings.ContainsAny(token, "\r\n") { // which base64 would skip
		return "", false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return "", false
	}
	cursor, err := c.sealer(ctx, req).Open(nil, nil, sealed, nil)
	if err != nil || len(cursor) == 0 {
		return "", false
	}
	return string(cursor), true
}

// sealer is the cipher of one list of one tenant. The key differs for every list, so that the number of random
// nonces under one key stays small and a token cannot be opened as one of another list.
func (c *Codec) sealer(ctx context.Context, req Request) cipher.AEAD {
	mac := hmac.New(sha256.New, c.key)
	name, _ := tenant.From(ctx) // no tenant: a list of the platform itself, a key of its own
	writePart(mac.Write, []byte("circle15/page/v1"))
	writePart(mac.Write, []byte(name))
	writePart(mac.Write, []byte(req.ProtoReflect().Descriptor().FullName()))
	writePart(mac.Write, filterOf(req))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		panic(err) // a SHA-256 sum has the length of an AES-256 key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the block size of GCM
	}
	return aead
}

// writePart writes a part with its length before it, so that two lists of parts never give the same bytes.
func writePart(write func([]byte) (int, error), part []byte) {
	_, _ = write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) // hash.Hash never fails
	_, _ = write(part)
}

// filterOf is the deterministic wire form of the request without page_size and page_token.
func filterOf(req Request) []byte {
	source := req.ProtoReflect()
	filter := source.New()
	source.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Name() != "page_size" && field.Name() != "page_token" {
			filter.Set(field, value)
		}
		return true
	})
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(filter.Interface())
	if err != nil {
		// Only a string that is not UTF-8 or a missing required field fails; both doors have refused them by now.
		return nil
	}
	return wire
}

func errBadToken() error {
	return apierr.InvalidField("pageToken", "must be a token that this list returned for the same filter")
}

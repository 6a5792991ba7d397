package authn

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	maxToken      = 8 << 10     // bytes
	maxKeyID      = 256         // bytes
	rememberFor   = time.Minute // how long a verified token is taken as verified; bounds how late a withdrawn key is noticed
	rememberCount = 8192        // verified tokens, about 400 bytes each
)

// Verifier verifies bearer tokens: JWTs in compact serialization (RFC 7519), signed by one of the configured issuers.
// It is safe for concurrent use.
type Verifier struct {
	issuers  map[string]*issuer
	skew     time.Duration
	now      func() time.Time
	verified *lru.Cache[[sha256.Size]byte, remembered]
}

// remembered is a verified token. It is found by its digest, so that no token stays in memory.
type remembered struct {
	principal Principal
	until     time.Time
}

// NewVerifier checks the configuration; it asks no issuer anything yet.
func NewVerifier(c Config) (*Verifier, error) {
	c = c.withDefaults()
	issuers, err := c.issuers()
	if err != nil {
		return nil, err
	}
	verified, err := lru.New[[sha256.Size]byte, remembered](rememberCount)
	if err != nil {
		return nil, fmt.Errorf("cache of verified tokens: %w", err)
	}
	return &Verifier{issuers: issuers, skew: c.Skew, now: c.Now, verified: verified}, nil
}

// Verify returns the bearer of the token. Errors are of kind Unauthenticated with a reason that the caller may read,
// Unavailable where the issuer's keys are needed and cannot be fetched, Timeout or Canceled as ctx ends. The
// principal's Tenants are shared and must not be changed.
func (v *Verifier) Verify(ctx context.Context, token string) (Principal, error) {
	switch {
	case token == "":
		return Principal{}, refuse("the token is empty")
	case len(token) > maxToken:
		return Principal{}, refuse(fmt.Sprintf("the token is longer than %d bytes", maxToken))
	}
	digest := sha256.Sum256([]byte(token))
	if r, ok := v.verified.Get(digest); ok && v.now().Before(r.until) {
		return r.principal, nil
	}
	principal, expiry, err := v.verify(ctx, token)
	if err != nil {
		return Principal{}, err
	}
	until := v.now().Add(rememberFor)
	if end := expiry.Add(v.skew); end.Before(until) {
		until = end
	}
	v.verified.Add(digest, remembered{principal, until})
	return principal, nil
}

func (v *Verifier) verify(ctx context.Context, token string) (Principal, time.Time, error) {
	parsed, err := parse(token)
	if err != nil {
		return Principal{}, time.Time{}, err
	}
	// The unverified issuer only chooses whose keys to try; those keys then vouch for it.
	var unverified struct {
		Issuer string `json:"iss"`
	}
	if parsed.UnsafeClaimsWithoutVerification(&unverified) != nil {
		return Principal{}, time.Time{}, refuse("the token is malformed")
	}
	from := v.issuers[unverified.Issuer]
	if from == nil {
		return Principal{}, time.Time{}, refuse("the token's issuer is not accepted")
	}
	var claims jwt.Claims
	var all map[string]json.RawMessage
	if err := from.verifySignature(ctx, parsed, &claims, &all); err != nil {
		return Principal{}, time.Time{}, err
	}
	if err := v.checkTimes(claims, from); err != nil {
		return Principal{}, time.Time{}, err
	}
	principal, err := from.principal(claims, all)
	if err != nil {
		return Principal{}, time.Time{}, err
	}
	return principal, claims.Expiry.Time(), nil
}

func parse(token string) (*jwt.JSONWebToken, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	var alg *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &alg):
		return nil, refuse("the token's signature algorithm is not accepted")
	case err != nil || len(parsed.Headers) != 1 || len(parsed.Headers[0].KeyID) > maxKeyID:
		return nil, refuse("the token is malformed")
	default:
		return parsed, nil
	}
}

// verifySignature verifies the token with the issuer's own keys and reads its claims. Keys and key addresses in the
// token's header (jwk, jku, x5c, x5u) are never used.
func (i *issuer) verifySignature(ctx context.Context, token *jwt.JSONWebToken, claims *jwt.Claims, all *map[string]json.RawMessage) error {
	header := token.Headers[0]
	keys, err := i.Keys.Keys(ctx, header.KeyID)
	if err != nil {
		return err
	}
	reason := refuse("the token is signed with a key that its issuer does not publish")
	for _, key := range keys {
		if (header.KeyID != "" && key.KeyID != header.KeyID) || !fits(key, header.Algorithm) {
			continue
		}
		if token.Claims(key.Key) == nil {
			if token.UnsafeClaimsWithoutVerification(claims, all) != nil {
				return refuse("the token's claims are malformed")
			}
			return nil
		}
		reason = refuse("the token's signature is not valid")
	}
	return reason
}

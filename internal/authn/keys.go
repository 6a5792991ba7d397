package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// algorithms are the accepted signature algorithms (RFC 7518, RFC 8037): asymmetric only, so that a public key can
// never serve as the secret of an HMAC, and never "none".
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

const (
	minRSABits = 2048 // NIST SP 800-131A
	maxKeys    = 64   // in one key set; a verification tries at most so many
)

// KeySource holds the public signing keys of one issuer.
type KeySource interface {
	// Keys are the keys that may verify a token that names kid (empty where it names none). A key that is not known,
	// even after asking the issuer again, is not an error; an issuer that cannot be asked is one of kind Unavailable.
	Keys(ctx context.Context, kid string) ([]jose.JSONWebKey, error)
}

// parseKeySet reads a JWK Set (RFC 7517). Keys that could not verify a token here are left out rather than making the
// whole set fail: section 5 asks for it, and issuers publish keys for other uses beside.
func parseKeySet(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("reading the key set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys, more than %d", len(set.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err != nil {
			continue
		}
		if (key.Use == "" || key.Use == "sig") && verifies(key.Key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no usable signing key")
	}
	return keys, nil
}

// verifies says whether key is a public key that one of the accepted algorithms can use.
func verifies(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return true
	default:
		return false
	}
}

// fits says whether the key may verify a token signed with alg: the key's type decides, never the token, and a key
// that names its algorithm serves no other.
func fits(key jose.JSONWebKey, alg string) bool {
	if key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch key.Key.(type) {
	case *rsa.PublicKey:
		return alg == string(jose.RS256) || alg == string(jose.PS256)
	case *ecdsa.PublicKey:
		return alg == string(jose.ES256)
	case ed25519.PublicKey:
		return alg == string(jose.EdDSA)
	default:
		return false
	}
}

func hasKey(keys []jose.JSONWebKey, kid string) bool {
	if kid == "" {
		return len(keys) > 0
	}
	for _, k := range keys {
		if k.KeyID == kid {
			return true
		}
	}
	return false
}

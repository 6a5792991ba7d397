// Package issuer is the built-in OpenID Connect issuer of the demo: a signing key in the data folder, the documents by
// which anyone can verify its tokens, and the minting of tokens. It authenticates nobody: whoever may read the key may
// be anyone. A city's own installation uses its own issuer instead.
package issuer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"circle15.dev/internal/authn"
	"circle15.dev/internal/tenant"
)

const (
	// Path is where the platform's HTTP address serves the issuer's documents.
	Path = "/issuer"
	// Audience is what the tokens are for.
	Audience = "circle15"
	// MaxLifetime bounds a token's validity.
	MaxLifetime = 30 * 24 * time.Hour
)

// Issuer mints tokens and publishes the keys to verify them. It is safe for concurrent use.
type Issuer struct {
	url  string
	keys []signingKey // newest first; the first signs
}

// Claims are what a token says of its bearer.
type Claims struct {
	Subject  string
	Name     string // what to call the subject; possibly empty
	Tenants  []tenant.Name
	Lifetime time.Duration // above 0, at most MaxLifetime
}

// Open returns the issuer whose key is in the data folder, and makes the key on first use. The URL under which its
// documents are served is kept beside the key, so that Load knows it. A key is replaced after 90 days, and verifies
// until no token of it can be valid.
func Open(folder, url string) (*Issuer, error) { return open(folder, url, time.Now()) }

func open(folder, url string, now time.Time) (*Issuer, error) {
	file, err := readKeyFile(folder)
	if err == nil {
		err = checkPrivate(folder)
	}
	if err != nil && !errors.Is(err, ErrNone) {
		return nil, err
	}
	rotated, err := file.rotate(now)
	if err != nil {
		return nil, err
	}
	if rotated || file.Issuer != url {
		file.Issuer = url
		if err := writeKeyFile(folder, file); err != nil {
			return nil, err
		}
	}
	return &Issuer{url: file.Issuer, keys: file.Keys}, nil
}

// Load returns the issuer that Open has made in the folder; ErrNone where it has not. It changes nothing, so that the
// folder may be a Kubernetes Secret, which also has file modes of its own.
func Load(folder string) (*Issuer, error) {
	file, err := readKeyFile(folder)
	if err != nil {
		return nil, err
	}
	return &Issuer{url: file.Issuer, keys: file.Keys}, nil
}

// URL is the issuer identifier (iss).
func (i *Issuer) URL() string { return i.url }

// Trust is the configuration by which this process accepts the issuer's tokens without asking itself over HTTP.
func (i *Issuer) Trust() authn.Issuer {
	return authn.Issuer{URL: i.url, Audiences: []string{Audience}, Keys: i}
}

// Keys implements authn.KeySource: the public keys.
func (i *Issuer) Keys(context.Context, string) ([]jose.JSONWebKey, error) { return i.public(), nil }

func (i *Issuer) public() []jose.JSONWebKey {
	public := make([]jose.JSONWebKey, 0, len(i.keys))
	for _, k := range i.keys {
		public = append(public, k.Key.Public())
	}
	return public
}

// Mint returns a token (a JWT signed with ES256), valid from now.
func (i *Issuer) Mint(c Claims) (string, error) {
	switch {
	case c.Subject == "":
		return "", errors.New("a token needs a subject")
	case len(c.Tenants) == 0:
		return "", errors.New("a token needs a tenant")
	case c.Lifetime <= 0 || c.Lifetime > MaxLifetime:
		return "", fmt.Errorf("a token lives for %s: want more than 0 and at most %s", c.Lifetime, MaxLifetime)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: i.keys[0].Key},
		(&jose.SignerOptions{}).WithType("JWT"),
	)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	now := time.Now()
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: i.url, Subject: c.Subject, Audience: jwt.Audience{Audience},
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(c.Lifetime)),
	}).Claims(struct {
		Name    string        `json:"name,omitempty"`
		Tenants []tenant.Name `json:"circle15_tenants"`
	}{c.Name, c.Tenants}).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}

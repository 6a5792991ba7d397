// Package tenant names a tenant and carries it through a request.
//
// The tenant of a request is decided once, from the verified token, and travels under an unexported context key;
// code that needs it asks From, and its absence is an error, never a default.
package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Name is the short name of a tenant: 2 to 40 lower-case letters, digits and hyphens, starting with a letter and
// ending with a letter or digit (the label rule of RFC 1035, so that it is also a Kubernetes object name).
type Name string

// MaxNameLength is the longest name in bytes; with the prefix "t_" it stays below PostgreSQL's 63-byte identifiers.
const MaxNameLength = 40

// schemaPrefix begins the schema of every tenant, and of nothing else.
const schemaPrefix = "t_"

// ErrAbsent says that a context carries no tenant.
var ErrAbsent = errors.New("no tenant in this request")

// ParseName checks s against the rule of Name.
func ParseName(s string) (Name, error) {
	if !wellFormed(s) {
		return "", fmt.Errorf("tenant name %q: want 2 to %d lower-case letters, digits and hyphens, starting with a letter", s, MaxNameLength)
	}
	return Name(s), nil
}

// wellFormed is without a regular expression because every request asks it.
func wellFormed(s string) bool {
	if len(s) < 2 || len(s) > MaxNameLength || !letter(s[0]) || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !letter(c) && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' }

// Schema is the PostgreSQL schema that holds the tenant's rows. A hyphen becomes an underscore; names cannot hold
// underscores, so two names never share a schema.
func (n Name) Schema() string { return schemaPrefix + strings.ReplaceAll(string(n), "-", "_") }

// OfSchema is the tenant whose schema it would be; of a schema that is no tenant's, a name that none has.
func OfSchema(schema string) Name {
	return Name(strings.ReplaceAll(strings.TrimPrefix(schema, schemaPrefix), "_", "-"))
}

// Role is the NOLOGIN role as which every transaction of the tenant runs.
func (n Name) Role() string { return n.Schema() }

func (n Name) String() string { return string(n) }

type contextKey struct{}

// With returns a context of the tenant n.
func With(ctx context.Context, n Name) context.Context {
	return context.WithValue(ctx, contextKey{}, n)
}

// From is the tenant of ctx, or ErrAbsent.
func From(ctx context.Context) (Name, error) {
	n, ok := ctx.Value(contextKey{}).(Name)
	if !ok || n == "" {
		return "", ErrAbsent
	}
	return n, nil
}

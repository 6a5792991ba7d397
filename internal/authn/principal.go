// Package authn answers who calls: it verifies OIDC tokens of the configured issuers and carries the verified
// principal in the context.
package authn

import (
	"context"

	"circle15.dev/internal/apierr"
)

// Principal is the verified bearer of a token.
type Principal struct {
	Issuer  string   // the token's issuer (iss), one of the configured ones
	Subject string   // the token's subject (sub); never empty
	Name    string   // what to call the subject (claim "name"), possibly empty; not an identity
	Tenants []string // the tenants the token names, as claimed: sorted, without duplicates; possibly empty
}

type principalKey struct{}

// With returns a context that carries the verified principal.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From is the verified principal of the request; false where none was verified.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}

// Caller is From for code that cannot do without: the error is Unauthenticated.
func Caller(ctx context.Context) (Principal, error) {
	p, ok := From(ctx)
	if !ok {
		return p, apierr.New(apierr.Unauthenticated, "a verified token is required")
	}
	return p, nil
}

// Subject is the subject of Caller, by whom rows are recorded.
func Subject(ctx context.Context) (string, error) {
	p, err := Caller(ctx)
	return p.Subject, err
}

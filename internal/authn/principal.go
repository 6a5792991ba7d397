// Package authn answers who calls: it verifies OIDC tokens of the configured issuers and carries the verified
// principal in the context.
package authn

import "context"

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

package rpcserver

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/tenant"
)

// Metadata keys of a request. The REST door fills them from the headers of the same names.
const (
	metadataAuthorization = "authorization"
	metadataTenant        = "circle15-tenant"
	metadataRetryAfter    = "retry-after"
)

// authenticate verifies the bearer token and puts its principal into the context.
func authenticate(admit admission) step {
	return func(ctx context.Context, c *call) (err error) {
		if c.principal, err = admit(ctx); err != nil {
			return err
		}
		return c.next(authn.With(ctx, c.principal))
	}
}

// admission says who sends the request of the metadata in ctx. The chain asks it of every call; the doors ask it
// earlier, of a request whose message is still to be read.
type admission func(ctx context.Context) (authn.Principal, error)

func newAdmission(verify Authenticator) admission {
	return func(ctx context.Context) (authn.Principal, error) {
		token, err := bearer(metadata.ValueFromIncomingContext(ctx, metadataAuthorization))
		if err != nil {
			return authn.Principal{}, err
		}
		return verify(ctx, token)
	}
}

// bearer is the token of the authorization header (RFC 6750, 2.1).
func bearer(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", apierr.New(apierr.Unauthenticated, "send a token: Authorization: Bearer <token>")
	case 1:
	default:
		return "", apierr.New(apierr.Unauthenticated, "send one Authorization header, not %d", len(values))
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", apierr.New(apierr.Unauthenticated, "the Authorization header must be: Bearer <token>")
	}
	return token, nil
}

// resolveTenant decides the tenant of the request: the token's only one, or the one that the circle15-tenant metadata
// picks among the token's. Absent or conflicting is an error, never a default.
func resolveTenant() step {
	return func(ctx context.Context, c *call) error {
		name, err := chooseTenant(c.principal.Tenants, metadata.ValueFromIncomingContext(ctx, metadataTenant))
		if err != nil {
			return err
		}
		if c.tenant, err = tenant.ParseName(name); err != nil {
			return apierr.New(apierr.Denied, "the token names a tenant that cannot exist").Cause(err)
		}
		return c.next(tenant.With(ctx, c.tenant))
	}
}

func chooseTenant(granted, asked []string) (string, error) {
	switch {
	case len(granted) == 0:
		return "", apierr.New(apierr.Denied, "the token names no tenant")
	case len(asked) > 1:
		return "", apierr.InvalidField("Circle15-Tenant", "is given %d times", len(asked))
	case len(asked) == 1 && !slices.Contains(granted, asked[0]):
		return "", apierr.New(apierr.Denied, "the token is not for the tenant that Circle15-Tenant names")
	case len(asked) == 1:
		return asked[0], nil
	case len(granted) > 1:
		return "", apierr.InvalidField("Circle15-Tenant", "is required: the token names several tenants")
	default:
		return granted[0], nil
	}
}

// authorize asks whether the principal may call the method, and puts the data scope into the context.
func authorize(decide Authorizer) step {
	return func(ctx context.Context, c *call) error {
		scope, err := decide(ctx, c.principal, c.tenant, c.resource, c.action)
		if err != nil {
			return err
		}
		return c.next(authz.WithScope(ctx, scope))
	}
}

// limitRate refuses what is over the tenant's quota.
func limitRate(quota Quota) step {
	limiters := newLimiters(quota)
	return func(ctx context.Context, c *call) error {
		if !limiters.allow(c.tenant) {
			_ = grpc.SetHeader(ctx, metadata.Pairs(metadataRetryAfter, "1")) // fails only outside of a call
			return apierr.New(apierr.RateLimited, "the tenant is over its quota of requests a second; try again in a second")
		}
		return c.next(ctx)
	}
}

package authn

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/jwt"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenant"
)

const (
	maxSubject = 255 // bytes, as OpenID Connect Core 1.0, section 2, bounds sub
	maxName    = 200 // bytes; a longer display name is left out
	maxTenants = 256 // of one token
)

// refuse is an Unauthenticated error whose reason the caller may read. A reason never quotes the token.
func refuse(reason string) *apierr.Error {
	return apierr.New(apierr.Unauthenticated, "%s", reason)
}

// checkTimes checks exp, nbf and iat with the allowed skew, and the audience.
func (v *Verifier) checkTimes(c jwt.Claims, i *issuer) error {
	if c.Expiry == nil {
		return refuse("the token has no expiry (exp)")
	}
	err := c.ValidateWithLeeway(jwt.Expected{AnyAudience: i.Audiences, Time: v.now()}, v.skew)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrInvalidAudience):
		return refuse("the token is for another audience")
	case errors.Is(err, jwt.ErrExpired):
		return refuse("the token has expired")
	case errors.Is(err, jwt.ErrNotValidYet):
		return refuse("the token is not valid yet")
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return refuse("the token was issued in the future")
	default:
		return refuse("the token's claims are not valid").Cause(err)
	}
}

// principal reads who the bearer is from verified claims.
func (i *issuer) principal(c jwt.Claims, all map[string]json.RawMessage) (Principal, error) {
	subject := i.SubjectPrefix + c.Subject
	if c.Subject == "" {
		return Principal{}, refuse("the token has no subject (sub)")
	}
	if len(subject) > maxSubject || !utf8.ValidString(subject) || strings.ContainsFunc(subject, unicode.IsControl) {
		return Principal{}, refuse("the token's subject (sub) is too long or holds control characters")
	}
	for _, prefix := range i.foreign {
		if strings.HasPrefix(subject, prefix) {
			return Principal{}, refuse("the token's subject (sub) belongs to another issuer")
		}
	}
	tenants, err := i.tenants(all[i.TenantClaim])
	if err != nil {
		return Principal{}, err
	}
	return Principal{Issuer: i.URL, Subject: subject, Name: displayName(all["name"]), Tenants: tenants}, nil
}

// tenants reads the tenant claim: one name or a list. A value that cannot be a tenant's name is left out, since the
// claim may be a list of groups of which only some are tenants; so is a tenant that the issuer may not vouch for.
func (i *issuer) tenants(claim json.RawMessage) ([]string, error) {
	if len(claim) == 0 || string(claim) == "null" {
		return nil, nil
	}
	var names []string
	var one string
	if err := json.Unmarshal(claim, &one); err == nil {
		names = []string{one}
	} else if err := json.Unmarshal(claim, &names); err != nil {
		return nil, refuse("the token's claim " + i.TenantClaim + " is neither a name nor a list of names")
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		_, err := tenant.ParseName(name)
		return err != nil || (len(i.Tenants) > 0 && !slices.Contains(i.Tenants, name))
	})
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxTenants {
		return nil, refuse("the token names too many tenants")
	}
	return names, nil
}

func displayName(claim json.RawMessage) string {
	var name string
	if err := json.Unmarshal(claim, &name); err != nil || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return ""
	}
	return name
}

package authn

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"circle15.dev/internal/tenant"
)

// DefaultTenantClaim is the claim that names the bearer's tenants where an issuer's configuration says nothing else:
// a name or a list of names.
const DefaultTenantClaim = "circle15_tenants"

// DefaultSkew is by how much the clocks of an issuer and of this process may differ.
const DefaultSkew = time.Minute

// Config is what tokens are accepted.
type Config struct {
	Issuers   []Issuer
	Skew      time.Duration     // zero means DefaultSkew
	Transport http.RoundTripper // for discovery and key sets; nil means http.DefaultTransport
	Now       func() time.Time  // nil means time.Now
}

// Issuer is one trusted OpenID Connect issuer.
type Issuer struct {
	// URL is the issuer identifier, equal to the tokens' iss and to the discovery document's issuer. It is https, or
	// http on a loopback address or with PlainHTTP.
	URL string
	// PlainHTTP allows an http URL elsewhere, for an issuer inside the cluster's own network.
	PlainHTTP bool
	// Audiences: a token must be for one of them.
	Audiences []string
	// TenantClaim names the claim that holds the tenants; empty means DefaultTenantClaim.
	TenantClaim string
	// Tenants are the only ones that the issuer may vouch for; empty means any.
	Tenants []string
	// SubjectPrefix goes before sub to make the principal's subject, as role grants name it. It keeps apart the
	// subjects of several issuers: at most one of them may go without.
	SubjectPrefix string
	// Keys are the issuer's keys where this process holds them itself; nil means discovery.
	Keys KeySource
}

// issuer is a checked Issuer, ready for use.
type issuer struct {
	Issuer
	foreign []string // the prefixes of the other issuers
}

func (c Config) withDefaults() Config {
	if c.Skew == 0 {
		c.Skew = DefaultSkew
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) issuers() (map[string]*issuer, error) {
	if len(c.Issuers) == 0 {
		return nil, errors.New("no token issuer is configured")
	}
	if c.Skew < 0 || c.Skew > 10*time.Minute {
		return nil, fmt.Errorf("clock skew %s: want 0 to 10 minutes", c.Skew)
	}
	client := &http.Client{Transport: boundedTransport{c.Transport}, Timeout: fetchTimeout, CheckRedirect: stayWithHost}
	byURL := map[string]*issuer{}
	for _, i := range c.Issuers {
		if err := i.check(); err != nil {
			return nil, fmt.Errorf("issuer %q: %w", i.URL, err)
		}
		if byURL[i.URL] != nil {
			return nil, fmt.Errorf("issuer %q is configured twice", i.URL)
		}
		if i.TenantClaim == "" {
			i.TenantClaim = DefaultTenantClaim
		}
		if i.Keys == nil {
			i.Keys = newRemoteKeys(i.URL, client, c.Now)
		}
		byURL[i.URL] = &issuer{Issuer: i}
	}
	return byURL, separate(byURL)
}

func (i Issuer) check() error {
	u, err := url.Parse(i.URL)
	if err != nil {
		return err
	}
	switch {
	case u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return errors.New("want a URL without user, query and fragment")
	case u.Scheme == "https":
	case u.Scheme == "http" && (i.PlainHTTP || isLoopback(u.Hostname()) || i.Keys != nil):
	default:
		return errors.New("want an https URL (or allow plain HTTP for it)")
	}
	if len(i.Audiences) == 0 || slices.Contains(i.Audiences, "") {
		return errors.New("want at least one audience, none empty")
	}
	for _, name := range i.Tenants {
		if _, err := tenant.ParseName(name); err != nil {
			return err
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// separate refuses prefixes by which two issuers could name the same subject.
func separate(issuers map[string]*issuer) error {
	for _, a := range issuers {
		for _, b := range issuers {
			if a == b {
				continue
			}
			if a.SubjectPrefix == b.SubjectPrefix {
				return fmt.Errorf("issuers %q and %q have the same subject prefix %q", a.URL, b.URL, a.SubjectPrefix)
			}
			if b.SubjectPrefix == "" {
				continue
			}
			if strings.HasPrefix(a.SubjectPrefix, b.SubjectPrefix) {
				return fmt.Errorf("the subject prefix of issuer %q starts with that of %q", a.URL, b.URL)
			}
			a.foreign = append(a.foreign, b.SubjectPrefix)
		}
	}
	return nil
}

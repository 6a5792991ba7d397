package authn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
)

func TestATokenOfEachAcceptedAlgorithmNamesItsBearer(t *testing.T) {
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA} {
		t.Run(string(alg), func(t *testing.T) {
			p, c := newProvider(t), newClock()
			k := newKey(t, "one", alg)
			p.publish(k)
			got, err := newVerifier(t, c, authn.Issuer{URL: p.URL}).Verify(t.Context(), k.sign(t, good(p.URL, c.now(), nil)))
			if err != nil {
				t.Fatal(err)
			}
			want := authn.Principal{Issuer: p.URL, Subject: "worker-7", Name: "林老师", Tenants: []string{"haikou"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestATokenIsRefusedWithAReasonThatDoesNotQuoteIt(t *testing.T) {
	p, c := newProvider(t), newClock()
	k, stranger := newKey(t, "one", jose.ES256), newKey(t, "one", jose.ES256)
	p.publish(k)
	v := newVerifier(t, c, authn.Issuer{URL: p.URL})
	with := func(changes map[string]any) string { return k.sign(t, good(p.URL, c.now(), changes)) }
	at := func(d time.Duration) int64 { return c.now().Add(d).Unix() }
	valid := with(nil)
	const badSubject = "the token's subject (sub) is too long or holds control characters"
	const badTenants = "the token's claim circle15_tenants is neither a name nor a list of names"

	for name, tc := range map[string]struct{ token, reason string }{
		"empty":                       {"", "the token is empty"},
		"not a token":                 {"haikou", "the token is malformed"},
		"two parts":                   {"e30.e30", "the token is malformed"},
		"JSON serialization":          {`{"payload":"e30","signatures":[]}`, "the token is malformed"},
		"huge":                        {with(map[string]any{"pad": strings.Repeat("x", 9000)}), "the token is longer than 8192 bytes"},
		"another's signature":         {stranger.sign(t, good(p.URL, c.now(), nil)), "the token's signature is not valid"},
		"cut signature":               {valid[:len(valid)-4], "the token's signature is not valid"},
		"unknown issuer":              {with(map[string]any{"iss": "https://elsewhere.example"}), "the token's issuer is not accepted"},
		"issuer with a slash more":    {with(map[string]any{"iss": p.URL + "/"}), "the token's issuer is not accepted"},
		"no issuer":                   {with(map[string]any{"iss": nil}), "the token's issuer is not accepted"},
		"issuer of another type":      {with(map[string]any{"iss": 7}), "the token is malformed"},
		"another audience":            {with(map[string]any{"aud": []string{"another"}}), "the token is for another audience"},
		"no audience":                 {with(map[string]any{"aud": nil}), "the token is for another audience"},
		"audience of another type":    {with(map[string]any{"aud": 7}), "the token's claims are malformed"},
		"expired beyond the skew":     {with(map[string]any{"exp": at(-61 * time.Second)}), "the token has expired"},
		"no expiry":                   {with(map[string]any{"exp": nil}), "the token has no expiry (exp)"},
		"expiry of another type":      {with(map[string]any{"exp": "tomorrow"}), "the token's claims are malformed"},
		"not valid yet":               {with(map[string]any{"nbf": at(61 * time.Second)}), "the token is not valid yet"},
		"issued in the future":        {with(map[string]any{"iat": at(61 * time.Second)}), "the token was issued in the future"},
		"no subject":                  {with(map[string]any{"sub": nil}), "the token has no subject (sub)"},
		"long subject":                {with(map[string]any{"sub": strings.Repeat("s", 256)}), badSubject},
		"subject with a line break":   {with(map[string]any{"sub": "a\nb"}), badSubject},
		"tenant claim a number":       {with(map[string]any{"circle15_tenants": 7}), badTenants},
		"tenant claim of mixed types": {with(map[string]any{"circle15_tenants": []any{"haikou", 7}}), badTenants},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), tc.token)
			wantRefused(t, err, tc.reason)
			if tc.token != "" && strings.Contains(err.Error(), tc.token) {
				t.Error("the error quotes the token")
			}
		})
	}
}

func TestClocksMayDifferByTheAllowedSkew(t *testing.T) {
	p, c := newProvider(t), newClock()
	k := newKey(t, "one", jose.EdDSA)
	p.publish(k)
	v := newVerifier(t, c, authn.Issuer{URL: p.URL})
	soon, ago := c.now().Add(59*time.Second).Unix(), c.now().Add(-59*time.Second).Unix()
	for name, changes := range map[string]map[string]any{
		"just expired":               {"exp": ago},
		"valid in a moment":          {"nbf": soon},
		"issued by a clock in front": {"iat": soon},
	} {
		if _, err := v.Verify(t.Context(), k.sign(t, good(p.URL, c.now(), changes))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKeyServesOnlyItsOwnAlgorithm(t *testing.T) {
	p, c := newProvider(t), newClock()
	rsaKey := newKey(t, "rsa", jose.RS256)
	p.publish(rsaKey)
	v := newVerifier(t, c, authn.Issuer{URL: p.URL})
	claims := good(p.URL, c.now(), nil)
	withID := (&jose.SignerOptions{}).WithHeader("kid", "rsa")

	t.Run("an HMAC with the public key as its secret", func(t *testing.T) {
		der, err := x509.MarshalPKIXPublicKey(rsaKey.private.Public())
		if err != nil {
			t.Fatal(err)
		}
		secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		_, err = v.Verify(t.Context(), sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: secret}, withID, claims))
		wantRefused(t, err, "the token's signature algorithm is not accepted")
	})
	t.Run("no signature", func(t *testing.T) {
		encode := base64.RawURLEncoding.EncodeToString
		for _, alg := range []string{"none", "None", "NONE", ""} {
			_, err := v.Verify(t.Context(), encode([]byte(`{"alg":"`+alg+`","kid":"rsa"}`))+"."+encode([]byte(`{"iss":"`+p.URL+`"}`))+".")
			if apierr.KindOf(err) != apierr.Unauthenticated {
				t.Errorf("alg %q: %v", alg, err)
			}
		}
	})
	t.Run("another algorithm of the same key type", func(t *testing.T) {
		_, err := v.Verify(t.Context(), sign(t, jose.SigningKey{Algorithm: jose.PS256, Key: rsaKey.private}, withID, claims))
		wantRefused(t, err, "the token is signed with a key that its issuer does not publish")
	})
	t.Run("a longer hash", func(t *testing.T) {
		_, err := v.Verify(t.Context(), sign(t, jose.SigningKey{Algorithm: jose.RS512, Key: rsaKey.private}, withID, claims))
		wantRefused(t, err, "the token's signature algorithm is not accepted")
	})
}

func TestKeysThatATokenBringsAlongAreNotUsed(t *testing.T) {
	p, c := newProvider(t), newClock()
	k, attacker := newKey(t, "one", jose.ES256), newKey(t, "evil", jose.ES256)
	p.publish(k)
	v := newVerifier(t, c, authn.Issuer{URL: p.URL})
	claims := good(p.URL, c.now(), nil)
	for name, options := range map[string]*jose.SignerOptions{
		"embedded key":               {EmbedJWK: true},
		"address of a key set":       (&jose.SignerOptions{}).WithHeader("jku", "https://evil.example/keys").WithHeader("kid", "evil"),
		"path as the key id":         (&jose.SignerOptions{}).WithHeader("kid", "../../../../dev/null"),
		"SQL as the key id":          (&jose.SignerOptions{}).WithHeader("kid", "x' UNION SELECT 'secret"),
		"the published key's id":     (&jose.SignerOptions{}).WithHeader("kid", "one"),
		"no key id":                  {},
		"unknown critical header":    (&jose.SignerOptions{}).WithHeader("crit", []string{"exp"}).WithHeader("kid", "one"),
		"key id of a megabyte's ilk": (&jose.SignerOptions{}).WithHeader("kid", strings.Repeat("k", 4096)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), sign(t, jose.SigningKey{Algorithm: jose.ES256, Key: attacker.private}, options, claims))
			if apierr.KindOf(err) != apierr.Unauthenticated {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWeakOrForeignKeysOfAKeySetAreLeftOut(t *testing.T) {
	p, c := newProvider(t), newClock()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good256 := newKey(t, "good", jose.ES256)
	p.keys = []jose.JSONWebKey{
		{Key: weak.Public(), KeyID: "weak", Use: "sig"},
		{Key: other.Public(), KeyID: "p384", Use: "sig"},
		{Key: []byte("a shared secret of at least 32 bytes"), KeyID: "oct", Use: "sig"},
		{Key: good256.private.Public(), KeyID: "encryption", Use: "enc"},
		good256.public(),
	}
	v := newVerifier(t, c, authn.Issuer{URL: p.URL})
	claims := good(p.URL, c.now(), nil)
	if _, err := v.Verify(t.Context(), good256.sign(t, claims)); err != nil {
		t.Fatal(err)
	}
	for _, k := range []key{
		{"weak", jose.RS256, weak},
		{"encryption", jose.ES256, good256.private},
	} {
		_, err := v.Verify(t.Context(), k.sign(t, claims))
		wantRefused(t, err, "the token is signed with a key that its issuer does not publish")
	}
}

func TestAVerifiedTokenIsRememberedUntilItsExpiryAndAMinuteAtMost(t *testing.T) {
	p, c := newProvider(t), newClock()
	k, next := newKey(t, "one", jose.ES256), newKey(t, "two", jose.ES256)
	p.publish(k)
	v := newVerifier(t, c, authn.Issuer{URL: p.URL})
	long := k.sign(t, good(p.URL, c.now(), nil))
	short := k.sign(t, good(p.URL, c.now(), map[string]any{"exp": c.now().Add(-40 * time.Second).Unix()}))
	for _, token := range []string{long, short} {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	p.publish(next) // the first key is withdrawn

	c.advance(30 * time.Second)
	if _, err := v.Verify(t.Context(), long); err != nil {
		t.Errorf("within the minute: %v", err)
	}
	_, err := v.Verify(t.Context(), short)
	wantRefused(t, err, "the token has expired")

	c.advance(31 * time.Second)
	_, err = v.Verify(t.Context(), long)
	wantRefused(t, err, "the token is signed with a key that its issuer does not publish")
}

func TestTenantsComeFromTheConfiguredClaim(t *testing.T) {
	p, c := newProvider(t), newClock()
	k := newKey(t, "one", jose.ES256)
	p.publish(k)
	for name, tc := range map[string]struct {
		issuer authn.Issuer
		claim  string
		value  any
		want   []string
	}{
		"a list, sorted and without repeats": {
			authn.Issuer{}, "circle15_tenants", []string{"sanya", "haikou", "sanya"}, []string{"haikou", "sanya"},
		},
		"a single name": {authn.Issuer{}, "circle15_tenants", "haikou", []string{"haikou"}},
		"no claim":      {authn.Issuer{}, "groups", []string{"haikou"}, nil},
		"another claim": {authn.Issuer{TenantClaim: "groups"}, "groups", []string{"haikou", "/admins"}, []string{"haikou"}},
		"only tenants the issuer vouches for": {
			authn.Issuer{Tenants: []string{"haikou"}}, "circle15_tenants", []string{"haikou", "sanya"}, []string{"haikou"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.issuer.URL = p.URL
			claims := good(p.URL, c.now(), map[string]any{"circle15_tenants": nil, tc.claim: tc.value})
			got, err := newVerifier(t, c, tc.issuer).Verify(t.Context(), k.sign(t, claims))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Tenants); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIssuersCannotSpeakForEachOther(t *testing.T) {
	province, city, c := newProvider(t), newProvider(t), newClock()
	pk, ck := newKey(t, "one", jose.ES256), newKey(t, "one", jose.ES256)
	province.publish(pk)
	city.publish(ck)
	v := newVerifier(t, c, authn.Issuer{URL: province.URL}, authn.Issuer{URL: city.URL, SubjectPrefix: "city:"})

	got, err := v.Verify(t.Context(), ck.sign(t, good(city.URL, c.now(), nil)))
	if err != nil || got.Subject != "city:worker-7" {
		t.Errorf("the city's worker is %q, %v", got.Subject, err)
	}
	_, err = v.Verify(t.Context(), ck.sign(t, good(province.URL, c.now(), nil)))
	wantRefused(t, err, "the token's signature is not valid")
	_, err = v.Verify(t.Context(), pk.sign(t, good(province.URL, c.now(), map[string]any{"sub": "city:worker-7"})))
	wantRefused(t, err, "the token's subject (sub) belongs to another issuer")
}

func TestAConfigurationThatWouldTrustTooMuchIsRefused(t *testing.T) {
	one := authn.Issuer{URL: "https://id.example", Audiences: []string{audience}}
	with := func(change func(*authn.Issuer)) authn.Config {
		i := one
		change(&i)
		return authn.Config{Issuers: []authn.Issuer{i}}
	}
	two := func(a, b string) authn.Config {
		x, y := one, one
		x.SubjectPrefix, y.SubjectPrefix, y.URL = a, b, "https://other.example"
		return authn.Config{Issuers: []authn.Issuer{x, y}}
	}
	for name, config := range map[string]authn.Config{
		"no issuer":             {},
		"plain HTTP":            with(func(i *authn.Issuer) { i.URL = "http://id.example" }),
		"not a URL":             with(func(i *authn.Issuer) { i.URL = "id.example" }),
		"URL with a query":      with(func(i *authn.Issuer) { i.URL += "?x=1" }),
		"no audience":           with(func(i *authn.Issuer) { i.Audiences = nil }),
		"empty audience":        with(func(i *authn.Issuer) { i.Audiences = []string{""} }),
		"bad tenant":            with(func(i *authn.Issuer) { i.Tenants = []string{"Haikou!"} }),
		"same issuer twice":     {Issuers: []authn.Issuer{one, one}},
		"two without a prefix":  two("", ""),
		"one prefix in another": two("city:", "city:haikou:"),
		"skew of an hour":       {Issuers: []authn.Issuer{one}, Skew: time.Hour},
	} {
		if _, err := authn.NewVerifier(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := authn.NewVerifier(two("", "city:")); err != nil {
		t.Error(err)
	}
}

func TestThePrincipalTravelsInTheContext(t *testing.T) {
	if _, ok := authn.From(context.Background()); ok {
		t.Error("a fresh context carries a principal")
	}
	p, ok := authn.From(authn.With(context.Background(), authn.Principal{Subject: "worker-7"}))
	if !ok || p.Subject != "worker-7" {
		t.Errorf("got %v, %v", p, ok)
	}
}

func wantRefused(t *testing.T, err error, reason string) {
	t.Helper()
	var e *apierr.Error
	if !errors.As(err, &e) || e.Kind != apierr.Unauthenticated || e.Message != reason {
		t.Errorf("got %v, want Unauthenticated: %s", err, reason)
	}
}

func BenchmarkVerifyARememberedToken(b *testing.B) {
	c, k := newClock(), newKey(b, "one", jose.ES256)
	v := newVerifier(b, c, authn.Issuer{URL: "http://localhost", Keys: held{k.public()}})
	token := k.sign(b, good("http://localhost", c.now(), nil))
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// held is a key set that the process holds itself.
type held []jose.JSONWebKey

func (h held) Keys(context.Context, string) ([]jose.JSONWebKey, error) { return h, nil }

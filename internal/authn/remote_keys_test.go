package authn_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
)

func TestAnIssuerThatIsAwayAtTheStartIsAskedLater(t *testing.T) {
	p, c := newProvider(t), newClock()
	k := newKey(t, "one", jose.ES256)
	p.publish(k)
	p.setDown(true)
	v := newVerifier(t, c, authn.Issuer{URL: p.URL})
	token := k.sign(t, good(p.URL, c.now(), nil))

	_, err := v.Verify(t.Context(), token)
	wantKind(t, err, apierr.Unavailable)

	p.setDown(false)
	c.advance(11 * time.Second)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
}

func TestANewKeyIsFetchedWhenATokenNamesIt(t *testing.T) {
	p, c := newProvider(t), newClock()
	first, second := newKey(t, "one", jose.ES256), newKey(t, "two", jose.EdDSA)
	p.publish(first)
	v := newVerifier(t, c, authn.Issuer{URL: p.URL})
	if _, err := v.Verify(t.Context(), first.sign(t, good(p.URL, c.now(), nil))); err != nil {
		t.Fatal(err)
	}
	p.publish(first, second)
	c.advance(11 * time.Second) // still fresh, but the key id is unknown
	if _, err := v.Verify(t.Context(), second.sign(t, good(p.URL, c.now(), nil))); err != nil {
		t.Error(err)
	}
}

func TestUnknownKeyIDsDoNotHammerTheIssuer(t *testing.T) {
	p, c := newProvider(t), newClock()
	p.publish(newKey(t, "one", jose.ES256))
	v := newVerifier(t, c, authn.Issuer{URL: p.URL})
	for i := range 100 {
		k := newKey(t, "made-up-"+strconv.Itoa(i), jose.ES256)
		_, err := v.Verify(t.Context(), k.sign(t, good(p.URL, c.now(), nil)))
		wantRefused(t, err, "the token is signed with a key that its issuer does not publish")
	}
	if n := p.fetched.Load(); n != 1 {
		t.Errorf("the key set was fetched %d times", n)
	}
}

func TestKeysServeForAnHourWhileTheirIssuerIsAway(t *testing.T) {
	p, c := newProvider(t), newClock()
	k := newKey(t, "one", jose.ES256)
	p.publish(k)
	v := newVerifier(t, c, authn.Issuer{URL: p.URL})
	day := map[string]any{"exp": c.now().Add(24 * time.Hour).Unix()}
	token := k.sign(t, good(p.URL, c.now(), day))
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	p.setDown(true)
	c.advance(59 * time.Minute)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("within the hour: %v", err)
	}
	c.advance(2 * time.Minute)
	_, err := v.Verify(t.Context(), token)
	wantKind(t, err, apierr.Unavailable)
}

func TestManyRequestsShareOneFetch(t *testing.T) {
	p, c := newProvider(t), newClock()
	k := newKey(t, "one", jose.ES256)
	p.publish(k)
	v := newVerifier(t, c, authn.Issuer{URL: p.URL})
	var all sync.WaitGroup
	for i := range 50 {
		token := k.sign(t, good(p.URL, c.now(), map[string]any{"sub": "worker-" + strconv.Itoa(i)}))
		all.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := p.fetched.Load(); n != 1 {
		t.Errorf("the key set was fetched %d times", n)
	}
}

func TestARequestDoesNotWaitForASilentIssuerBeyondItsOwnDeadline(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	c, url := newClock(), "http://"+silent.Addr().String()
	v := newVerifier(t, c, authn.Issuer{URL: url})
	token := newKey(t, "one", jose.ES256).sign(t, good(url, c.now(), nil))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = v.Verify(ctx, token)
	wantKind(t, err, apierr.Timeout)
}

func TestDocumentsThatCannotBeTrustedAreRefused(t *testing.T) {
	for name, document := range map[string]func(url string) string{
		"another issuer's": func(string) string {
			return `{"issuer":"https://elsewhere.example","jwks_uri":"https://elsewhere.example/keys"}`
		},
		"no key set":              func(url string) string { return `{"issuer":"` + url + `"}` },
		"not JSON":                func(string) string { return `<html>` },
		"larger than a megabyte":  func(url string) string { return `{"issuer":"` + url + `","pad":"` + string(make([]byte, 2<<20)) + `"}` },
		"a key set in a data URL": func(url string) string { return `{"issuer":"` + url + `","jwks_uri":"data:application/json,{}"}` },
		"a key set in a file":     func(url string) string { return `{"issuer":"` + url + `","jwks_uri":"file:///etc/passwd"}` },
		"a key set without a key": func(url string) string { return `{"issuer":"` + url + `","jwks_uri":"` + url + `/empty"}` },
	} {
		t.Run(name, func(t *testing.T) {
			var url string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if r.URL.Path == "/empty" {
					_, _ = w.Write([]byte(`{"keys":[]}`))
					return
				}
				_, _ = w.Write([]byte(document(url)))
			}))
			defer server.Close()
			url = server.URL
			c := newClock()
			_, err := newVerifier(t, c, authn.Issuer{URL: url}).
				Verify(t.Context(), newKey(t, "one", jose.ES256).sign(t, good(url, c.now(), nil)))
			wantKind(t, err, apierr.Unavailable)
		})
	}
}

func TestADocumentMayMoveWithinItsHostAlone(t *testing.T) {
	c, k := newClock(), newKey(t, "one", jose.ES256)
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.public()}}
	for name, tt := range map[string]struct {
		moved  string // the path of the document that has moved
		to     func(self, plain string) string
		accept bool
	}{
		"the discovery document, within the host": {"/.well-known/openid-configuration", func(self, _ string) string { return self }, true},
		"the discovery document, to plain HTTP":   {"/.well-known/openid-configuration", func(_, plain string) string { return plain }, false},
		"the key set, within the host":            {"/keys", func(self, _ string) string { return self }, true},
		"the key set, to plain HTTP":              {"/keys", func(_, plain string) string { return plain }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var self, plain string
			serve := func(w http.ResponseWriter, r *http.Request) {
				switch path := strings.TrimPrefix(r.URL.Path, "/moved"); {
				case r.URL.Path == tt.moved:
					http.Redirect(w, r, tt.to(self, plain)+"/moved"+path, http.StatusFound)
				case path == "/keys":
					_ = json.NewEncoder(w).Encode(keys)
				default:
					w.Header().Set("Content-Type", "application/json")
					_ = json.NewEncoder(w).Encode(map[string]string{"issuer": self, "jwks_uri": self + "/keys"})
				}
			}
			server, elsewhere := httptest.NewTLSServer(http.HandlerFunc(serve)), httptest.NewServer(http.HandlerFunc(serve))
			defer server.Close()
			defer elsewhere.Close()
			self, plain = server.URL, elsewhere.URL
			v, err := authn.NewVerifier(authn.Config{
				Issuers:   []authn.Issuer{{URL: self, Audiences: []string{audience}}},
				Transport: server.Client().Transport, Now: c.now,
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(t.Context(), k.sign(t, good(self, c.now(), nil)))
			switch {
			case tt.accept && err != nil:
				t.Error(err)
			case !tt.accept:
				wantKind(t, err, apierr.Unavailable)
			}
		})
	}
}

func wantKind(t *testing.T, err error, kind apierr.Kind) {
	t.Helper()
	if err == nil || apierr.KindOf(err) != kind {
		t.Errorf("got %v, want %s", err, kind)
	}
}

package authn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"circle15.dev/internal/apierr"
)

const (
	refreshKeysEvery = time.Minute            // how long a key that its issuer withdrew goes on verifying
	trustKeysFor     = time.Hour              // how long keys serve while their issuer cannot be asked
	askAgainAfter    = 10 * time.Second       // at the earliest, whatever tokens ask for: unknown key ids cost an issuer no more
	fetchTimeout     = 5 * time.Second        // for the discovery document and the key set together
	waitWithKey      = 500 * time.Millisecond // for a refresh, where a key that still may serve is at hand
	maxDocument      = 1 << 20                // bytes of a discovery document or key set
)

// remoteKeys are the keys of an issuer found through OpenID Connect discovery. The first use fetches them, so that a
// process starts while an issuer is away.
type remoteKeys struct {
	issuer string
	client *http.Client
	now    func() time.Time

	mu        sync.Mutex
	keys      []jose.JSONWebKey
	fetchedAt time.Time
	askedAt   time.Time
	failure   error         // of the last fetch
	fetching  chan struct{} // closed at the end of the fetch under way; nil without one
}

func newRemoteKeys(issuer string, client *http.Client, now func() time.Time) *remoteKeys {
	return &remoteKeys{issuer: issuer, client: client, now: now}
}

// Keys implements KeySource.
func (r *remoteKeys) Keys(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	r.mu.Lock()
	keys, fresh := r.trusted()
	known := hasKey(keys, kid)
	if known && fresh {
		r.mu.Unlock()
		return keys, nil
	}
	done := r.fetch() // which outlives the request that starts it
	r.mu.Unlock()

	if done != nil {
		if err := await(ctx, done, known); err != nil {
			return nil, err
		}
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	keys, _ = r.trusted()
	if r.failure != nil && !hasKey(keys, kid) {
		return nil, apierr.New(apierr.Unavailable, "the keys of the token's issuer cannot be fetched; try again").Cause(r.failure)
	}
	return keys, nil
}

// trusted are the keys that may still serve, and whether they are fresh. The caller holds mu.
func (r *remoteKeys) trusted() (keys []jose.JSONWebKey, fresh bool) {
	age := r.now().Sub(r.fetchedAt)
	if age >= trustKeysFor {
		return nil, false
	}
	return r.keys, age < refreshKeysEvery
}

// fetch starts a fetch unless one is under way or the last one is too recent, and returns the channel that closes at
// its end; nil where there is nothing to wait for. The caller holds mu.
func (r *remoteKeys) fetch() <-chan struct{} {
	if r.fetching != nil {
		return r.fetching
	}
	if r.now().Sub(r.askedAt) < askAgainAfter {
		return nil
	}
	done := make(chan struct{})
	r.fetching, r.askedAt = done, r.now()
	// Apart from the request that needs it: others wait for the same answer, and it may be cancelled.
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		keys, err := r.download(ctx)
		r.mu.Lock()
		if err == nil {
			r.keys, r.fetchedAt = keys, r.now()
		}
		r.failure, r.fetching = err, nil
		r.mu.Unlock()
		close(done)
	}()
	return done
}

func await(ctx context.Context, done <-chan struct{}, haveKey bool) error {
	var enough <-chan time.Time
	if haveKey {
		timer := time.NewTimer(waitWithKey)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case <-done:
		return nil
	case <-enough:
		return nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return apierr.New(apierr.Timeout, "the issuer of the token did not answer in time").Cause(ctx.Err())
		}
		return apierr.New(apierr.Canceled, "the request was cancelled").Cause(ctx.Err())
	}
}

func (r *remoteKeys) download(ctx context.Context) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, r.client), r.issuer)
	if err != nil {
		return nil, fmt.Errorf("discovery of issuer %s: %w", r.issuer, err)
	}
	var document struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, fmt.Errorf("discovery of issuer %s: %w", r.issuer, err)
	}
	if err := sameSafety(r.issuer, document.JWKS); err != nil {
		return nil, err
	}
	body, err := r.get(ctx, document.JWKS)
	if err != nil {
		return nil, err
	}
	return parseKeySet(body)
}

func (r *remoteKeys) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("key set of issuer %s: %w", r.issuer, err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("key set of issuer %s: %w", r.issuer, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("key set of issuer %s: status %s", r.issuer, resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("key set of issuer %s: %w", r.issuer, err)
	}
	return body, nil
}

// sameSafety refuses keys over plain HTTP from an issuer that is itself reached over TLS.
func sameSafety(issuer, keys string) error {
	from, err := url.Parse(issuer)
	if err != nil {
		return fmt.Errorf("issuer %s: %w", issuer, err)
	}
	to, err := url.Parse(keys)
	if err != nil || to.Host == "" {
		return fmt.Errorf("issuer %s: its jwks_uri %q is not a URL", issuer, keys)
	}
	if to.Scheme != "https" && to.Scheme != from.Scheme {
		return fmt.Errorf("issuer %s: its jwks_uri %q is not https", issuer, keys)
	}
	return nil
}

// maxRedirects bounds how often an address may lead to another.
const maxRedirects = 3

// stayWithHost lets an address lead to another one of the same scheme and host alone: what vouches for the keys is the
// certificate of the host that the issuer's URL, or its discovery document, names.
func stayWithHost(next *http.Request, via []*http.Request) error {
	from := via[0].URL
	if next.URL.Scheme != from.Scheme || next.URL.Host != from.Host {
		return fmt.Errorf("%s leads to another host, %s://%s", from, next.URL.Scheme, next.URL.Host)
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("%s leads from one address to the next more than %d times", from, maxRedirects)
	}
	return nil
}

// boundedTransport fails the reading of a body beyond maxDocument bytes.
type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxDocument)
	return resp, nil
}

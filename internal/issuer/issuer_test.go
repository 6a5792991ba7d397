package issuer

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"circle15.dev/internal/authn"
	"circle15.dev/internal/tenant"
)

const home = "http://127.0.0.1:8080/issuer"

func claims() Claims {
	return Claims{Subject: "demo-social_worker", Name: "林老师", Tenants: []tenant.Name{"haikou", "sanya"}, Lifetime: time.Hour}
}

func verify(t *testing.T, trust authn.Issuer, token string) (authn.Principal, error) {
	t.Helper()
	v, err := authn.NewVerifier(authn.Config{Issuers: []authn.Issuer{trust}})
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(t.Context(), token)
}

func TestATokenOfTheIssuerIsAcceptedInItsOwnProcess(t *testing.T) {
	i := must(Open(t.TempDir(), home))(t)
	got, err := verify(t, i.Trust(), must(i.Mint(claims()))(t))
	if err != nil {
		t.Fatal(err)
	}
	want := authn.Principal{Issuer: home, Subject: "demo-social_worker", Name: "林老师", Tenants: []string{"haikou", "sanya"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryFileThatAnIssuerWritesIsKnownAsItsOwn(t *testing.T) {
	folder := t.TempDir()
	must(Open(folder, home))(t)
	must(os.CreateTemp(folder, draftPrefix+"*"))(t) // as far as a writer came that was killed
	entries := must(os.ReadDir(folder))(t)
	for _, entry := range entries {
		if !IsFile(entry.Name()) {
			t.Errorf("%s is not known", entry.Name())
		}
	}
	if len(entries) != 2 {
		t.Errorf("%d files", len(entries))
	}
	for _, other := range []string{"issuer.key.", "issuer.key.backup", "issuer.key.12x", "issuer.keys", "my-issuer.key", ""} {
		if IsFile(other) {
			t.Errorf("%q is taken for the issuer's", other)
		}
	}
}

func TestAnyoneCanVerifyATokenThroughDiscovery(t *testing.T) {
	var pages map[string]http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages[r.URL.Path].ServeHTTP(w, r) }))
	defer server.Close()
	i := must(Open(t.TempDir(), server.URL+Path))(t)
	pages = must(i.Pages())(t)
	_, err := verify(t, authn.Issuer{URL: i.URL(), Audiences: []string{Audience}}, must(i.Mint(claims()))(t))
	if err != nil {
		t.Error(err)
	}
}

func TestThePublishedKeysHoldNoPrivatePart(t *testing.T) {
	i := must(Open(t.TempDir(), home))(t)
	answer := httptest.NewRecorder()
	must(i.Pages())(t)[Path+"/keys"].ServeHTTP(answer, httptest.NewRequest(http.MethodGet, Path+"/keys", nil))
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(answer.Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		if key["d"] != "" || key["kty"] != "EC" || key["kid"] == "" {
			t.Errorf("got %v", key)
		}
	}
	if len(set.Keys) != 1 {
		t.Errorf("got %d keys", len(set.Keys))
	}
}

func TestTheKeyStaysInTheFolderAndIsPrivate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	first := must(Open(folder, home))(t)
	info := must(os.Stat(filepath.Join(folder, fileName)))(t)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %s", info.Mode().Perm())
	}
	loaded := must(Load(folder))(t)
	if loaded.URL() != home {
		t.Errorf("loaded as %s", loaded.URL())
	}
	if _, err := verify(t, first.Trust(), must(loaded.Mint(claims()))(t)); err != nil {
		t.Errorf("a token of another process: %v", err)
	}
	moved := must(Open(folder, "http://127.0.0.1:9999/issuer"))(t)
	if got := must(Load(folder))(t).URL(); got != moved.URL() {
		t.Errorf("after a move, loaded as %s", got)
	}
	if leftovers := must(os.ReadDir(folder))(t); len(leftovers) != 1 {
		t.Errorf("the folder holds %v", leftovers)
	}
}

func TestAnOldKeyIsReplacedAndVerifiesAsLongAsItsTokensLive(t *testing.T) {
	folder, start := t.TempDir(), time.Now()
	first := must(open(folder, home, start))(t)
	old := must(first.Mint(claims()))(t)
	oldID := first.keys[0].Key.KeyID

	later := must(open(folder, home, start.Add(rotateAfter)))(t)
	if later.keys[0].Key.KeyID == oldID {
		t.Fatal("the key was not replaced")
	}
	for _, token := range []string{old, must(later.Mint(claims()))(t)} {
		if _, err := verify(t, later.Trust(), token); err != nil {
			t.Error(err)
		}
	}
	last := must(open(folder, home, start.Add(2*rotateAfter)))(t)
	if _, err := verify(t, last.Trust(), old); err == nil {
		t.Error("a key goes on verifying for ever")
	}
	if _, err := verify(t, last.Trust(), must(later.Mint(claims()))(t)); err != nil {
		t.Errorf("the key before: %v", err)
	}
}

func TestAnUnusableKeyFileIsOneClearSentence(t *testing.T) {
	if _, err := Load(t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("an empty folder: %v", err)
	}
	for content, want := range map[string]string{
		"not JSON":                                        "is damaged",
		`{"issuer":"x","keys":[]}`:                        "holds no key",
		`{"keys":[{"key":{"kty":1}}]}`:                    "is damaged",
		`{"keys":[{"key":{"kty":"oct","k":"c2VjcmV0"}}]}`: "not one for ES256",
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, fileName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(folder, home); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", content, err)
		}
	}
}

func TestAKeyThatOthersCanReadIsUsedOnlyWhereItsModeIsNotOurs(t *testing.T) {
	folder := t.TempDir()
	must(Open(folder, home))(t)
	if err := os.Chmod(filepath.Join(folder, fileName), 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(folder, home); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("in the data folder: %v", err)
	}
	must(must(Load(folder))(t).Mint(claims()))(t) // as a mounted Secret
}

func TestATokenNeedsASubjectATenantAndABoundedLife(t *testing.T) {
	i := must(Open(t.TempDir(), home))(t)
	for name, change := range map[string]func(*Claims){
		"no subject":   func(c *Claims) { c.Subject = "" },
		"no tenant":    func(c *Claims) { c.Tenants = nil },
		"no life":      func(c *Claims) { c.Lifetime = 0 },
		"too long":     func(c *Claims) { c.Lifetime = MaxLifetime + time.Second },
		"expired born": func(c *Claims) { c.Lifetime = -time.Second },
	} {
		c := claims()
		change(&c)
		if _, err := i.Mint(c); err == nil {
			t.Errorf("%s: minted", name)
		}
	}
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

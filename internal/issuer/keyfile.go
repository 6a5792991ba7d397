package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	fileName    = "issuer.key"
	draftPrefix = fileName + "." // and a number, of each writer its own
	rotateAfter = 90 * 24 * time.Hour
)

// IsFile says whether a file of that name in a data folder is the issuer's: its key, or the draft of one that a process
// left behind which was killed while it wrote.
func IsFile(name string) bool {
	number, draft := strings.CutPrefix(name, draftPrefix)
	return name == fileName || draft && number != "" && strings.Trim(number, "0123456789") == ""
}

// ErrNone says that a data folder holds no issuer.
var ErrNone = errors.New("no built-in issuer")

// keyFile is the content of issuer.key: private, readable by its owner alone.
type keyFile struct {
	Issuer string       `json:"issuer"`
	Keys   []signingKey `json:"keys"` // newest first
}

type signingKey struct {
	Created time.Time       `json:"created"`
	Key     jose.JSONWebKey `json:"key"` // private
}

// rotate makes a key where there is none or the newest is old, drops those of which no token can be valid any more, and
// says whether it changed anything.
func (f *keyFile) rotate(now time.Time) (changed bool, err error) {
	if len(f.Keys) > 0 && now.Sub(f.Keys[0].Created) < rotateAfter {
		return false, nil
	}
	fresh, err := newSigningKey(now)
	if err != nil {
		return false, err
	}
	keys := []signingKey{fresh}
	for i, k := range f.Keys {
		// A key signed until its successor was made; the newest signed until now.
		if i == 0 || now.Sub(f.Keys[i-1].Created) < MaxLifetime {
			keys = append(keys, k)
		}
	}
	f.Keys = keys
	return true, nil
}

// newSigningKey makes a key whose id is its thumbprint (RFC 7638).
func newSigningKey(now time.Time) (signingKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return signingKey{}, fmt.Errorf("making the issuer's key: %w", err)
	}
	key := jose.JSONWebKey{Key: private, Algorithm: string(jose.ES256), Use: "sig"}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return signingKey{}, fmt.Errorf("making the issuer's key: %w", err)
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return signingKey{Created: now.UTC().Truncate(time.Second), Key: key}, nil
}

func readKeyFile(folder string) (*keyFile, error) {
	path := filepath.Join(folder, fileName)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &keyFile{}, fmt.Errorf("%w in %s", ErrNone, folder)
	}
	if err != nil {
		return nil, fmt.Errorf("the issuer's key: %w", err)
	}
	var file keyFile
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if len(file.Keys) == 0 {
		return nil, fmt.Errorf("%s is damaged: it holds no key", path)
	}
	for _, k := range file.Keys {
		if private, ok := k.Key.Key.(*ecdsa.PrivateKey); !ok || private.Curve != elliptic.P256() {
			return nil, fmt.Errorf("%s is damaged: a key is not one for ES256", path)
		}
	}
	return &file, nil
}

// checkPrivate refuses a key that others than its owner can read.
func checkPrivate(folder string) error {
	path := filepath.Join(folder, fileName)
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("the issuer's key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others (%s): make it private with chmod 600", path, info.Mode().Perm())
	}
	return nil
}

// writeKeyFile replaces the file at once, so that a reader or a crash never meets half of it.
func writeKeyFile(folder string, file *keyFile) (err error) {
	content, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("the issuer's key: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("the issuer's key: %w", err)
	}
	draft, err := os.CreateTemp(folder, draftPrefix+"*") // of mode 0600
	if err != nil {
		return fmt.Errorf("the issuer's key: %w", err)
	}
	_, err = draft.Write(append(content, '\n'))
	err = errors.Join(err, draft.Sync(), draft.Close())
	if err == nil {
		err = os.Rename(draft.Name(), filepath.Join(folder, fileName))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the issuer's key: %w", err), os.Remove(draft.Name()))
	}
	return nil
}

package embeddedpg_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"circle15.dev/internal/embeddedpg"
)

// withoutPostgreSQL hides the host's PostgreSQL.
func withoutPostgreSQL(t *testing.T) embeddedpg.Config {
	t.Helper()
	embeddedpg.WithoutHost(t)
	cfg := config(filepath.Join(t.TempDir(), "data"))
	cfg.BinDir = ""
	return cfg
}

func TestWithoutPostgreSQLTheErrorSaysWhatToDo(t *testing.T) {
	cfg := withoutPostgreSQL(t)
	cfg.CacheDir = t.TempDir()
	repository := httptest.NewServer(http.NotFoundHandler())
	defer repository.Close()
	t.Setenv(embeddedpg.RepositoryEnv, repository.URL)
	wantError(t, cfg, "no PostgreSQL 15 to 18 was found on this computer and fetching one failed")
	repository.Close()
	wantError(t, cfg, "install PostgreSQL, or set CIRCLE15_POSTGRES_BIN")
}

func TestPostgreSQLIsFetchedOnceWhereTheHostHasNone(t *testing.T) {
	found := embeddedpg.Find(t.Context())
	if dir := os.Getenv("CIRCLE15_TEST_POSTGRES_BIN"); dir != "" {
		found = []embeddedpg.Binaries{{Dir: dir}}
	}
	if len(found) == 0 {
		t.Skip("this test packs the host's PostgreSQL, and there is none")
	}
	archive := mavenArchive(t, found[0].Dir)
	var fetched atomic.Int32
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			_, _ = fmt.Fprintf(w, "%x", sha256.Sum256(archive))
			return
		}
		fetched.Add(1)
		_, _ = w.Write(archive)
	}))
	defer repository.Close()
	t.Setenv(embeddedpg.RepositoryEnv, repository.URL)

	cfg := withoutPostgreSQL(t)
	cfg.CacheDir = openFolder(t)
	for range 2 {
		s := start(t, cfg)
		query(t, s.SuperuserURL("postgres"), "SELECT 'fine'")
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		cfg.Dir = filepath.Join(t.TempDir(), "data")
	}
	if n := fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

// openFolder is a folder that other accounts may enter; those of t.TempDir are private.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "embeddedpg-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mavenArchive is a fetchable archive, a jar with a tar.xz in it, of programs that pass on to those in bin.
func mavenArchive(t *testing.T, bin string) []byte {
	t.Helper()
	var plain, packed, jar bytes.Buffer
	files := tar.NewWriter(&plain)
	for _, program := range []string{"initdb", "pg_ctl", "postgres"} {
		script := fmt.Sprintf("#!/bin/sh\nexec %s/%s \"$@\"\n", bin, program)
		if err := files.WriteHeader(&tar.Header{Name: "bin/" + program, Mode: 0o755, Size: int64(len(script)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(script)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	compress := exec.Command("xz", "--stdout")
	compress.Stdin, compress.Stdout = &plain, &packed
	if err := compress.Run(); err != nil {
		t.Skipf("xz is needed to make an archive: %v", err)
	}
	archive := zip.NewWriter(&jar)
	entry, err := archive.Create("postgres-linux-x86_64.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Write(packed.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return jar.Bytes()
}

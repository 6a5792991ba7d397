package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"circle15.dev/internal/issuer"
)

func open(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one sentence with %q", err, part)
		}
	}
}

func TestAFolderKeepsItsPasswordsAndShowsThemToItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := open(t, dir)
	first.Close()
	if second := open(t, dir); second.mark != first.mark || len(second.mark.AppPassword) < 20 {
		t.Errorf("got %v after %v", second.mark, first.mark)
	}
	info, err := os.Stat(filepath.Join(dir, markFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mark has %v, %v", info.Mode(), err)
	}
}

func TestOneProcessUsesAFolder(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := OpenFolder(dir)
	wantError(t, err, dir, "in use by another running circle15")
	wantError(t, Reset(dir), "in use by another running circle15")
}

func TestAFolderOfANewerVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, markFile), `{"format": 7}`)
	_, err := OpenFolder(dir)
	wantError(t, err, "newer version", "--reset")
	for _, text := range []string{`{"for`, `{"format": 1}`, `{"format": 1, "operatorPassword": "a", "appPassword": "b"}`} {
		write(t, filepath.Join(dir, markFile), text)
		_, err = OpenFolder(dir)
		wantError(t, err, "damaged", "--reset")
		_, err = OperatorURL(dir)
		wantError(t, err, "damaged", "--reset")
	}
}

func TestAFolderOfSomebodyElseIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "thesis.txt"), "years of work")
	_, err := OpenFolder(dir)
	wantError(t, err, "not a data folder", "CIRCLE15_DATA")
	wantError(t, Reset(dir), "not a data folder")
	if _, err := os.Stat(filepath.Join(dir, "thesis.txt")); err != nil {
		t.Error(err)
	}
}

// A process that is killed while it writes the issuer's key leaves a draft of it behind.
func TestResetRemovesTheDraftsThatAKillLeftBehind(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	open(t, dir).Close()
	for _, name := range []string{"issuer.key.1234567890", "issuer.key.7", draftFile} {
		write(t, filepath.Join(dir, name), `{"iss`)
	}
	kept := filepath.Join(dir, "issuer.key.backup")
	write(t, kept, "mine")
	wantError(t, Reset(dir), "issuer.key.backup", "nothing was removed")
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	if err := Reset(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestResetRemovesTheFolderAndNothingThatIsNotIts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := Reset(dir); err != nil {
		t.Errorf("of no folder: %v", err)
	}
	open(t, dir).Close()
	write(t, filepath.Join(dir, postgresFolder, "pgdata", "PG_VERSION"), "15")
	if _, err := issuer.Open(dir, "http://127.0.0.1/issuer"); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "notes.txt"), "mine")
	wantError(t, Reset(dir), "notes.txt", "nothing was removed")
	if _, err := os.Stat(filepath.Join(dir, postgresFolder, "pgdata", "PG_VERSION")); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, "notes.txt")); err != nil {
		t.Fatal(err)
	}
	if err := Reset(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	open(t, dir)
}

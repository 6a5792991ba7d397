// Package testenv gives tests a real PostgreSQL and tenants in it.
//
// The server is started once per test process, from a template that is made once per machine, and goes away with the
// process, however it ends. Durability is switched off; nothing else differs from a server in use.
package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"circle15.dev/internal/embeddedpg"
)

// BinEnv names a folder of PostgreSQL programs to test with, for example of another major version.
const BinEnv = "CIRCLE15_TEST_POSTGRES_BIN"

var initArgs = []string{"--no-sync", "--wal-segsize=4"}

// settings make the server fast and roomy; none changes what SQL means.
var settings = map[string]string{
	"fsync":                     "off",
	"synchronous_commit":        "off",
	"full_page_writes":          "off",
	"wal_level":                 "minimal",
	"max_wal_senders":           "0",
	"shared_buffers":            "64MB",
	"max_connections":           "200",
	"max_locks_per_transaction": "256",
	"jit":                       "off",
}

var start = sync.OnceValues(startServer)

// Postgres is the server of this test process. The test fails where there is no PostgreSQL.
func Postgres(t testing.TB) *embeddedpg.Server {
	t.Helper()
	s, err := start()
	if err != nil {
		t.Fatalf("PostgreSQL for tests: %v", err)
	}
	return s
}

func startServer() (*embeddedpg.Server, error) {
	template, err := template()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(scratch(), "circle15-test-")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chmod(dir, 0o755), copyTree(template, dir)); err != nil { //nolint:gosec // the server's account must enter it
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s, err := embeddedpg.Start(context.Background(), config(dir))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, watch(s, dir)
}

// scratch is where the data go: memory, where there is plenty, else the temporary folder. A tenant is some 170 files, and
// making files just after others were removed, which tests do all the time, doubles the time of a tenant on ext4.
func scratch() string {
	const memory, plenty = "/dev/shm", 8 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < plenty {
		return os.TempDir()
	}
	return memory
}

func config(dir string) embeddedpg.Config {
	return embeddedpg.Config{
		Dir: dir, BinDir: os.Getenv(BinEnv), InitArgs: initArgs, Settings: settings,
		Logger: slog.New(slog.DiscardHandler),
	}
}

// watch leaves a shell behind that waits for the end of this process, which closes the pipe, and then ends the server
// and removes its folder. No hook in this process would run after os.Exit, a panic or a kill.
func watch(s *embeddedpg.Server, dir string) error {
	const script = `read -r _; kill -QUIT "$1"; while kill -0 "$1"; do sleep 0.05; done; rm -rf "$2" "$3"`
	cmd := exec.Command("/bin/sh", "-c", script, "sh", strconv.Itoa(s.PID()), dir, s.SocketDir()) //nolint:noctx // it outlives every context
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C ends the test, not its watcher
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	watched = pipe
	return cmd.Start()
}

// watched keeps the pipe to the watcher open, out of the garbage collector's reach, until the process ends.
var watched io.Closer //nolint:unused // its being reachable is its use

// template is a folder with a freshly made data folder, one for each version of PostgreSQL and of the code that makes it.
func template() (string, error) {
	version, err := serverVersion()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{"1", version}, initArgs...), "\n")))
	base := filepath.Join(os.TempDir(), "circle15-testenv-"+strconv.Itoa(os.Getuid()))
	dir := filepath.Join(base, hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(base, 0o755); err != nil { //nolint:gosec // the server's account must enter it
		return "", err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return dir, nil
	}
	return dir, makeTemplate(dir)
}

func makeTemplate(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	s, err := embeddedpg.Start(context.Background(), config(dir))
	if err != nil {
		return err
	}
	if err := s.Stop(context.Background()); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "complete"), nil, 0o600)
}

func serverVersion() (string, error) {
	if dir := os.Getenv(BinEnv); dir != "" {
		out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output() //nolint:gosec,noctx // the tester names the programs
		return string(out), err
	}
	if found := embeddedpg.Find(context.Background()); len(found) > 0 {
		return found[0].Dir + " " + found[0].Version, nil
	}
	return "fetched", nil
}

// copyTree copies the data and the password of a template.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil || relative == "." {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case entry.IsDir():
			return os.Mkdir(target, 0o700)
		case relative == "superuser.password" || strings.HasPrefix(relative, "pgdata"+string(filepath.Separator)):
			return copyFile(path, target)
		}
		return nil
	})
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		_ = target.Close()
		return fmt.Errorf("copying %s: %w", from, err)
	}
	return target.Close()
}

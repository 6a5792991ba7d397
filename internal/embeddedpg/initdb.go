package embeddedpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// initialize makes the data in a folder beside their final place and renames it at the end, so that a process killed in
// the middle leaves nothing that looks finished.
func initialize(ctx context.Context, cfg Config, f *folder, bin Binaries, who account, password string) error {
	fresh := f.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("the data folder cannot be made: %w", err)
	}
	if err := errors.Join(os.Mkdir(fresh, 0o700), who.own(fresh)); err != nil {
		return fmt.Errorf("the data folder cannot be made: %w", err)
	}
	passwordFile, err := temporaryPasswordFile(who, password)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(filepath.Dir(passwordFile)) }()
	data, err := openFor(who, fresh)
	if err != nil {
		return err
	}
	defer data.close()

	args := append([]string{
		"-D", data.path, "-U", Superuser, "--pwfile", passwordFile, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C",
	}, cfg.InitArgs...)
	cmd := exec.CommandContext(ctx, bin.path("initdb"), args...)
	cmd.Dir, cmd.Env, cmd.ExtraFiles, cmd.SysProcAttr = "/", serverEnvironment(), data.files, serverAttributes(who)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("PostgreSQL's data folder could not be made: %w: %s", err, initdbComplaint(string(out)))
	}
	if err := os.Rename(fresh, f.data()); err != nil {
		return fmt.Errorf("the data folder cannot be made: %w", err)
	}
	return nil
}

// temporaryPasswordFile holds the password where the server's account can read it, only while initdb runs.
func temporaryPasswordFile(who account, password string) (string, error) {
	dir, err := newSocketDir(who)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "password")
	if err := errors.Join(os.WriteFile(path, []byte(password+"\n"), 0o600), who.own(path)); err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("the password could not be handed to initdb: %w", err)
	}
	return path, nil
}

// stopOrphan stops a server that outlived its parent, and clears a lock file whose process id now belongs to another
// program. It says whether there was a lock file. This process holds the folder's lock, so no living parent owns that
// server.
func stopOrphan(ctx context.Context, f *folder, logger *slog.Logger) (stale bool, err error) {
	pid, _ := f.lockFile()
	if pid == 0 {
		return false, nil
	}
	if !alive(pid) {
		return true, nil // PostgreSQL clears the lock file of a dead process itself, after a look at its shared memory
	}
	if !isServerOf(pid, f.data()) {
		return true, os.Remove(filepath.Join(f.data(), "postmaster.pid"))
	}
	logger.InfoContext(ctx, "stopping a PostgreSQL server that an earlier run left behind", "pid", pid)
	for _, way := range []struct {
		signal syscall.Signal
		limit  time.Duration
	}{{syscall.SIGINT, stopLimit}, {syscall.SIGQUIT, 5 * time.Second}} {
		_ = syscall.Kill(pid, way.signal)
		if awaitEnd(ctx, pid, way.limit) {
			return true, nil
		}
	}
	return true, fmt.Errorf("a PostgreSQL server of an earlier run (process %d) still uses %s and does not stop", pid, f.data())
}

func awaitEnd(ctx context.Context, pid int, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for alive(pid) {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// initdbComplaint is why initdb failed: the last line by which it, or the server that it runs, says so, else its last line.
// The lines after that tell of the tidying up.
func initdbComplaint(out string) string {
	if complaint := lastComplaintIn(out, "error: ", "FATAL:  ", "PANIC:  "); complaint != "" {
		return complaint
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

package embeddedpg_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/embeddedpg"
)

// childFolder makes this test binary act as a program that starts a server and then waits to be killed.
const childFolder = "EMBEDDEDPG_TEST_CHILD_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		s, err := embeddedpg.Start(context.Background(), config(dir))
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("ready", s.PID())
		select {}
	}
	os.Exit(m.Run())
}

func config(dir string) embeddedpg.Config {
	return embeddedpg.Config{
		Dir:      dir,
		BinDir:   os.Getenv("CIRCLE15_TEST_POSTGRES_BIN"),
		InitArgs: []string{"-N"},
		Settings: map[string]string{"fsync": "off", "shared_buffers": "16MB"},
	}
}

func start(t *testing.T, cfg embeddedpg.Config) *embeddedpg.Server {
	t.Helper()
	s, err := embeddedpg.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return s
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var out string
	if err := conn.QueryRow(t.Context(), sql).Scan(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAServerAcceptsConnectionsOverSocketAndLoopbackAndKeepsItsData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, config(dir))
	if got := query(t, s.SuperuserURL("postgres"), "SELECT lo_from_bytea(4711, 'a row')::text"); got != "4711" {
		t.Errorf("got %q", got)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	default:
		t.Error("Done is open after Stop")
	}

	again := start(t, config(dir))
	password, err := os.ReadFile(filepath.Join(dir, "superuser.password"))
	if err != nil {
		t.Fatal(err)
	}
	url := again.TCPURL(embeddedpg.Superuser, strings.TrimSpace(string(password)), "postgres")
	if got := query(t, url, "SELECT convert_from(lo_get(4711), 'UTF8')"); got != "a row" {
		t.Errorf("after a restart: got %q", got)
	}
}

func TestTheServerRefusesAWrongPasswordAndKeepsTheRightOnePrivate(t *testing.T) {
	dir := t.TempDir()
	s := start(t, config(dir))
	for _, url := range []string{
		s.URL(embeddedpg.Superuser, "wrong", "postgres"), s.TCPURL(embeddedpg.Superuser, "wrong", "postgres"),
	} {
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			_ = conn.Close(t.Context())
			t.Errorf("connected to %s", url)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "superuser.password"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the password file has mode %o", info.Mode().Perm())
	}
}

func TestAServerStopsWhenItsParentIsKilledAndTheDataAreReusable(t *testing.T) {
	dir := t.TempDir()
	child := startChild(t, dir)
	if err := child.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.cmd.Wait()
	s := start(t, config(dir))
	if s.PID() == child.serverPID {
		t.Error("the second start took over the first server")
	}
	query(t, s.SuperuserURL("postgres"), "SELECT 'fine'")
}

func TestAServerKilledTogetherWithItsParentIsRecovered(t *testing.T) {
	dir := t.TempDir()
	child := startChild(t, dir)
	if err := child.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(child.serverPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = child.cmd.Wait()
	s := start(t, config(dir))
	query(t, s.SuperuserURL("postgres"), "SELECT 'fine'")
}

func TestAServerLeftBehindIsStoppedByTheNextStart(t *testing.T) {
	dir := t.TempDir()
	child := startChild(t, dir)
	// A stopped process does not act on the parent-death signal until it is continued: it is left behind for a moment.
	if err := syscall.Kill(child.serverPID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := child.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.cmd.Wait()
	time.AfterFunc(300*time.Millisecond, func() { _ = syscall.Kill(child.serverPID, syscall.SIGCONT) })
	s := start(t, config(dir))
	query(t, s.SuperuserURL("postgres"), "SELECT 'fine'")
}

func TestALockFileOfAnotherProgramsProcessIsCleared(t *testing.T) {
	dir := t.TempDir()
	s := start(t, config(dir))
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	lockFile := filepath.Join(dir, "pgdata", "postmaster.pid")
	if err := os.WriteFile(lockFile, fmt.Appendf(nil, "%d\n%s\n", os.Getppid(), dir), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, config(dir))
}

func TestAFolderInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, config(dir))
	wantError(t, config(dir), "is in use by another running program")
}

func TestAPortInUseIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	cfg := config(t.TempDir())
	cfg.Port = l.Addr().(*net.TCPAddr).Port
	wantError(t, cfg, fmt.Sprintf("port %d on 127.0.0.1 is in use", cfg.Port))
}

func TestDataOfAnUnsupportedPostgreSQLAreRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "pgdata"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pgdata", "PG_VERSION"), []byte("19\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, config(dir), "was made by PostgreSQL 19; this program runs 15 to 18")
}

func TestALostPasswordFileIsReported(t *testing.T) {
	dir := t.TempDir()
	s := start(t, config(dir))
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "superuser.password")); err != nil {
		t.Fatal(err)
	}
	wantError(t, config(dir), "has lost its password file")
}

func TestAWrongSettingIsReportedInTheServersWords(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Port = freePort(t)
	cfg.Settings = map[string]string{"max_connections": "none"}
	wantError(t, cfg, "max_connections")
}

func TestAFailedInitdbIsReportedWithItsReason(t *testing.T) {
	for name, tt := range map[string]struct{ says, want string }{
		"the server's": {
			"performing post-bootstrap initialization ... 2026-01-01 00:00:00.000 UTC [7] FATAL:  could not extend file: No space left on device\n" +
				"child process exited with exit code 1\ninitdb: removing contents of data directory",
			"could not extend file: No space left on device",
		},
		"its own":    {"initdb: error: could not create directory: Permission denied\ninitdb: hint: try another", "could not create directory: Permission denied"},
		"an unknown": {"something\nSegmentation fault", ": Segmentation fault"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t.TempDir())
			cfg.BinDir = programs(t, "15.18", tt.says)
			wantError(t, cfg, tt.want)
		})
	}
}

func TestANamedFolderOfProgramsIsUsedOrRefused(t *testing.T) {
	for name, tt := range map[string]struct{ dir, want string }{
		"no such folder": {filepath.Join(t.TempDir(), "none"), "no PostgreSQL in"},
		"too old":        {programs(t, "14.20", ""), "holds PostgreSQL 14.20; this program runs 15 to 18"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(embeddedpg.BinEnv, tt.dir)
			cfg := config(t.TempDir())
			cfg.BinDir, cfg.CacheDir = "", t.TempDir()
			wantError(t, cfg, "the folder that CIRCLE15_POSTGRES_BIN names will not do: ")
			wantError(t, cfg, tt.want)
		})
	}
}

// programs is a folder of programs that tell the version, of which initdb says something and fails.
func programs(t *testing.T, version, says string) string {
	t.Helper()
	dir := openFolder(t)
	for program, script := range map[string]string{
		"postgres": "echo 'postgres (PostgreSQL) " + version + "'",
		"initdb":   "cat >&2 <<'end'\n" + says + "\nend\nexit 1",
	} {
		if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func wantError(t *testing.T, cfg embeddedpg.Config, part string) {
	t.Helper()
	s, err := embeddedpg.Start(t.Context(), cfg)
	if err == nil {
		_ = s.Stop(t.Context())
		t.Fatalf("started; want an error with %q", part)
	}
	if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got error %q, want one sentence with %q", err, part)
	}
}

type child struct {
	cmd       *exec.Cmd
	serverPID int
}

func startChild(t *testing.T, dir string) child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c := child{cmd: cmd}
	if _, err := fmt.Sscanf(line, "ready %d", &c.serverPID); err != nil {
		t.Fatalf("the child says %q", line)
	}
	return c
}

// Package embeddedpg runs a private PostgreSQL server out of a folder: for the demo, and for tests.
//
// It finds the server's programs on the host or fetches them, makes the data folder, starts the server on a loopback
// port and a Unix socket with a generated superuser password, and stops it. One process at a time owns a folder. When
// that process dies, however it dies, the server shuts down (Linux) or is stopped by the next Start (elsewhere); the
// data are always reusable.
package embeddedpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Superuser is the name of the superuser of every server that this package makes.
const Superuser = "postgres"

const (
	startLimit = 60 * time.Second // crash recovery of a demo's data takes a few seconds at most
	stopLimit  = 30 * time.Second // a fast shutdown writes one checkpoint
	pollEvery  = 10 * time.Millisecond
)

// Config says where a server lives and how it runs. Only Dir is required.
type Config struct {
	// Dir holds everything: the data, the superuser's password (mode 0600), the log and a lock file. It is made if absent.
	Dir string
	// Port is the loopback port; 0 takes a free one at every start.
	Port int
	// BinDir is the folder of the server programs (postgres, initdb); empty: found on the host, else fetched.
	BinDir string
	// CacheDir keeps fetched programs; empty: the user's cache folder, or /var/cache/circle15 for root.
	CacheDir string
	// InitArgs are passed to initdb besides the ones this package needs.
	InitArgs []string
	// Settings are server parameters that override the defaults of this package and the configuration file.
	Settings map[string]string
	// Logger tells of fetching, making and stopping; nil: slog.Default().
	Logger *slog.Logger
}

// Server is a running PostgreSQL server.
type Server struct {
	cfg       Config
	folder    *folder
	process   *process
	port      int
	socketDir string
	password  string
	bin       Binaries
}

// Start finds or fetches PostgreSQL, makes the data folder if it is new, and returns when the server accepts
// connections. Its errors are single sentences for a person: no PostgreSQL, port in use, folder in use, or data of a
// PostgreSQL that is not at hand.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	f, err := openFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, folder: f}
	if err := s.start(ctx); err != nil {
		s.removeSocketDir()
		f.close()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	who, err := serverAccount(s.folder.data())
	if err != nil {
		return err
	}
	if s.cfg.Port != 0 && !portIsFree(ctx, s.cfg.Port) {
		return fmt.Errorf("port %d on 127.0.0.1 is in use by another program; choose another port for PostgreSQL", s.cfg.Port)
	}
	major, err := s.folder.majorVersion()
	if err != nil {
		return err
	}
	if s.bin, err = locate(ctx, s.cfg, who, major); err != nil {
		return err
	}
	if s.password, err = s.folder.superuserPassword(major == 0); err != nil {
		return err
	}
	if major == 0 {
		s.cfg.Logger.InfoContext(ctx, "making a PostgreSQL data folder", "folder", s.folder.data(), "version", s.bin.Version)
		if err := initialize(ctx, s.cfg, s.folder, s.bin, who, s.password); err != nil {
			return err
		}
	}
	stale, err := stopOrphan(ctx, s.folder, s.cfg.Logger)
	if err != nil {
		return err
	}
	s.folder.removeLostSocketDir()
	if s.socketDir, err = newSocketDir(who); err != nil {
		return err
	}
	if err := s.folder.rememberSocketDir(s.socketDir); err != nil {
		return err
	}
	if err := s.folder.giveTo(who); err != nil {
		return err
	}
	return s.launch(ctx, who, stale)
}

// launch starts the server, again after a moment where a first failure may pass: a free port that another program took
// meanwhile, or backends of a killed server that still hold its shared memory (PostgreSQL itself refuses to start then).
func (s *Server) launch(ctx context.Context, who account, stale bool) error {
	attempts := 1
	if stale || s.cfg.Port == 0 {
		attempts = 5
	}
	var err error
	for attempt := range attempts {
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(attempt) * 300 * time.Millisecond):
			}
		}
		if err = s.launchOnce(ctx, who); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (s *Server) launchOnce(ctx context.Context, who account) error {
	s.port = s.cfg.Port
	if s.port == 0 {
		var err error
		if s.port, err = freePort(ctx); err != nil {
			return err
		}
	}
	logStart, logFile, err := s.folder.openLog()
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }()
	data, err := s.folder.openData(who)
	if err != nil {
		return err
	}
	defer data.close()

	args := []string{"-D", data.path}
	for name, value := range s.settings() {
		args = append(args, "-c", name+"="+value)
	}
	cmd := exec.Command(s.bin.path("postgres"), args...) //nolint:noctx // the server outlives the context of its start
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env, cmd.ExtraFiles = logFile, logFile, "/", serverEnvironment(), data.files
	cmd.SysProcAttr = serverAttributes(who)
	if s.process, err = startProcess(cmd); err != nil {
		return fmt.Errorf("PostgreSQL could not be started from %s: %w", s.bin.Dir, err)
	}
	if err := s.awaitReady(ctx); err != nil {
		s.process.stop(context.WithoutCancel(ctx))
		if reason := s.folder.lastComplaint(logStart); reason != "" {
			return fmt.Errorf("PostgreSQL did not start: %s (its log is %s)", reason, s.folder.log())
		}
		return err
	}
	return nil
}

func (s *Server) settings() map[string]string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(s.port),
		"unix_socket_directories": s.socketDir,
		"cluster_name":            "circle15",
		"max_connections":         "100",
		"log_line_prefix":         "%m [%p] %q%u@%d ",
	}
	maps.Copy(settings, s.cfg.Settings)
	return settings
}

// awaitReady waits until the server reports "ready" in its lock file, the same sign that pg_ctl waits for.
func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if pid, status := s.folder.lockFile(); pid == s.process.pid && status == "ready" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL was not ready in time: %w", context.Cause(ctx))
		case <-s.process.done:
			return errors.New("PostgreSQL ended while starting")
		case <-tick.C:
		}
	}
}

// Stop shuts the server down (fast: open transactions are rolled back, a checkpoint is written) and gives the folder up.
// It is safe to call twice.
func (s *Server) Stop(ctx context.Context) error {
	s.process.stop(ctx)
	s.removeSocketDir()
	s.folder.close()
	return s.process.stopError()
}

// Done is closed when the server process has ended, whoever ended it.
func (s *Server) Done() <-chan struct{} { return s.process.done }

// PID is the process id of the server.
func (s *Server) PID() int { return s.process.pid }

// Port is the loopback port.
func (s *Server) Port() int { return s.port }

// SocketDir is the folder of the server's Unix socket.
func (s *Server) SocketDir() string { return s.socketDir }

// LogFile is the server's log.
func (s *Server) LogFile() string { return s.folder.log() }

// Version is the version of the server, for example "15.18".
func (s *Server) Version() string { return s.bin.Version }

// SuperuserURL is the connection URL of the superuser over the Unix socket.
func (s *Server) SuperuserURL(database string) string { return s.URL(Superuser, s.password, database) }

// URL is a connection URL over the Unix socket, the faster way for programs on this computer.
func (s *Server) URL(user, password, database string) string {
	query := url.Values{"host": {s.socketDir}, "port": {strconv.Itoa(s.port)}}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// TCPURL is a connection URL over the loopback port.
func (s *Server) TCPURL(user, password, database string) string {
	host := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: host, Path: "/" + database}
	return u.String()
}

func (s *Server) removeSocketDir() {
	if s.socketDir != "" {
		_ = os.RemoveAll(s.socketDir)
	}
}

// newSocketDir makes a folder for the socket that only the server's account can enter. It is a temporary folder, because
// a socket's path is limited to 107 bytes and the data folder may be deep or closed to the server's account.
func newSocketDir(who account) (string, error) {
	parent := os.TempDir()
	if len(parent) > 60 || !who.reaches(parent) {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, socketDirPrefix)
	if err != nil {
		return "", fmt.Errorf("no folder for PostgreSQL's socket: %w", err)
	}
	if err := who.own(dir); err != nil {
		return "", fmt.Errorf("no folder for PostgreSQL's socket: %w", err)
	}
	return filepath.Clean(dir), nil
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("no free port on 127.0.0.1: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

func portIsFree(ctx context.Context, port int) bool {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		// Another reason than a taken port (for example a privileged one) is PostgreSQL's to explain.
		return !errors.Is(err, syscall.EADDRINUSE)
	}
	return l.Close() == nil
}

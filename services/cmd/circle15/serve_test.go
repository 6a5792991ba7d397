package main

import (
	"encoding/json"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/testenv"
)

// gate is a loopback address that leads to the test process's PostgreSQL until it is shut.
type gate struct {
	listener net.Listener
	mu       sync.Mutex
	through  []net.Conn
}

func newGate(t *testing.T) *gate {
	t.Helper()
	to, err := pgconn.ParseConfig(testenv.Provisioned(t).AppURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: l}
	t.Cleanup(g.shut)
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", filepath.Join(to.Host, ".s.PGSQL."+strconv.Itoa(int(to.Port))))
			if err != nil {
				_ = near.Close()
				continue
			}
			g.mu.Lock()
			g.through = append(g.through, near, far)
			g.mu.Unlock()
			for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
				go func() {
					_, _ = io.Copy(ends[0], ends[1])
					_, _ = ends[0].Close(), ends[1].Close()
				}()
			}
		}
	}()
	return g
}

// url is the app login's URL through the gate.
func (g *gate) url() string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword("circle15_app", testenv.Password), Host: g.listener.Addr().String(),
		Path: "/" + testenv.Database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (g *gate) shut() {
	_ = g.listener.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.through {
		_ = c.Close()
	}
}

// serving is "circle15 serve" at work, on free ports and with a built-in issuer, whose key "circle15 issuer" has made.
type serving struct {
	*program
	http string
}

func serveThrough(t *testing.T, g *gate, args ...string) serving {
	t.Helper()
	folder := t.TempDir()
	start(t, nil, "issuer", folder, "--url", "http://127.0.0.1/issuer").succeeds()
	env := []string{
		"CIRCLE15_DATABASE_URL=" + g.url(), "CIRCLE15_BUILTIN_ISSUER=" + folder,
		"CIRCLE15_HTTP=127.0.0.1:0", "CIRCLE15_GRPC=127.0.0.1:0", "CIRCLE15_ADMIN=",
	}
	p := start(t, env, append([]string{"serve"}, args...)...)
	p.await(&p.stderr, `"msg":"serving"`)
	for _, line := range p.lines() {
		if line["msg"] == "serving" {
			return serving{p, "http://" + line["http"].(string)}
		}
	}
	t.Fatal("not reached: the line is there")
	return serving{}
}

// lines are the lines of its log, each of which must be a JSON object.
func (p *program) lines() []map[string]any {
	p.t.Helper()
	var all []map[string]any
	for line := range strings.Lines(p.stderr.String()) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			p.t.Errorf("a line of the log is no JSON: %q", line)
		}
		all = append(all, object)
	}
	return all
}

func TestServeIsReadyServesAndEndsWellWhenItIsToldTo(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := serveThrough(t, newGate(t))
		if said := start(t, nil, "check", p.http).succeeds(); strings.Count(said, "ok ") != 3 {
			t.Errorf("check says %q", said)
		}
		p.signal(signal)
		if code := p.end(); code != 0 {
			t.Errorf("told to end by %s it ended with %d: %s", signal, code, p.stderr.String())
		}
		if lines := p.lines(); lines[len(lines)-1]["msg"] != "stopped" || p.stdout.String() != "" {
			t.Errorf("it said %s and printed %q", p.stderr.String(), p.stdout.String())
		}
	}
}

func TestEveryLineOfTheLogIsJSONWhileTheDatabaseIsAway(t *testing.T) {
	g := newGate(t)
	p := serveThrough(t, g)
	g.shut()
	p.await(&p.stderr, "the listener has lost its connection")
	p.signal(syscall.SIGTERM)
	if code := p.end(); code != 0 {
		t.Errorf("it ended with %d: %s", code, p.stderr.String())
	}
	p.lines()
}

// Package e2e tests the platform from outside: booted as it is served, on a real PostgreSQL, spoken to through its doors.
package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"circle15.dev/internal/config"
	"circle15.dev/internal/issuer"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
	"circle15.dev/services/demo/local"
	"circle15.dev/services/platform"
)

// serveEnv makes this test program serve the platform instead of testing: its value is database URL, the issuer's folder
// and REST address.
const serveEnv = "E2E_SERVE"

func TestMain(m *testing.M) {
	for env, run := range map[string]func([]string) error{serveEnv: serveAsChild, demoEnv: demoAsChild} {
		if args := os.Getenv(env); args != "" {
			if err := run(strings.Split(args, " ")); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// running is a platform at work.
type running struct {
	rest, grpc string // "http://127.0.0.1:…" and "127.0.0.1:…"
	issuer     *issuer.Issuer
}

// token is one of the built-in issuer.
func (p *running) token(t *testing.T, subject string, tenants ...tenant.Name) string {
	t.Helper()
	token, err := p.issuer.Mint(issuer.Claims{Subject: subject, Tenants: tenants, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// boot runs the platform in this process until the test ends.
func boot(t *testing.T) *running {
	t.Helper()
	return bootOn(t, testenv.Provisioned(t).AppURL)
}

func bootOn(t *testing.T, databaseURL string) *running {
	t.Helper()
	signer, err := issuer.Open(t.TempDir(), "http://127.0.0.1/issuer")
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlatform(t.Context(), databaseURL, "127.0.0.1:0", signer)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the platform ended with %v", err)
		}
	})
	return &running{rest: "http://" + p.HTTPAddr(), grpc: p.GRPCAddr(), issuer: signer}
}

func newPlatform(ctx context.Context, databaseURL, http string, signer *issuer.Issuer) (*platform.Platform, error) {
	c := config.Default()
	c.HTTP, c.GRPC, c.Admin = http, "127.0.0.1:0", ""
	c.Database.URL, c.PageToken.Key = config.Secret(databaseURL), "a key of the end-to-end tests alone"
	c.Drain.Delay = 0
	return platform.New(ctx, platform.Options{Config: c, Issuer: signer, Logger: slog.New(slog.DiscardHandler)})
}

// provisionHaikou makes the tenants of the demo and drops them when the test ends.
func provisionHaikou(t *testing.T) {
	t.Helper()
	p := testenv.Provisioned(t).Provisioner
	for _, spec := range local.Tenants() {
		spec.DeletionPolicy = provision.Delete
		if _, err := p.Create(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Delete(context.Background(), spec.Name); err != nil {
				t.Error(err)
			}
		})
	}
}

// child is a platform in a process of its own, which can be killed.
type child struct {
	*running
	t       *testing.T
	folder  string // of the issuer
	address string // of the REST door: it stays the same
	command *exec.Cmd
}

// startProcess serves the platform in another process.
func startProcess(t *testing.T) *child {
	t.Helper()
	folder := t.TempDir()
	signer, err := issuer.Open(folder, "http://127.0.0.1/issuer")
	if err != nil {
		t.Fatal(err)
	}
	c := &child{running: &running{issuer: signer}, t: t, folder: folder, address: "127.0.0.1:0"}
	c.start()
	t.Cleanup(c.kill)
	c.rest = "http://" + c.address
	return c
}

// start returns when the process serves. While it was down, another program of the machine may have got its port, most
// likely for one connection: it tries until that is over.
func (c *child) start() {
	c.t.Helper()
	testenv.Await(c.t, "the process to serve on "+c.address, func() bool {
		c.command = exec.Command(os.Args[0])
		c.command.Env = append(os.Environ(), serveEnv+"="+strings.Join([]string{testenv.Provisioned(c.t).AppURL, c.folder, c.address}, " "))
		var said strings.Builder
		c.command.Stderr = &said
		c.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := c.command.StdoutPipe()
		if err != nil {
			c.t.Fatal(err)
		}
		if err := c.command.Start(); err != nil {
			c.t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err == nil {
			c.address = strings.TrimSpace(line)
			return true
		}
		if _ = c.command.Wait(); !strings.Contains(said.String(), "the address is in use") {
			c.t.Fatalf("the serving process did not start: %s", said.String())
		}
		return false
	})
}

// kill ends the process as a power cut would.
func (c *child) kill() {
	_ = c.command.Process.Kill()
	_ = c.command.Wait()
}

// serveAsChild is the other process: it serves until it is killed, and says on standard output where.
func serveAsChild(args []string) error {
	signer, err := issuer.Load(args[1])
	if err != nil {
		return err
	}
	p, err := newPlatform(context.Background(), args[0], args[2], signer)
	if err != nil {
		return err
	}
	if _, err := fmt.Println(p.HTTPAddr()); err != nil {
		return err
	}
	return p.Run(context.Background())
}

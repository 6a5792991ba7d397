package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"circle15.dev/internal/testenv"
)

// startDemo starts the demo with the data folder and the REST address and returns it in the middle of the import.
func startDemo(t *testing.T, folder, rest string, args ...string) *program {
	t.Helper()
	env := []string{"CIRCLE15_DATA=" + folder, "CIRCLE15_GRPC=127.0.0.1:0", "CIRCLE15_ADMIN="}
	p := start(t, env, append([]string{"demo", "--http", rest}, args...)...)
	for _, step := range []string{"Starting PostgreSQL in ", "Importing ", "volunteers "} {
		p.await(&p.stdout, step)
	}
	return p
}

func TestTheDemoStopsInTheMiddleOfItsImport(t *testing.T) {
	folder, rest := filepath.Join(t.TempDir(), "data"), freeAddress(t)

	t.Run("when PostgreSQL dies, and says so", func(t *testing.T) {
		p := startDemo(t, folder, rest)
		text, err := os.ReadFile(filepath.Join(folder, "postgres", "pgdata", "postmaster.pid"))
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		pid, err := strconv.Atoi(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		code, said := p.end(), p.stderr.String()
		if code != 1 || !strings.Contains(said, "circle15: PostgreSQL ended unexpectedly; its log is "+folder) || strings.Contains(said, "503") {
			t.Errorf("it ended with %d and said %s", code, said)
		}
	})

	t.Run("at a signal, without an error, also when it began anew", func(t *testing.T) {
		mark := filepath.Join(folder, "circle15.json")
		before, err := os.ReadFile(mark)
		if err != nil {
			t.Fatal(err)
		}
		p := startDemo(t, folder, rest, "--reset")
		if after, err := os.ReadFile(mark); err != nil || bytes.Equal(before, after) {
			t.Errorf("after --reset the folder is the old one, or none: %v", err)
		}
		p.signal(syscall.SIGTERM)
		if code := p.end(); code != 0 || p.stderr.String() != "" {
			t.Errorf("it ended with %d and said %s", code, p.stderr.String())
		}
	})

	t.Run("at the second signal, whatever request still runs", func(t *testing.T) {
		p := startDemo(t, folder, rest)
		token := start(t, nil, "token", "--data", folder, "--tenant", "haikou", "--role", "bureau_admin").succeeds()
		sendHalf(t, rest, strings.TrimSpace(token))
		p.signal(syscall.SIGINT)
		p.awaitNoListener(rest)
		p.signal(syscall.SIGINT)
		if code := p.end(); code != 1 || !strings.Contains(p.stderr.String(), "requests in flight were cut off") {
			t.Errorf("it ended with %d and said %s", code, p.stderr.String())
		}
	})
}

func TestAResetRemovesNothingWhileAnAddressIsTaken(t *testing.T) {
	folder, taken := filepath.Join(t.TempDir(), "data"), holdAddress(t)
	mark := filepath.Join(folder, "circle15.json")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(mark, []byte(`{"format": 1}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--http", taken}, {"--grpc", taken}, {"--admin", taken}} {
		env := []string{"CIRCLE15_HTTP=127.0.0.1:0", "CIRCLE15_GRPC=127.0.0.1:0", "CIRCLE15_ADMIN=127.0.0.1:0", "CIRCLE15_DATA=" + folder}
		start(t, env, append([]string{"demo", "--reset"}, args...)...).refuses("cannot listen on " + taken)
		if _, err := os.Stat(mark); err != nil {
			t.Errorf("with %v: %v", args, err)
		}
	}
}

// holdAddress is an address that the test listens on.
func holdAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// sendHalf sends a request without its body, and returns when the platform waits for that.
func sendHalf(t *testing.T, address, token string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /v1/stations HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n", address, token)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") {
		t.Fatalf("it was answered %q, %v", line, err)
	}
}

// awaitNoListener waits until nothing listens on the address any more.
func (p *program) awaitNoListener(address string) {
	p.t.Helper()
	testenv.Await(p.t, "the listener to close", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

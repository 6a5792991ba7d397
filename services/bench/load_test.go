package bench_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// load keeps connections busy with requests from pick for a while, and returns answers a second and the latency that
// 99 of 100 stayed below. It writes prepared bytes and reads of an answer its status and length, as pgbench
// and wrk would: the machine's two cores are for the platform and PostgreSQL, not for the client.
func load(t testing.TB, address string, connections int, during time.Duration, pick func() []byte) (perSecond float64, p99 time.Duration) {
	t.Helper()
	var mu sync.Mutex
	var latencies []time.Duration
	var clients sync.WaitGroup
	deadline := time.Now().Add(during)
	for range connections {
		clients.Go(func() {
			own, err := client(address, deadline, pick)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, own...)
		})
	}
	clients.Wait()
	if len(latencies) == 0 {
		t.Fatal("no answer")
	}
	slices.Sort(latencies)
	return float64(len(latencies)) / during.Seconds(), latencies[len(latencies)*99/100]
}

func client(address string, deadline time.Time, pick func() []byte) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReaderSize(conn, 16<<10)
	latencies := make([]time.Duration, 0, 1<<16)
	for {
		started := time.Now()
		if started.After(deadline) {
			return latencies, nil
		}
		if _, err := conn.Write(pick()); err != nil {
			return latencies, err
		}
		if err := readOK(reader); err != nil {
			return latencies, err
		}
		latencies = append(latencies, time.Since(started))
	}
}

var (
	statusOK      = []byte("HTTP/1.1 200 ")
	contentLength = []byte("Content-Length: ")
)

// readOK reads one answer, which must be 200 and tell its length.
func readOK(reader *bufio.Reader) error {
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, statusOK) {
		return fmt.Errorf("answered %q", line)
	}
	length := -1
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if value, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
		if len(line) == 2 { // the empty line
			break
		}
	}
	if length < 0 {
		return errors.New("an answer without a length")
	}
	_, err = reader.Discard(length)
	return err
}

// get is a GET request as bytes.
func get(address, path, token string) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, address, token)
	return out.Bytes()
}

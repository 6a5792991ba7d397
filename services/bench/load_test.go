package bench_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// load keeps connections busy with requests from pick for a while, and returns answers a second and the latency that
// 99 of 100 stayed below. It writes prepared bytes and reads answers by net/http's parser: the machine's two cores are
// for the platform and PostgreSQL, not for the client.
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
	var latencies []time.Duration
	for time.Now().Before(deadline) {
		started := time.Now()
		if _, err := conn.Write(pick()); err != nil {
			return latencies, err
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return latencies, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
			return latencies, fmt.Errorf("answered %d: %w", response.StatusCode, err)
		}
		latencies = append(latencies, time.Since(started))
	}
	return latencies, nil
}

// get is a GET request as bytes.
func get(address, path, token string) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, address, token)
	return out.Bytes()
}

package rpcserver_test

import (
	"net"
	"net/http"
	"testing"
	"time"

	"circle15.dev/internal/testenv"
)

func TestAConnectionOverTheLimitWaitsUntilAnotherCloses(t *testing.T) {
	o := options(echoing())
	o.Limits.Connections = 1
	s := start(t, o)
	first, err := net.Dial("tcp", s.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	ask := func() error {
		client := &http.Client{Timeout: 50 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Get("http://" + s.HTTPAddr() + "/healthz")
		if err == nil {
			_ = answer.Body.Close()
		}
		return err
	}
	testenv.Await(t, "the connection to be the only one", func() bool { return ask() != nil })
	_ = first.Close()
	testenv.Await(t, "its place to be free", func() bool { return ask() == nil })
}

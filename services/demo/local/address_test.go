package local

import (
	"strings"
	"testing"
)

func TestAnAddressIsOneThatAPersonCanReach(t *testing.T) {
	for address, want := range map[string]string{
		":18160":           "127.0.0.1:18160",
		"0.0.0.0:18160":    "127.0.0.1:18160",
		"[::]:18160":       "127.0.0.1:18160",
		"127.0.0.1:8080":   "127.0.0.1:8080",
		"[::1]:8080":       "[::1]:8080",
		"circle15.lan:443": "circle15.lan:443",
		"":                 "",
	} {
		if got := reachable(address); got != want {
			t.Errorf("%q is reached at %q, want %q", address, got, want)
		}
	}
}

func TestAnAddressGetsAPortWhereItLeavesItOpen(t *testing.T) {
	if got, err := withPort(t.Context(), "127.0.0.1:8080"); err != nil || got != "127.0.0.1:8080" {
		t.Errorf("got %s, %v", got, err)
	}
	for _, host := range []string{"127.0.0.1:", ":"} {
		got, err := withPort(t.Context(), host+"0")
		if err != nil || !strings.HasPrefix(got, host) || got == host+"0" {
			t.Errorf("got %s, %v", got, err)
		}
	}
}

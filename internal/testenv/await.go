package testenv

import (
	"testing"
	"time"
)

// Patience bounds a wait of Await. It is far longer than anything that tests wait for takes, also on a busy machine:
// reaching it means that it does not happen, never that it is slow. It is shorter than the minute after which a replica
// reads again what nobody told it about.
const Patience = 30 * time.Second

// Await returns when the condition holds, and fails the test where it never does, with what was waited for: "the listener
// to close". Tests wait with it for what others bring about, instead of sleeping or looking at a clock.
func Await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			t.Fatalf("waited %s for: %s", Patience, what)
		case <-again.C:
		}
	}
}

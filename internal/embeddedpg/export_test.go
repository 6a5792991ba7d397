package embeddedpg

import "testing"

// WithoutHost hides the host's PostgreSQL from the rest of the test.
func WithoutHost(t *testing.T) {
	t.Helper()
	t.Setenv("PATH", t.TempDir())
	t.Setenv(BinEnv, "")
	places := usualPlaces
	usualPlaces = nil
	t.Cleanup(func() { usualPlaces = places })
}

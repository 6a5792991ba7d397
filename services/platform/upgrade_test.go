package platform

import (
	"sync/atomic"
	"testing"
	"time"
)

// waiting counts the tenants that wait for an upgrade.
type waiting struct{ atomic.Int64 }

func (w *waiting) Outdated() int { return int(w.Load()) }

func TestANewProcessIsReadyWhenTheSchemasAreUpgraded(t *testing.T) {
	var directory waiting
	directory.Store(2)
	u := newUpgrade(&directory)
	for range 2 {
		if err := u.done(t.Context()); err == nil || err.Error() != "2 tenants wait for an upgrade of their schema" {
			t.Fatalf("error %v", err)
		}
	}
	directory.Store(0)
	if err := u.done(t.Context()); err != nil {
		t.Fatalf("upgraded: %v", err)
	}
	directory.Store(1)
	if err := u.done(t.Context()); err != nil {
		t.Errorf("a process that was ready is not: %v", err)
	}
}

func TestASchemaThatIsNeverUpgradedDoesNotKeepTheOthersOut(t *testing.T) {
	var directory waiting
	directory.Store(1)
	u := newUpgrade(&directory)
	u.until = time.Now()
	if err := u.done(t.Context()); err != nil {
		t.Errorf("after its patience: %v", err)
	}
}

package platform

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// upgradePatience is how long a new process leaves the requests to the old ones while tenants wait for an upgrade of
// their schema. Then it serves all others: one schema that cannot be upgraded must not keep everybody out.
const upgradePatience = 5 * time.Minute

// upgrade makes a new process ready when the schemas are as new as it needs them. It is about the start alone: a process
// that has been ready stays so.
type upgrade struct {
	directory interface{ Outdated() int }
	until     time.Time
	over      atomic.Bool
}

func newUpgrade(directory interface{ Outdated() int }) *upgrade {
	return &upgrade{directory: directory, until: time.Now().Add(upgradePatience)}
}

// done is a check of readiness; the error says how many tenants wait.
func (u *upgrade) done(context.Context) error {
	if u.over.Load() {
		return nil
	}
	waiting := u.directory.Outdated()
	if waiting == 0 || time.Now().After(u.until) {
		u.over.Store(true)
		return nil
	}
	return fmt.Errorf("%d tenants wait for an upgrade of their schema", waiting)
}

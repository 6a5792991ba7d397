package cluster

import (
	"sync"
	"time"

	"circle15.dev/internal/tenant"
	"circle15.dev/operator/provision"
)

// sightings are what the last scan of the whole cluster saw. A scan of 3,000 tenants is a few queries; a look at each of
// them would be thousands.
type sightings struct {
	mu    sync.Mutex
	at    time.Time
	of    map[tenant.Name]*provision.Observation
	since map[tenant.Name]time.Time // when what a scan saw of the tenant last became outdated
}

// Scanned keeps what a scan that began at the time has seen.
func (h *Handle) Scanned(began time.Time, observed []*provision.Observation) {
	of := make(map[tenant.Name]*provision.Observation, len(observed))
	h.seen.mu.Lock()
	defer h.seen.mu.Unlock()
	for _, o := range observed {
		if h.seen.since[o.Name].Before(began) {
			of[o.Name] = o
		}
	}
	h.seen.at, h.seen.of, h.seen.since = began, of, nil
}

// Seen is what the last scan saw of a tenant that did not change since, if that scan is younger than the age.
func (h *Handle) Seen(name tenant.Name, age time.Duration) *provision.Observation {
	h.seen.mu.Lock()
	defer h.seen.mu.Unlock()
	if time.Since(h.seen.at) > age {
		return nil
	}
	return h.seen.of[name]
}

// Outdated tells that a tenant has changed, so that what a scan saw before counts no more.
func (h *Handle) Outdated(name tenant.Name) {
	h.seen.mu.Lock()
	defer h.seen.mu.Unlock()
	delete(h.seen.of, name)
	if h.seen.since == nil {
		h.seen.since = map[tenant.Name]time.Time{}
	}
	h.seen.since[name] = time.Now()
}

package authz

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
)

const (
	// acknowledgeAfter is how long news is gathered before it is sent.
	acknowledgeAfter = 200 * time.Millisecond
	// showEvery is how often a replica shows that it lives; the operator counts those seen within thirty seconds.
	showEvery = 10 * time.Second

	firstAcknowledgePause = 250 * time.Millisecond
	mostAcknowledgePause  = 5 * time.Second
)

// acknowledger tells one cluster, beside the requests, by which versions of the tenants' policies this replica decides.
//
// What it says holds for good: versions only rise, and a version is noted after everything older was voided. It does not
// matter, therefore, how late it is sent, or how often.
type acknowledger struct {
	replica  *tenantdb.Replica
	distrust func() // voids everything that was read before

	mu    sync.Mutex
	noted map[string]int64 // versions by schema, to be acknowledged
	all   bool             // notifications were missed: everything is to be voided and acknowledged
	news  chan struct{}    // has room for one
}

func newAcknowledger(replica *tenantdb.Replica, distrust func()) *acknowledger {
	a := &acknowledger{replica: replica, distrust: distrust, news: make(chan struct{}, 1)}
	a.missed() // all that was before the start
	return a
}

// parseChange takes a notification's payload apart.
func parseChange(payload string) (schema string, t tenant.Name, version int64) {
	schema, number, _ := strings.Cut(payload, ":")
	version, _ = strconv.ParseInt(number, 10, 64) // 0 is acknowledged by nobody
	return schema, tenant.OfSchema(schema), version
}

// changed notes that everything of the schema older than the version has been voided.
func (a *acknowledger) changed(schema string, version int64) {
	a.put(false, map[string]int64{schema: version})
}

// missed notes that notifications may have been missed. What was noted before is part of it.
func (a *acknowledger) missed() { a.put(true, nil) }

func (a *acknowledger) put(all bool, versions map[string]int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all = a.all || all; a.all {
		a.noted = nil
	} else {
		if a.noted == nil {
			a.noted = map[string]int64{}
		}
		for schema, version := range versions {
			a.noted[schema] = max(a.noted[schema], version)
		}
	}
	select {
	case a.news <- struct{}{}:
	default: // it is known that there is news
	}
}

func (a *acknowledger) take() (all bool, versions map[string]int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, versions = a.all, a.noted
	a.all, a.noted = false, nil
	return all, versions
}

// run sends what is noted, shows that the replica lives, and at the end says goodbye.
func (a *acknowledger) run(ctx context.Context) {
	show := time.NewTicker(showEvery)
	defer show.Stop()
	pause := firstAcknowledgePause
	for {
		select {
		case <-ctx.Done():
			a.leave(ctx)
			return
		case <-a.news:
			rest(ctx, acknowledgeAfter)
		case <-show.C:
		}
		err := a.send(ctx)
		if err == nil || ctx.Err() != nil {
			pause = firstAcknowledgePause
			continue
		}
		if pause == firstAcknowledgePause {
			slog.WarnContext(ctx, "authz: policies are not acknowledged; trying again", "cluster", a.replica.Cluster(), "error", err)
		}
		rest(ctx, pause)
		pause = min(2*pause, mostAcknowledgePause)
	}
}

// send tells what is noted; if that fails it is noted again.
func (a *acknowledger) send(ctx context.Context) error {
	all, versions := a.take()
	if all {
		err := a.replica.AcknowledgeAll(ctx, a.distrust)
		if err != nil {
			a.missed()
		}
		return err
	}
	unknown, err := a.replica.Acknowledge(ctx, versions)
	switch {
	case err != nil:
		a.put(false, versions)
	case unknown: // it did not show itself for too long
		a.missed()
	}
	return err
}

func (a *acknowledger) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := a.replica.Forget(ctx); err != nil { // it will be forgotten in a minute
		slog.DebugContext(ctx, "authz: the replica could not say goodbye", "cluster", a.replica.Cluster(), "error", err)
	}
}

// rest waits for the time or the end of ctx.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

package rpcserver

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Check is a condition of readiness, for instance that the database answers.
type Check struct {
	Name string
	Test func(context.Context) error
}

const (
	checkTimeout = 2 * time.Second
	// checkFresh is how long one round of checks answers for: a flood of probes is not a flood of queries.
	checkFresh = 500 * time.Millisecond
)

// readiness runs the checks, at most one round at a time.
type readiness struct {
	checks []Check
	logger *slog.Logger

	mu   sync.Mutex
	at   time.Time
	last map[string]string
	ok   bool
}

// report is whether all checks pass, and each one's state. Why one fails is logged, not told.
func (rd *readiness) report(ctx context.Context) (ok bool, states map[string]string) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	if time.Since(rd.at) < checkFresh {
		return rd.ok, rd.last
	}
	// Not the prober's context: a prober that gives up early must not make a round fail for the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	errs := make([]error, len(rd.checks))
	var running sync.WaitGroup
	for i, check := range rd.checks {
		running.Go(func() { errs[i] = check.Test(ctx) })
	}
	running.Wait()
	rd.ok, rd.last, rd.at = true, map[string]string{}, time.Now()
	for i, check := range rd.checks {
		rd.last[check.Name] = "ok"
		if errs[i] != nil {
			rd.ok, rd.last[check.Name] = false, "failing"
			rd.logger.WarnContext(ctx, "not ready", "check", check.Name, "error", errs[i])
		}
	}
	return rd.ok, rd.last
}

// healthz says that the process is alive.
func healthz(w http.ResponseWriter, _ *http.Request) { writeStatus(w, http.StatusOK, "ok", nil) }

// readyz says whether requests are welcome: every check passes and the process is not draining.
func (s *Server) readyz() http.HandlerFunc {
	rd := &readiness{checks: s.options.Checks, logger: s.options.Logger}
	return func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			writeStatus(w, http.StatusServiceUnavailable, "draining", nil)
			return
		}
		ok, states := rd.report(r.Context())
		if !ok {
			writeStatus(w, http.StatusServiceUnavailable, "not ready", states)
			return
		}
		writeStatus(w, http.StatusOK, "ready", states)
	}
}

func writeStatus(w http.ResponseWriter, code int, status string, checks map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(struct { //nolint:errchkjson // it encodes, and the prober may be gone
		Status string            `json:"status"`
		Checks map[string]string `json:"checks,omitempty"`
	}{status, checks})
}

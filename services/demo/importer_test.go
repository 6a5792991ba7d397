package demo_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"circle15.dev/services/demo"
	"circle15.dev/services/demo/haikou"
)

// recorder is a platform that takes everything, once for each idempotency key.
type recorder struct {
	mu       sync.Mutex
	accepted map[string]string // method and path by key
	atOnce   atomic.Int32
	most     atomic.Int32
	refuseAt int // the request to refuse, 0 for none
	seen     int
}

func (p *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.most.Store(max(p.most.Load(), p.atOnce.Add(1)))
	defer p.atOnce.Add(-1)
	_, _ = io.Copy(io.Discard, r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen++; p.seen == p.refuseAt {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"detail":"household.address: is no address"}`)
		return
	}
	if r.Method == http.MethodGet {
		if len(p.accepted) == 0 {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, `{}`)
		return
	}
	p.accepted[r.Header.Get("Idempotency-Key")] = r.Method + " " + r.URL.Path
	_, _ = io.WriteString(w, `{}`)
}

func serve(t *testing.T, p *recorder) *demo.Importer {
	t.Helper()
	p.accepted = map[string]string{}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return &demo.Importer{Base: server.URL, Token: "t", Workers: 4}
}

// plan is some of every phase of the demo's plan, made once: an import changes nothing of it.
func plan(t *testing.T) *haikou.Plan {
	t.Helper()
	p, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var made = sync.OnceValues(func() (*haikou.Plan, error) {
	p, err := haikou.New(haikou.DefaultSeed)
	if err != nil {
		return nil, err
	}
	for i := range p.Phases {
		p.Phases[i].Chains = p.Phases[i].Chains[:min(60, len(p.Phases[i].Chains))]
	}
	return p, nil
})

func TestEveryRequestOfThePlanIsSentOnce(t *testing.T) {
	platform, want := &recorder{}, plan(t)
	if err := serve(t, platform).Run(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if len(platform.accepted) != want.Calls() || platform.seen != want.Calls() {
		t.Errorf("%d keys in %d requests, want %d", len(platform.accepted), platform.seen, want.Calls())
	}
	if platform.most.Load() > 4 {
		t.Errorf("%d requests at once", platform.most.Load())
	}
}

func TestAnImportThatWasStoppedGoesOnWithTheSameKeys(t *testing.T) {
	platform, want := &recorder{}, plan(t)
	importer := serve(t, platform)
	ctx, stop := context.WithCancel(t.Context())
	importer.Progress = stopAfter{500, new(atomic.Int32), stop}
	if err := importer.Run(ctx, want); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	importer.Progress = nil
	if err := importer.Run(t.Context(), plan(t)); err != nil {
		t.Fatal(err)
	}
	if len(platform.accepted) != want.Calls() {
		t.Errorf("%d keys, want %d", len(platform.accepted), want.Calls())
	}
}

type stopAfter struct {
	n    int32
	done *atomic.Int32
	stop func()
}

func (s stopAfter) Begin(string, int) {}
func (s stopAfter) End()              {}
func (s stopAfter) Done() {
	if s.done.Add(1) == s.n {
		s.stop()
	}
}

func TestARefusalStopsTheImportWithOneSentence(t *testing.T) {
	importer := serve(t, &recorder{refuseAt: 400})
	var out bytes.Buffer
	importer.Progress = demo.ShowProgress(&out, 1)
	err := importer.Run(t.Context(), plan(t))
	want := "the import stopped at households and residents: POST /v1/"
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "400: household.address: is no address") {
		t.Errorf("got %v", err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 7 {
		t.Errorf("%d lines of progress:\n%s", lines, out.String())
	}
}

func TestTheLastStepTellsWhetherThePlanWasCarriedOut(t *testing.T) {
	importer := serve(t, &recorder{})
	if done, err := importer.Imported(t.Context(), haikou.DefaultSeed); done || err != nil {
		t.Errorf("before: %v, %v", done, err)
	}
	if err := importer.Run(t.Context(), plan(t)); err != nil {
		t.Fatal(err)
	}
	if done, err := importer.Imported(t.Context(), haikou.DefaultSeed); !done || err != nil {
		t.Errorf("after: %v, %v", done, err)
	}
}

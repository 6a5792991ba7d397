package authz_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

// acknowledging is a replica with a name, as a process of the platform is one.
type acknowledging struct {
	*authz.Policies
	stop func() // as a process stops
}

func (w *world) acknowledging(name, appURL string) *acknowledging {
	w.Helper()
	clusters := map[string]string{provision.DefaultCluster: appURL}
	db, err := tenantdb.Open(w.Context(), tenantdb.Config{Clusters: clusters, MaxConns: 2}, w.directory)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	p, err := authz.NewPolicies(ctx, db, authz.AcknowledgeAs(name))
	if err != nil {
		w.Fatal(err)
	}
	r := &acknowledging{p, sync.OnceFunc(func() {
		cancel()
		p.Wait()
		db.Close()
	})}
	w.Cleanup(r.stop)
	return r
}

// state is what the operator reads.
func (w *world) state() provision.PolicyState {
	w.Helper()
	s, err := testenv.Provisioned(w).Provisioner.PolicyState(w.Context(), w.tenant)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) awaitAcknowledged(replicas ...string) provision.PolicyState {
	w.Helper()
	var s provision.PolicyState
	testenv.Await(w, "acknowledgement by exactly these: "+w.list(replicas), func() bool {
		s = w.state()
		return slices.Equal(s.Acknowledged, replicas) && s.Replicas >= len(replicas)
	})
	return s
}

func (w *world) list(names []string) string {
	var text string
	for _, n := range names {
		text += " " + n
	}
	return text
}

func TestReplicasAcknowledgeAChangeAndAStoppedOneDisappears(t *testing.T) {
	w := newWorld(t)
	url := testenv.Provisioned(t).AppURL
	one, two := w.acknowledging("one", url), w.acknowledging("two", url)
	before := w.awaitAcknowledged("one", "two").Version
	for range 3 {
		w.grant("zhou", "bureau_admin")
		w.revoke("zhou")
	}
	if after := w.awaitAcknowledged("one", "two").Version; after != before+6 {
		t.Errorf("six changes took the version from %d to %d", before, after)
	}
	two.stop()
	if s := w.state(); s.Replicas != 1 || !slices.Equal(s.Acknowledged, []string{"one"}) {
		t.Errorf("after one of two has stopped: %+v", s)
	}
	three := w.acknowledging("three", url)
	w.awaitAcknowledged("one", "three")
	one.stop()
	three.stop()
	if s := w.state(); s.Replicas != 0 || len(s.Acknowledged) != 0 {
		t.Errorf("after all have stopped: %+v", s)
	}
}

func TestAReplicaWithoutANameAcknowledgesNothing(t *testing.T) {
	w := newWorld(t)
	silent, named := w.acknowledging("", testenv.Provisioned(t).AppURL), w.acknowledging("named", testenv.Provisioned(t).AppURL)
	w.grant("zhou", "bureau_admin")
	w.awaitAcknowledged("named")
	for _, p := range []*authz.Policies{silent.Policies, named.Policies} {
		w.wantAllowed(p, "zhou", "cases", "get")
	}
	if s := w.state(); s.Replicas != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestAReplicaThatIsCutOffIsNotListedForANewVersionUntilItIsBack(t *testing.T) {
	w := newWorld(t)
	wire := newWire(t)
	w.acknowledging("near", testenv.Provisioned(t).AppURL)
	far := w.acknowledging("far", wire.url)
	w.awaitAcknowledged("far", "near")
	w.wantAllowedAfterGrant(far.Policies)

	wire.cut()
	w.revoke("zhou")
	version := w.awaitAcknowledged("near").Version
	wire.mend()
	if back := w.awaitAcknowledged("far", "near"); back.Version != version {
		t.Errorf("the version went from %d to %d", version, back.Version)
	}
	s, err := far.Snapshot(t.Context(), w.tenant)
	if err != nil || s.Version < version {
		t.Errorf("it is listed for version %d and decides by %+v, error %v", version, s, err)
	}
}

func (w *world) wantAllowedAfterGrant(p *authz.Policies) {
	w.Helper()
	w.grant("zhou", "bureau_admin")
	w.wantAllowed(p, "zhou", "cases", "get")
}

func TestAReplicaThatWasForgottenAcknowledgesEverythingAnew(t *testing.T) {
	w := newWorld(t)
	other := testenv.NewTenant(t)
	w.acknowledging("one", testenv.Provisioned(t).AppURL)
	w.awaitAcknowledged("one")
	w.exec(`DELETE FROM circle15.replicas`)
	w.grant("zhou", "bureau_admin") // the news with which it shows itself again
	w.awaitAcknowledged("one")
	w.tenant = other // of which there was no news
	w.awaitAcknowledged("one")
}

// Whatever happens to its connections, a replica that is listed for a version never decides by an older one.
func TestAReplicaIsNeverListedForAVersionWhileItDecidesByAnOlderOne(t *testing.T) {
	w := newWorld(t)
	r := w.acknowledging("one", testenv.Provisioned(t).AppURL)
	w.awaitAcknowledged("one")
	ctx, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	busy.Go(func() { // keeps a snapshot at hand
		for ctx.Err() == nil {
			_, _ = r.Snapshot(ctx, w.tenant)
		}
	})
	var listed int
	for round := range 16 {
		w.grant("zhou-"+strconv.Itoa(round), "bureau_admin")
		if round%4 == 1 { // the notifications of this and the next changes may be lost
			w.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'listen ' || $1`, authz.Channel)
		}
		if round%8 == 3 { // so may what acknowledges
			w.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'circle15_app'`)
		}
		testenv.Await(t, "acknowledgement", func() bool {
			s := w.state()
			if !s.Complete() {
				return false
			}
			listed++
			snapshot, err := r.Snapshot(t.Context(), w.tenant)
			if err == nil && snapshot.Version < s.Version {
				t.Errorf("round %d: it is listed for version %d and decides by %d", round, s.Version, snapshot.Version)
			}
			return true
		})
	}
	stop()
	busy.Wait()
	if listed == 0 {
		t.Error("it was never listed")
	}
}

// wire is the way of one replica to the database, which can be cut.
type wire struct {
	url    string
	server string

	mu    sync.Mutex
	whole bool
	conns []net.Conn
}

func newWire(t *testing.T) *wire {
	t.Helper()
	target, err := url.Parse(testenv.Postgres(t).TCPURL(provision.AppRole, testenv.Password, testenv.Database))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{server: target.Host, whole: true}
	target.Host = l.Addr().String()
	w.url = target.String()
	t.Cleanup(func() {
		_ = l.Close()
		w.cut()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.carry(c)
		}
	}()
	return w
}

func (w *wire) carry(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.whole {
		_ = c.Close()
		return
	}
	s, err := net.Dial("tcp", w.server)
	if err != nil {
		_ = c.Close()
		return
	}
	w.conns = append(w.conns, c, s)
	for _, ends := range [][2]net.Conn{{c, s}, {s, c}} {
		go func() {
			_, _ = io.Copy(ends[0], ends[1])
			_ = ends[0].Close()
		}()
	}
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole = false
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole = true
}

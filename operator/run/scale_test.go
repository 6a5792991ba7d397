package run_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/divisions"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/run"
)

// mostEnv names how many counties are onboarded, for a look that does not take the whole time; all by default.
const mostEnv = "CIRCLE15_SCALE_COUNTIES"

// resyncs is how often the operator is started anew to see what becomes of new tenants meanwhile.
const resyncs = 5

// scaleLimit bounds each part of the benchmark.
const scaleLimit = 30 * time.Minute

// BenchmarkScale onboards every county of the division table, against a real API server and PostgreSQL, with the
// operator as a process of its own, and prints a table. `make bench-operator` runs it once.
func BenchmarkScale(b *testing.B) {
	for b.Loop() {
		s := newScale(b)
		var t timings
		provinces := s.tenants(divisions.Province, 0)
		s.onboard(provinces, 4, nil)
		counties := s.tenants(divisions.County, s.most)
		started := time.Now()
		t.creation = s.onboard(counties, 8, nil)
		t.total = time.Since(started)
		t.memory, t.peak = s.memory()
		t.processor = s.processor()

		s.stop()
		started = time.Now()
		s.start()
		known := len(provinces) + len(counties)
		s.until("all were looked at", func() bool { return s.reconciled() >= known })
		t.resync = time.Since(started)
		_, t.peakOfResync = s.memory()

		// A city without counties stands in the table as its own county, too.
		cities := slices.DeleteFunc(s.tenants(divisions.City, 0), func(city *v1alpha1.Tenant) bool {
			return slices.ContainsFunc(counties, func(county *v1alpha1.Tenant) bool { return county.Name == city.Name })
		})
		for range resyncs {
			s.stop()
			s.start()
			// One after the other, from the operator's start to the end of its resync; each is looked at once, too.
			n := 0
			t.during = append(t.during, s.onboard(cities, 1, func() bool {
				n++
				return n == len(cities) || s.reconciled() >= known+n
			})...)
			cities, known = cities[n:], known+n
		}
		slices.Sort(t.during)
		t.print()
	}
}

type timings struct {
	total, resync              time.Duration
	creation, during           []time.Duration // from create to Ready
	memory, peak, peakOfResync int             // MiB
	processor                  processor
}

// processor is the processor time of each part until all counties were Ready, which a busy computer does not change much.
type processor struct{ postgres, operator, kubernetes time.Duration }

type scale struct {
	b          *testing.B
	client     client.WithWatch
	kubeconfig string
	program    string
	metrics    string
	process    *exec.Cmd
	ended      chan struct{} // closed when the process has ended
	most       int
}

func newScale(b *testing.B) *scale {
	b.Helper()
	env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "charts", "circle15", "crds")}}
	env.BinaryAssetsDirectory = os.Getenv("KUBEBUILDER_ASSETS")
	config, err := env.Start()
	must(b, err)
	b.Cleanup(func() { _ = env.Stop() })
	user, err := env.AddUser(envtest.User{Name: "operator", Groups: []string{"system:masters"}}, config)
	must(b, err)
	kubeconfig, err := user.KubeConfig()
	must(b, err)
	s := &scale{b: b, kubeconfig: filepath.Join(b.TempDir(), "kubeconfig"), program: filepath.Join(b.TempDir(), "operator")}
	s.most, err = strconv.Atoi(cmp.Or(os.Getenv(mostEnv), "0"))
	must(b, err)
	must(b, os.WriteFile(s.kubeconfig, kubeconfig, 0o600))
	build := exec.Command("go", "build", "-o", s.program, "circle15.dev/operator/cmd/circle15-operator")
	build.Stderr = os.Stderr
	must(b, build.Run())
	config.QPS, config.Burst = 1000, 1000
	s.client, err = client.NewWithWatch(config, client.Options{Scheme: run.Scheme()})
	must(b, err)
	s.prepare()
	s.start()
	b.Cleanup(s.stop)
	return s
}

func (s *scale) prepare() {
	ctx := context.Background()
	must(s.b, s.client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "database", Namespace: "default"},
		Data:       map[string][]byte{"url": []byte(testenv.Provisioned(s.b).OperatorURL)},
	}))
	must(s.b, s.client.Create(ctx, &v1alpha1.DatabaseCluster{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec:       v1alpha1.DatabaseClusterSpec{ConnectionSecret: v1alpha1.SecretKey{Name: "database"}, Capacity: 5000},
	}))
}

func (s *scale) start() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.b, err)
	s.metrics = listener.Addr().String()
	must(s.b, listener.Close())
	s.process = exec.Command(s.program, "--namespace=default", "--metrics-address="+s.metrics, "--health-address=0", "--log-level=error")
	s.process.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig)
	s.process.Stderr = os.Stderr
	must(s.b, s.process.Start())
	s.ended = make(chan struct{})
	go func(process *exec.Cmd, ended chan struct{}) {
		_ = process.Wait()
		close(ended)
	}(s.process, s.ended)
}

func (s *scale) stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	<-s.ended
}

// tenants are the objects of a level's divisions, or of the first so many.
func (s *scale) tenants(level divisions.Level, most int) []*v1alpha1.Tenant {
	var all []*v1alpha1.Tenant
	for d := range divisions.All(level) {
		t := tenantOf("t-"+d.Code, v1alpha1.LevelCity, "t-"+d.Code[:2]+"0000", d.Code)
		if level == divisions.Province {
			t.Spec.Level, t.Spec.Parent = v1alpha1.LevelProvince, ""
		}
		t.Spec.DisplayName.Zh = d.Name
		if all = append(all, t); len(all) == most {
			break
		}
	}
	return all
}

// onboard creates the tenants by so many clients at a time, and returns how long each took from its creation to Ready,
// in order of these times. One client waits for each tenant before the next, and goes on until enough says so.
func (s *scale) onboard(tenants []*v1alpha1.Tenant, clients int, enough func() bool) []time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), scaleLimit)
	defer cancel()
	ready := s.watch(ctx)
	work := make(chan *v1alpha1.Tenant)
	created := make(map[string]time.Time, len(tenants))
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range clients {
		workers.Go(func() {
			for t := range work {
				mu.Lock()
				created[t.Name] = time.Now()
				mu.Unlock()
				if err := s.client.Create(ctx, t); err != nil {
					s.b.Error(err)
				}
			}
		})
	}
	for _, t := range tenants {
		work <- t
		if clients == 1 {
			s.await(ready, t.Name)
		}
		if enough != nil && enough() {
			break
		}
	}
	close(work)
	workers.Wait()
	latencies := make([]time.Duration, 0, len(created))
	for name, from := range created {
		latencies = append(latencies, s.await(ready, name).Sub(from))
	}
	slices.Sort(latencies)
	return latencies
}

// readiness knows when each tenant was seen Ready.
type readiness struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (r *readiness) of(name string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[name]
}

func (s *scale) watch(ctx context.Context) *readiness {
	r := &readiness{at: map[string]time.Time{}}
	w, err := s.client.Watch(ctx, &v1alpha1.TenantList{})
	must(s.b, err)
	go func() {
		for event := range w.ResultChan() {
			t, ok := event.Object.(*v1alpha1.Tenant)
			if !ok || t.Status.ReadyTime == nil {
				continue
			}
			r.mu.Lock()
			if r.at[t.Name].IsZero() {
				r.at[t.Name] = time.Now()
			}
			r.mu.Unlock()
		}
	}()
	return r
}

func (s *scale) await(r *readiness, name string) time.Time {
	s.b.Helper()
	s.until(name+" is Ready", func() bool { return !r.of(name).IsZero() })
	return r.of(name)
}

// until polls a condition; the benchmark fails when it does not come, or when the operator ends.
func (s *scale) until(what string, holds func() bool) {
	s.b.Helper()
	deadline := time.After(scaleLimit)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-s.ended:
			s.b.Fatalf("the operator ended; waited for: %s", what)
		case <-deadline:
			s.b.Fatalf("waited %s for: %s", scaleLimit, what)
		}
	}
}

// memory is the operator's resident set now and at its peak, in MiB.
func (s *scale) memory() (now, peak int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	must(s.b, err)
	for line := range strings.Lines(string(status)) {
		for prefix, value := range map[string]*int{"VmRSS:": &now, "VmHWM:": &peak} {
			if kb, ok := strings.CutPrefix(line, prefix); ok {
				n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(kb), " kB"))
				must(s.b, err)
				*value = n / 1024
			}
		}
	}
	return now, peak
}

// processor reads the time from /proc. A server's ended children are counted by it; those that live are added.
func (s *scale) processor() (p processor) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	must(s.b, err)
	server, operator, self := testenv.Postgres(s.b).PID(), s.process.Process.Pid, os.Getpid()
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		must(s.b, err)
		_, after, _ := strings.Cut(string(text), ") ") // the program's name may hold anything
		f := strings.Fields(after)
		parent, _ := strconv.Atoi(f[1])
		switch own, ended := ticks(f[11])+ticks(f[12]), ticks(f[13])+ticks(f[14]); {
		case pid == server:
			p.postgres += own + ended
		case parent == server:
			p.postgres += own
		case pid == operator:
			p.operator += own
		case parent == self:
			p.kubernetes += own
		}
	}
	return p
}

// ticks are hundredths of a second, on every Linux that Go runs on.
func ticks(s string) time.Duration {
	n, _ := strconv.Atoi(s)
	return time.Duration(n) * 10 * time.Millisecond
}

// reconciled is how many reconciliations of tenants the running operator has ended, by its metrics.
func (s *scale) reconciled() int {
	response, err := http.Get("http://" + s.metrics + "/metrics")
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	total := 0
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), `controller_runtime_reconcile_total{controller="tenant"`) {
			value, _ := strconv.ParseFloat(lines.Text()[strings.LastIndex(lines.Text(), " ")+1:], 64)
			total += int(value)
		}
	}
	return total
}

func (t *timings) print() {
	p := func(d []time.Duration, percent int) time.Duration {
		return d[(len(d)-1)*percent/100].Round(time.Millisecond)
	}
	fmt.Printf(`
| what | measured | target |
| --- | --- | --- |
| %d counties, created by 8 clients: all Ready | %s | 5 min |
| their processor time: PostgreSQL, operator, kube-apiserver and etcd | %s, %s, %s | |
| create to Ready while all are created, p50 / p99 | %s / %s | |
| operator memory (resident), after that / peak / peak of a resync | %d / %d / %d MiB | 200 MiB |
| resync of all when nothing changed, from the operator's start | %s | 60 s |
| a new tenant while a resync runs, p50 / p99 of %d | %s / %s | p99 5 s |

`, len(t.creation), t.total.Round(time.Second),
		t.processor.postgres.Round(time.Second), t.processor.operator.Round(time.Second), t.processor.kubernetes.Round(time.Second),
		p(t.creation, 50), p(t.creation, 99), t.memory, t.peak, t.peakOfResync,
		t.resync.Round(100*time.Millisecond), len(t.during), p(t.during, 50), p(t.during, 99))
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

package run_test

import (
	"bufio"
	"context"
	"fmt"
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

// BenchmarkScale onboards every county of the division table, against a real API server and PostgreSQL, with the
// operator as a process of its own, and prints a table. `make bench-operator` runs it once.
func BenchmarkScale(b *testing.B) {
	for b.Loop() {
		s := newScale(b)
		provinces := s.onboard(divisions.Province, 0)
		b.Logf("%d provinces Ready", len(provinces))
		started := time.Now()
		latencies := s.onboard(divisions.County, 8)
		total := time.Since(started)
		memory := s.memory()

		s.stop()
		started = time.Now()
		s.start()
		s.awaitReconciled(len(provinces) + len(latencies))
		resync := time.Since(started)

		s.stop()
		s.start()
		during := s.onboard(divisions.City, 1) // one after the other, while the resync runs
		s.print(total, latencies, memory, resync, during)
	}
}

type scale struct {
	b          *testing.B
	client     client.WithWatch
	kubeconfig string
	program    string
	metrics    string
	process    *exec.Cmd
	most       int // tenants of a level; 0: all
}

// mostEnv names how many counties, and cities, are onboarded, for a look that does not take the whole time.
const mostEnv = "CIRCLE15_SCALE_COUNTIES"

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
	s := &scale{b: b, kubeconfig: filepath.Join(b.TempDir(), "kubeconfig"), program: filepath.Join(b.TempDir(), "operator"), metrics: "127.0.0.1:18080"}
	if text := os.Getenv(mostEnv); text != "" {
		s.most, err = strconv.Atoi(text)
		must(b, err)
	}
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
	s.process = exec.Command(s.program, "--namespace=default", "--metrics-address="+s.metrics, "--health-address=0", "--log-level=error")
	s.process.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig)
	s.process.Stderr = os.Stderr
	must(s.b, s.process.Start())
}

func (s *scale) stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(syscall.SIGTERM)
	_ = s.process.Wait()
	s.process = nil
}

// onboard creates a tenant for every division of the level, by so many clients at a time (0: the provinces, alone), and
// returns how long each took from its creation to Ready.
func (s *scale) onboard(level divisions.Level, clients int) []time.Duration {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ready := s.watch(ctx)
	var all []*v1alpha1.Tenant
	for d := range divisions.All(level) {
		t := tenantOf("t-"+d.Code, v1alpha1.LevelCity, "t-"+d.Code[:2]+"0000", d.Code)
		if level == divisions.Province {
			t.Spec.Level, t.Spec.Parent = v1alpha1.LevelProvince, ""
		}
		t.Spec.DisplayName.Zh = d.Name
		if all = append(all, t); level != divisions.Province && len(all) == s.most {
			break
		}
	}
	work := make(chan *v1alpha1.Tenant)
	created := sync.Map{}
	var workers sync.WaitGroup
	for range max(1, clients) {
		workers.Go(func() {
			for t := range work {
				created.Store(t.Name, time.Now())
				must(s.b, s.client.Create(ctx, t))
				if clients == 1 {
					ready.await(t.Name)
				}
			}
		})
	}
	for _, t := range all {
		work <- t
	}
	close(work)
	workers.Wait()
	latencies := make([]time.Duration, len(all))
	for i, t := range all {
		from, _ := created.Load(t.Name)
		latencies[i] = ready.await(t.Name).Sub(from.(time.Time))
	}
	slices.Sort(latencies)
	return latencies
}

// readiness knows when each tenant was seen Ready.
type readiness struct {
	mu   sync.Mutex
	cond *sync.Cond
	at   map[string]time.Time
}

func (r *readiness) await(name string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.at[name].IsZero() {
		r.cond.Wait()
	}
	return r.at[name]
}

func (s *scale) watch(ctx context.Context) *readiness {
	r := &readiness{at: map[string]time.Time{}}
	r.cond = sync.NewCond(&r.mu)
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
			r.cond.Broadcast()
		}
	}()
	return r
}

// memory is the operator's resident set, in MiB.
func (s *scale) memory() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	must(s.b, err)
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(kb), " kB"))
			must(s.b, err)
			return n / 1024
		}
	}
	s.b.Fatal("no VmRSS")
	return 0
}

// awaitReconciled waits until a freshly started operator has reconciled n tenants.
func (s *scale) awaitReconciled(n int) {
	deadline := time.Now().Add(10 * time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for s.reconciled() < n {
		if time.Now().After(deadline) {
			s.b.Fatalf("only %d of %d tenants were reconciled", s.reconciled(), n)
		}
		<-tick.C
	}
}

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

func (s *scale) print(total time.Duration, latencies []time.Duration, memory int, resync time.Duration, during []time.Duration) {
	p := func(d []time.Duration, percent int) time.Duration {
		return d[(len(d)-1)*percent/100].Round(time.Millisecond)
	}
	fmt.Printf(`
| what | measured | target |
| --- | --- | --- |
| %d counties, created by 8 clients: all Ready | %s | 5 min |
| create to Ready while all are created, p50 / p99 | %s / %s | |
| operator memory (resident) | %d MiB | 200 MiB |
| resync of all when nothing changed | %s | 60 s |
| a new tenant while a resync runs, p50 / p99 of %d | %s / %s | p99 5 s |

`, len(latencies), total.Round(time.Second), p(latencies, 50), p(latencies, 99), memory, resync.Round(100*time.Millisecond),
		len(during), p(during, 50), p(during, 99))
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// Package bench_test measures the platform beside what it can be compared with, in one run. `make bench` prints the table.
package bench_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/ids"
	"circle15.dev/internal/issuer"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

const (
	tenants = 1000
	rounds  = 7
	during  = 4 * time.Second // of one subject in one round
	warmUp  = 10 * time.Second
	address = "127.0.0.1:18480"
	subject = "bench"
)

// callers wait for an answer before they ask again. The platform has eight connections to PostgreSQL, its default, for
// all of them; pgbench has one for each.
var callers = []int{8, 32}

// doors are the ways to PostgreSQL, for the platform, the limit and pgbench alike. In a cluster it is the network, for
// which TCP on the loopback stands; `make run` goes by the Unix socket, which is cheaper, and most so for pgbench, which
// makes four round trips where the platform makes one.
var doors = []struct {
	name   string
	target string
	url    func(*testing.B, *testenv.Platform) string
}{
	{"TCP", "0.50", overTCP},
	{"Unix socket", "", func(_ *testing.B, platform *testenv.Platform) string { return platform.AppURL }},
}

// BenchmarkGetCase measures GET of one case over REST (token, casbin, tenant transaction), with one tenant and with a
// thousand at random, beside as many callers of pgbench doing the same statements unpipelined for one tenant, and beside
// the limit (limit_linux_test.go); and provisioning. They take turns, so that what else the machine does meets all of
// them; a ratio is the median of the rounds.
func BenchmarkGetCase(b *testing.B) {
	platform := testenv.Provisioned(b)
	cities, perTenant := provisionAll(b, platform)
	fmt.Printf(`
| what | measured | target |
| --- | --- | --- |
| provisioning a tenant, one after the other, mean of %d | %s | 75 ms |
`, tenants, perTenant.Round(100*time.Microsecond))
	for _, door := range doors {
		b.Run(door.name, func(b *testing.B) {
			for b.Loop() {
				compare(b, door.name, door.target, door.url(b, platform), cities)
			}
		})
	}
}

// compare prints the table of one door to PostgreSQL.
func compare(b *testing.B, door, target, database string, cities []city) {
	b.Helper()
	all := serve(b, database, cities)
	serveLimit(b, database, cities)
	one := func() []byte { return all[0] }
	many := func() []byte { return all[rand.N(len(all))] }
	load(b, address, callers[0], warmUp, one)
	load(b, address, callers[0], warmUp, many)
	load(b, limitAddress, callers[0], warmUp, many)
	fmt.Printf(`
| callers | PostgreSQL over %s; 2 cores shared with client and PostgreSQL | per second | p99 | of pgbench (least to most of %d rounds) | target |
| --- | --- | --- | --- | --- | --- |
`, door, rounds)
	for _, n := range callers {
		var peer, single, random, limit measured
		for range rounds {
			peer.add(pgbench(b, database, cities[0], n), 0)
			single.add(load(b, address, n, during, one))
			random.add(load(b, address, n, during, many))
			limit.add(load(b, limitAddress, n, during, many))
		}
		fmt.Printf(`| %[1]d | pgbench -M prepared, the same statements, one tenant | %.0[2]f | | 1.00 | |
| %[1]d | GET one case over REST, one tenant | %[3]s | %[7]s |
| %[1]d | GET one case over REST, %[4]d tenants at random | %[5]s | %[7]s |
| %[1]d | the limit: net/http and the driver alone, %[4]d tenants at random | %[6]s | |
`, n, median(peer.perSecond), single.beside(peer), tenants, random.beside(peer), limit.beside(peer), target)
	}
}

// measured is one subject's figures, round by round.
type measured struct {
	perSecond []float64
	p99       []time.Duration
}

func (m *measured) add(perSecond float64, p99 time.Duration) {
	m.perSecond = append(m.perSecond, perSecond)
	m.p99 = append(m.p99, p99)
}

// beside is the middle of the table's row of m: requests a second, latency, ratio to the peer in the same round.
func (m *measured) beside(peer measured) string {
	ratios := make([]float64, len(m.perSecond))
	for i := range ratios {
		ratios[i] = m.perSecond[i] / peer.perSecond[i]
	}
	return fmt.Sprintf("%.0f | %s | %.2f (%.2f to %.2f)", median(m.perSecond), median(m.p99).Round(10*time.Microsecond),
		median(ratios), slices.Min(ratios), slices.Max(ratios))
}

func median[T cmp.Ordered](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// city is a tenant with one case.
type city struct {
	name tenant.Name
	id   uuid.UUID
}

func provisionAll(b *testing.B, platform *testenv.Platform) ([]city, time.Duration) {
	b.Helper()
	ctx := context.Background()
	specs := make([]provision.Spec, tenants)
	for i := range specs {
		specs[i] = testenv.NextSpec(b)
		specs[i].Policy.Grants = []provision.Grant{{Subject: subject, Role: "bureau_admin"}}
	}
	started := time.Now()
	for i := range specs {
		if _, err := platform.Provisioner.Create(ctx, specs[i]); err != nil {
			b.Fatal(err)
		}
	}
	perTenant := time.Since(started) / tenants
	conn, err := pgx.Connect(ctx, platform.SuperuserURL)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	cities := make([]city, tenants)
	for i, spec := range specs {
		cities[i] = city{spec.Name, fill(b, conn, spec.Name)}
	}
	return cities, perTenant
}

// fill writes one case, with what it refers to, and returns its id.
func fill(b *testing.B, conn *pgx.Conn, name tenant.Name) uuid.UUID {
	b.Helper()
	var id [6]string
	for i := range id {
		id[i] = ids.New().String()
	}
	sql := strings.NewReplacer("S.", name.Schema()+".", "$station", id[0], "$staff", id[1], "$community", id[2], "$household", id[3],
		"$resident", id[4], "$case", id[5]).Replace(`
		INSERT INTO S.stations (id, division_code, display_name, opened_date, created_by) VALUES ('$station', '460107003', '滨江街道社工站', '2021-05-06', 'b');
		INSERT INTO S.staff (id, station_id, name, position, start_date, created_by) VALUES ('$staff', '$station', '社工', 'HEAD', '2021-05-06', 'b');
		INSERT INTO S.communities (id, station_id, division_code, display_name, created_by) VALUES ('$community', '$station', '460107003005', '博桂社区', 'b');
		INSERT INTO S.households (id, station_id, community_id, head_name, address, created_by)
			VALUES ('$household', '$station', '$community', '户主', '1号', 'b');
		INSERT INTO S.residents (id, station_id, household_id, name, sex, birth_date, no_identity_reason, registered, legal_basis, legal_basis_date, created_by)
			VALUES ('$resident', '$station', '$household', '居民', 'FEMALE', '1950-01-01', '未办理', true, 'STATUTORY_DUTY', '2021-05-06', 'b');
		INSERT INTO S.cases (id, station_id, household_id, resident_id, staff_id, domain, title, presenting_problem, stage, opened_date, created_by)
			VALUES ('$case', '$station', '$household', '$resident', '$staff', 'elderly_services', '独居老人个案', '独居，行动不便，需要定期探访和助餐。', 'INTAKE', '2021-06-01', 'b');`)
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		b.Fatal(err)
	}
	return uuid.MustParse(id[5])
}

// serve starts the platform as a process of its own, as it runs in use, and returns a request for the case of each city.
func serve(b *testing.B, database string, cities []city) [][]byte {
	b.Helper()
	folder := b.TempDir()
	builtin, err := issuer.Open(folder, "http://"+address+issuer.Path)
	if err != nil {
		b.Fatal(err)
	}
	program := filepath.Join(folder, "circle15")
	build := exec.Command("go", "build", "-o", program, "circle15.dev/services/cmd/circle15")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		b.Fatal(err)
	}
	process := exec.Command(program, "serve", "all")
	process.Env = append(os.Environ(), "CIRCLE15_DATABASE_URL="+database, "CIRCLE15_HTTP="+address, "CIRCLE15_GRPC=127.0.0.1:18490",
		"CIRCLE15_ADMIN=127.0.0.1:18491", "CIRCLE15_LOG_LEVEL=warn", "CIRCLE15_BUILTIN_ISSUER="+folder)
	start(b, process, "http://"+address+"/readyz")
	return requests(b, builtin, cities)
}

// start starts a server, to be ended with the benchmark, and waits until it answers the URL with 200.
func start(b *testing.B, process *exec.Cmd, url string) {
	b.Helper()
	process.Stderr = os.Stderr
	if err := process.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = process.Process.Signal(syscall.SIGTERM); _ = process.Wait() })
	testenv.Await(b, url, func() bool {
		response, err := http.Get(url)
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

func requests(b *testing.B, builtin *issuer.Issuer, cities []city) [][]byte {
	b.Helper()
	var all [][]byte
	for _, c := range cities {
		token, err := builtin.Mint(issuer.Claims{Subject: subject, Tenants: []tenant.Name{c.name}, Lifetime: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, get(address, "/v1/cases/"+c.id.String(), token))
	}
	return all
}

// getCase is GetCase's statement in services/cases, and script the whole of its transaction in tenantdb.
const (
	getCase = `SELECT c.id, c.station_id, c.household_id, c.resident_id, c.staff_id, c.domain, c.title, c.presenting_problem, c.stage, c.assessment, c.goals, c.plan, c.evaluation_summary, c.reflection, c.goal_attainment, c.evaluated_date, c.opened_date, c.closed_date, c.closure_reason, c.void_reason, c.revision, c.create_time, c.update_time, ARRAY(SELECT n.need_id FROM %[1]s.case_needs n WHERE n.case_id = c.id ORDER BY n.need_id) FROM %[1]s.cases c WHERE c.id = '%[2]s' AND (NULL::uuid[] IS NULL OR c.station_id = ANY(NULL::uuid[])) AND (NULL::text IS NULL OR c.created_by = NULL)`
	script  = `BEGIN;
SELECT set_config('role', '%[1]s', true);
` + getCase + `;
COMMIT;
`
)

var tps = regexp.MustCompile(`tps = ([0-9.]+) \(without`)

func pgbench(b *testing.B, database string, c city, connections int) float64 {
	b.Helper()
	file := filepath.Join(b.TempDir(), "get_case.sql")
	if err := os.WriteFile(file, fmt.Appendf(nil, script, c.name.Schema(), c.id), 0o600); err != nil {
		b.Fatal(err)
	}
	out, err := exec.Command("pgbench", "-n", "-M", "prepared", "-c", strconv.Itoa(connections), "-j", "2", "-T",
		strconv.Itoa(int(during.Seconds())), "-f", file, database).CombinedOutput()
	if err != nil {
		b.Fatalf("pgbench: %v\n%s", err, out)
	}
	match := tps.FindSubmatch(out)
	if match == nil {
		b.Fatalf("pgbench printed no tps:\n%s", out)
	}
	value, err := strconv.ParseFloat(string(match[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return value
}

// overTCP is the app's URL by the server's loopback address instead of its Unix socket.
func overTCP(b *testing.B, platform *testenv.Platform) string {
	b.Helper()
	u, err := url.Parse(platform.AppURL)
	if err != nil {
		b.Fatal(err)
	}
	query := u.Query()
	u.Host = net.JoinHostPort("127.0.0.1", query.Get("port"))
	query.Del("host")
	query.Del("port")
	u.RawQuery = query.Encode()
	return u.String()
}

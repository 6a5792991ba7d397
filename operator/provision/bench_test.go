package provision_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

// fleetEnv is the number of tenants of BenchmarkFleet, at most 2,900.
const fleetEnv = "CIRCLE15_BENCH_TENANTS"

// BenchmarkCreate is the time to provision one tenant on one connection.
func BenchmarkCreate(b *testing.B) {
	p := testenv.Provisioned(b).Provisioner
	create(b, p, testenv.NextSpec(b))
	measure(b, func() {
		if _, err := p.Create(b.Context(), testenv.NextSpec(b)); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkFleet measures what is done over all tenants of a cluster; its log tells how long making them took.
func BenchmarkFleet(b *testing.B) {
	size, err := strconv.Atoi(os.Getenv(fleetEnv))
	if err != nil {
		size = 200
	}
	p := testenv.Provisioned(b).Provisioner
	began, cpu := time.Now(), serverCPU(b)
	group := errgroup.Group{}
	group.SetLimit(2)
	for range size {
		spec := testenv.NextSpec(b)
		group.Go(func() error {
			_, err := p.Create(b.Context(), spec)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d tenants made in %s, of which the server computed %s", size, time.Since(began), serverCPU(b)-cpu)
	for _, c := range []struct {
		name string
		act  func() error
	}{
		{"upgrade_all_nothing_to_do", func() error {
			_, err := p.UpgradeAll(b.Context(), provision.UpgradeOptions{})
			return err
		}},
		{"upgrade_one_nothing_to_do", func() error {
			_, err := p.Upgrade(b.Context(), "city-2")
			return err
		}},
		{"observe_all", func() error {
			_, err := p.Observe(b.Context())
			return err
		}},
		{"create_one_more", func() error {
			_, err := p.Create(b.Context(), testenv.NextSpec(b))
			return err
		}},
	} {
		b.Run(fmt.Sprintf("tenants=%d/%s", size, c.name), func(b *testing.B) {
			measure(b, func() {
				if err := c.act(); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// measure reports, beside the elapsed time, what the server computed for each act: that holds on a busy computer too.
func measure(b *testing.B, act func()) {
	before := serverCPU(b)
	b.ResetTimer()
	for range b.N {
		act()
	}
	b.StopTimer()
	b.ReportMetric(float64((serverCPU(b)-before).Milliseconds())/float64(b.N), "server-ms/op")
}

// serverCPU is the processor time of PostgreSQL's processes, user and system, from Linux's /proc.
func serverCPU(b *testing.B) time.Duration {
	b.Helper()
	postmaster := strconv.Itoa(testenv.Postgres(b).PID())
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	total := time.Duration(0)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		// After the name: state, parent, …; user and system time are the 12th and 13th, those of ended children follow.
		fields := strings.Fields(rest)
		switch {
		case filepath.Base(filepath.Dir(file)) == postmaster:
			total += ticks(b, fields[11:15])
		case fields[1] == postmaster:
			total += ticks(b, fields[11:13])
		}
	}
	return total
}

// ticks adds clock ticks; USER_HZ is 100 on every Linux.
func ticks(b *testing.B, fields []string) time.Duration {
	sum := 0
	for _, field := range fields {
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		sum += n
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

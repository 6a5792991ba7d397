package tenantdb_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
)

// benchWorkers is how many requests are under way at once: four for each of the eight connections.
const benchWorkers = 32

type benchRow struct {
	ID    uuid.UUID
	Title string
	N     int32
	Code  *string
}

// way is one way to read a row by its primary key as a tenant.
type way struct {
	name string
	read func(ctx context.Context, n tenant.Name) (benchRow, error)
}

// BenchmarkOneRow reads one row by primary key, of one tenant and of a thousand at random, as tenantdb does and as it
// is done with pgx and its pool.
func BenchmarkOneRow(b *testing.B) {
	names := newTenants(b, 1000)
	directory, err := tenantdb.OpenDirectory(b.Context(), map[string]string{"main": server.app})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(directory.Close)
	for _, count := range []int{1, 1000} {
		for _, way := range []way{viaOnce(b, directory), viaRead(b, directory), viaBatch(b), viaPgx(b)} {
			b.Run(fmt.Sprintf("%s/%d", way.name, count), func(b *testing.B) {
				measure(b, names[:count], way)
			})
		}
	}
}

func measure(b *testing.B, names []tenant.Name, way way) {
	for _, n := range names { // connections and statements are as they are after a while
		for range 2 {
			if _, err := way.read(b.Context(), n); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportAllocs()
	b.SetParallelism(benchWorkers / 2)
	var seed atomic.Uint64
	client, backends := clientCPU(), backendCPU(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		random := rand.New(rand.NewPCG(seed.Add(1), 15))
		for pb.Next() {
			n := names[random.IntN(len(names))]
			row, err := way.read(context.Background(), n)
			if err != nil || row.Title != string(n) {
				b.Errorf("%+v, %v", row, err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
	// Processor time tells more than the clock on a machine that others use too.
	b.ReportMetric((clientCPU()-client).Seconds()*1e6/float64(b.N), "client-us/tx")
	b.ReportMetric((backendCPU(b)-backends).Seconds()*1e6/float64(b.N), "server-us/tx")
}

// clientCPU is the processor time of this process.
func clientCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// backendCPU is the processor time of the app's sessions at the server, where /proc tells it (Linux).
func backendCPU(b *testing.B) time.Duration {
	var ticks int64
	pids := adminValue(b, `select coalesce(string_agg(pid::text, ' '), '') from pg_stat_activity where usename = 'circle15_app'`)
	for pid := range strings.FieldsSeq(pids) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, f := range fields[11:13] { // utime, stime (proc(5)), in hundredths of a second
			n, _ := strconv.ParseInt(f, 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

var benchCase = tenantdb.SQL(`SELECT id, title, n, code FROM {tenant}.cases WHERE id = $1`)

func viaOnce(b *testing.B, directory *tenantdb.Directory) way {
	db := openWith(b, directory, nil)
	return way{"tenantdb-one-shot", func(ctx context.Context, n tenant.Name) (benchRow, error) {
		ctx, cancel := context.WithCancel(tenant.With(ctx, n)) // as a request has it
		defer cancel()
		return tenantdb.One(ctx, db, pgx.RowToStructByPos[benchRow], benchCase, firstCase)
	}}
}

func viaRead(b *testing.B, directory *tenantdb.Directory) way {
	db := openWith(b, directory, nil)
	return way{"tenantdb-read", func(ctx context.Context, n tenant.Name) (row benchRow, err error) {
		ctx, cancel := context.WithCancel(tenant.With(ctx, n))
		defer cancel()
		err = db.Read(ctx, func(ctx context.Context, tx *tenantdb.Tx) (err error) {
			row, err = tenantdb.One(ctx, tx, pgx.RowToStructByPos[benchRow], benchCase, firstCase)
			return err
		})
		return row, err
	}}
}

func plainPool(b *testing.B, mode pgx.QueryExecMode) *pgxpool.Pool {
	config, err := pgxpool.ParseConfig(server.app)
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = 8
	config.ConnConfig.DefaultQueryExecMode = mode
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	return pool
}

// viaPgx is a transaction as it is usually written: begin, set the role, query, commit, each a round trip.
func viaPgx(b *testing.B) way {
	pool := plainPool(b, pgx.QueryExecModeCacheStatement)
	return way{"pgx-transaction", func(ctx context.Context, n tenant.Name) (row benchRow, err error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "select set_config('role', $1, true)", n.Role()); err != nil {
				return err
			}
			rows, err := tx.Query(ctx, "SELECT id, title, n, code FROM "+n.Schema()+".cases WHERE id = $1", firstCase)
			if err != nil {
				return err
			}
			row, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[benchRow])
			return err
		})
		return row, err
	}}
}

// viaBatch is the same in one batch of pgx, unprepared: prepared, the batch would be parsed before the role is set.
func viaBatch(b *testing.B) way {
	pool := plainPool(b, pgx.QueryExecModeExec)
	return way{"pgx-batch", func(ctx context.Context, n tenant.Name) (row benchRow, err error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		batch := &pgx.Batch{}
		batch.Queue("begin read only")
		batch.Queue("select set_config('role', $1, true)", n.Role())
		batch.Queue("SELECT id, title, n, code FROM "+n.Schema()+".cases WHERE id = $1", firstCase).Query(func(rows pgx.Rows) error {
			row, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[benchRow])
			return err
		})
		batch.Queue("commit")
		c, err := pool.Acquire(ctx)
		if err != nil {
			return row, err
		}
		defer c.Release()
		return row, c.Conn().SendBatch(ctx, batch).Close()
	}}
}

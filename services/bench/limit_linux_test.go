package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	limitAddress     = "127.0.0.1:18481"
	limitConnections = 8   // the platform's default
	limitAnswer      = 640 // bytes, as the platform's
	limitEnv         = "CIRCLE15_BENCH_LIMIT"
)

// TestMain lets the limit be this program over again.
func TestMain(m *testing.M) {
	if file := os.Getenv(limitEnv); file != "" {
		fmt.Fprintln(os.Stderr, answerLimit(file))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// limit is what its process is told.
type limit struct {
	URL     string            // of PostgreSQL
	Schemas map[string]string // by case
}

// serveLimit starts, as a process of its own, the least that could answer: net/http and the driver's pipeline with the
// role, the statement and nothing else. No token is looked at, no policy asked, no row decoded, no leaving caller
// noticed, and the answer is always the same bytes, as many as the platform's. It is the limit of what net/http and pgx
// allow.
func serveLimit(b *testing.B, database string, cities []city) {
	b.Helper()
	l := limit{URL: database, Schemas: map[string]string{}}
	for _, c := range cities {
		l.Schemas[c.id.String()] = c.name.Schema()
	}
	file := filepath.Join(b.TempDir(), "limit.json")
	text, err := json.Marshal(l)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), limitEnv+"="+file, "GOGC=400")
	start(b, process, "http://"+limitAddress+"/v1/cases/"+cities[0].id.String())
}

func answerLimit(file string) error {
	var l limit
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	if err != nil {
		return err
	}
	homes := make([]*home, limitConnections)
	for i := range homes {
		if homes[i], err = openHome(l.URL); err != nil {
			return err
		}
	}
	seed, answer := maphash.MakeSeed(), bytes.Repeat([]byte("x"), limitAnswer)
	return http.ListenAndServe(limitAddress, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := path.Base(r.URL.Path)
		schema := l.Schemas[id]
		if err := homes[maphash.String(seed, schema)%limitConnections].read(schema, id); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
}

// home is a connection that serves its share of the tenants, one request at a time.
type home struct {
	mu    sync.Mutex
	conn  *pgconn.PgConn
	role  *pgconn.StatementDescription
	cases map[string]*pgconn.StatementDescription // by schema
}

func openHome(url string) (*home, error) {
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	role, err := conn.Prepare(ctx, "role", "SELECT set_config('role', $1, true)", nil)
	return &home{conn: conn, role: role, cases: map[string]*pgconn.StatementDescription{}}, err
}

func (h *home) read(schema, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	trip := h.conn.StartPipeline(context.Background())
	trip.SendQueryStatement(h.role, [][]byte{[]byte(schema)}, nil, nil)
	known := h.cases[schema]
	if known == nil {
		trip.SendPrepare(schema, strings.NewReplacer("%[1]s", schema, "'%[2]s'", "$1").Replace(getCase), nil)
	} else {
		trip.SendQueryStatement(known, [][]byte{[]byte(id)}, nil, nil)
	}
	if err := trip.Sync(); err != nil {
		return err
	}
	for {
		result, err := trip.GetResults()
		if err != nil {
			return err
		}
		switch r := result.(type) {
		case *pgconn.StatementDescription:
			described := *r
			described.Name = schema
			h.cases[schema] = &described
		case *pgconn.ResultReader:
			for r.NextRow() {
				_ = r.Values()
			}
			if _, err := r.Close(); err != nil {
				return err
			}
		case *pgconn.PipelineSync:
			return trip.Close()
		}
	}
}

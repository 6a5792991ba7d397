package tenantdb

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"circle15.dev/internal/tenant"
)

// source is the control schema of one database cluster, as a Directory follows it.
type source struct {
	directory *Directory
	cluster   string // its name in the configuration, which is where its tenants are, whatever the table calls it
	config    *pgconn.Config
	loading   sync.Mutex             // held from reading the table to storing it, lest an older reading replaces a newer one
	known     map[tenant.Name]*entry // guarded by directory.merging
}

func (s *source) refresh(ctx context.Context) error {
	pg, err := connect(ctx, s.config)
	if err != nil {
		return err
	}
	defer closeQuietly(ctx, pg)
	return s.reloadAll(ctx, pg)
}

// put keeps the placements; with names, those beside what was known, in which the names are replaced.
func (s *source) put(names []string, placements []Placement) {
	s.directory.merging.Lock()
	defer s.directory.merging.Unlock()
	if names == nil {
		clear(s.known)
	}
	for _, n := range names {
		delete(s.known, tenant.Name(n))
	}
	for _, p := range placements {
		s.known[p.Tenant] = newEntry(p)
	}
	s.directory.merge()
}

const selectPlacements = "select name, state, schema_version::text, coalesce(requests_per_second, 0)::text, division_code," +
	" max_stations::text, max_staff::text, max_residents::text from circle15.tenants"

// reloadAll reads all placements, once it has looked at the login: a cluster with one that may do too much is not served.
func (s *source) reloadAll(ctx context.Context, pg *pgconn.PgConn) error {
	if err := checkLogin(ctx, pg, s.cluster); err != nil {
		return err
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	placements, err := s.read(ctx, pg, selectPlacements)
	if err != nil {
		return err
	}
	s.put(nil, placements)
	return nil
}

func (s *source) reloadSome(ctx context.Context, pg *pgconn.PgConn, names []string) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	placements, err := s.read(ctx, pg, selectPlacements+" where name = any(string_to_array($1, ' '))", strings.Join(names, " "))
	if err != nil {
		return err
	}
	s.put(names, placements)
	return nil
}

func (s *source) read(ctx context.Context, pg *pgconn.PgConn, sql string, args ...string) ([]Placement, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	result := pg.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	placements := make([]Placement, 0, len(result.Rows))
	for _, row := range result.Rows {
		n, err := tenant.ParseName(string(row[0]))
		if err != nil {
			slog.Error("tenantdb: the control schema lists a tenant whose name is not valid", "error", err)
			continue
		}
		version, err := strconv.Atoi(string(row[2]))
		if err != nil {
			return nil, err
		}
		rate, err := strconv.Atoi(string(row[3]))
		if err != nil {
			return nil, err
		}
		quotas, err := parseQuotas(row[5], row[6], row[7])
		if err != nil {
			return nil, err
		}
		placements = append(placements, Placement{
			Tenant: n, Cluster: s.cluster, State: string(row[1]), SchemaVersion: version, RequestsPerSecond: rate,
			DivisionCode: string(row[4]), Quotas: quotas,
		})
	}
	return placements, nil
}

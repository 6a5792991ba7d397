// Package world makes a small city for the tests of services: a tenant with two stations, the people around each, and
// contexts of callers with different data scopes.
package world

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
)

// World is a tenant of its own with two stations.
type World struct {
	DB         *tenantdb.DB
	Pages      *page.Codec
	Tenant     tenant.Name
	East, West Station
}

// Station is a station, opened on 2021-05-01, with ids of what is around it.
type Station struct {
	ID             string
	Worker         string // serves since the opening
	Colleague      string // serves since the opening
	Left           string // served until 2021-08-31
	Household      string
	Elder, Child   string // residents of Household
	Need           string // of Household
	VoidNeed       string // of Household, taken back
	Neighbours     string // another household
	Neighbour      string // its resident
	NeighboursNeed string
}

// New makes a World, which goes away with the test.
func New(t testing.TB) *World {
	t.Helper()
	name := testenv.NewTenant(t)
	return build(t, open(t, name), name)
}

// NewPair makes two Worlds behind one DB.
func NewPair(t testing.TB) (*World, *World) {
	t.Helper()
	one, other := testenv.NewTenant(t), testenv.NewTenant(t)
	db := open(t, one, other)
	return build(t, db, one), build(t, db, other)
}

func open(t testing.TB, names ...tenant.Name) *tenantdb.DB {
	t.Helper()
	placements := make([]tenantdb.Placement, len(names))
	for i, name := range names {
		placements[i] = tenantdb.Placement{Tenant: name, Cluster: "main", State: tenantdb.StateActive}
	}
	url := testenv.Provisioned(t).AppURL
	db, err := tenantdb.Open(t.Context(), tenantdb.Config{Clusters: map[string]string{"main": url}},
		tenantdb.NewDirectory(placements...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func build(t testing.TB, db *tenantdb.DB, name tenant.Name) *World {
	t.Helper()
	w := &World{DB: db, Pages: page.NewCodec([]byte("a key of the tests")), Tenant: name}
	err := db.Write(tenant.With(t.Context(), name), func(_ context.Context, tx *tenantdb.Tx) error {
		w.East, w.West = addStation(tx, "460107001"), addStation(tx, "460107002")
		return nil
	})
	if err != nil {
		t.Fatalf("a world for tests: %v", err)
	}
	return w
}

// Bureau is a context of a caller whose scope is the whole tenant.
func (w *World) Bureau(t testing.TB) context.Context {
	return w.as(t, "bureau", authz.Scope{Level: authz.LevelTenant})
}

// At is a context of a social worker whose scope is the station.
func (w *World) At(t testing.TB, s Station) context.Context {
	return w.as(t, "worker-"+s.ID, authz.Scope{Level: authz.LevelStation, Stations: []uuid.UUID{uuid.MustParse(s.ID)}})
}

// Own is a context of the subject whose scope is what the subject recorded at the station.
func (w *World) Own(t testing.TB, s Station, subject string) context.Context {
	return w.as(t, subject, authz.Scope{Level: authz.LevelOwn, Stations: []uuid.UUID{uuid.MustParse(s.ID)}})
}

func (w *World) as(t testing.TB, subject string, scope authz.Scope) context.Context {
	scope.Subject = subject
	ctx := tenant.With(t.Context(), w.Tenant)
	ctx = authn.With(ctx, authn.Principal{Issuer: "https://issuer.test", Subject: subject, Tenants: []string{w.Tenant.String()}})
	return authz.WithScope(ctx, scope)
}

// Fact is a row of service_facts.
type Fact struct {
	Measure, Date, Station, Staff, Household, Resident, Domain string
	Amount                                                     int32
}

type factRow struct {
	Measure                             string
	Date                                time.Time
	Station, Staff, Household, Resident uuid.NullUUID
	Domain                              string
	Amount                              int32
}

var selectFacts = tenantdb.SQL(`SELECT measure, fact_date, station_id, staff_id, household_id, resident_id, domain, amount
	FROM {tenant}.service_facts WHERE source_type = $1 AND source_id = $2 ORDER BY id`)

// Facts are the facts of a source in the order in which they were written, reversals included.
func (w *World) Facts(t testing.TB, sourceType, sourceID string) []Fact {
	t.Helper()
	rows, err := tenantdb.All(w.Bureau(t), w.DB, pgx.RowToStructByPos[factRow], selectFacts, sourceType, uuid.MustParse(sourceID))
	if err != nil {
		t.Fatal(err)
	}
	out := make([]Fact, 0, len(rows))
	for _, r := range rows {
		out = append(out, Fact{
			Measure: r.Measure, Date: r.Date.Format(time.DateOnly), Station: text(r.Station), Staff: text(r.Staff),
			Household: text(r.Household), Resident: text(r.Resident), Domain: r.Domain, Amount: r.Amount,
		})
	}
	return out
}

func text(id uuid.NullUUID) string {
	if !id.Valid {
		return ""
	}
	return id.UUID.String()
}

type sum struct {
	Measure string
	Amount  int64
}

var sumFacts = tenantdb.SQL(`SELECT measure, sum(amount) FROM {tenant}.service_facts GROUP BY measure HAVING sum(amount) <> 0`)

// Figures are the sums of all facts of the tenant, by measure, without those that are 0.
func (w *World) Figures(t testing.TB) map[string]int {
	t.Helper()
	rows, err := tenantdb.All(w.Bureau(t), w.DB, pgx.RowToStructByPos[sum], sumFacts)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, row := range rows {
		out[row.Measure] = int(row.Amount)
	}
	return out
}

// NewID is a fresh id, as a client makes it.
func NewID() string { return ids.New().String() }

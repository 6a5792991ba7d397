package facts_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
)

// city is a tenant with one station and one household.
type city struct {
	ctx                context.Context
	db                 *tenantdb.DB
	station, household uuid.UUID
}

var (
	insertStation = tenantdb.SQL(`INSERT INTO {tenant}.stations (id, division_code, display_name, opened_date, created_by)
		VALUES ($1, '460107003', 'Binjiang', '2021-05-01', 'test')`)
	insertCommunity = tenantdb.SQL(`INSERT INTO {tenant}.communities (id, station_id, division_code, display_name, created_by)
		VALUES ($1, $1, '460107003001', 'Bogui', 'test')`)
	insertHousehold = tenantdb.SQL(`INSERT INTO {tenant}.households (id, station_id, community_id, head_name, address, created_by)
		VALUES ($1, $2, $2, 'Zhuo', 'Bogui 1', 'test')`)
	touch      = tenantdb.SQL(`SELECT 1`)
	selectNets = tenantdb.SQL(`SELECT source_id, measure, domain, sum(amount)
		FROM {tenant}.service_facts WHERE source_id = ANY ($1) GROUP BY source_id, measure, domain`)
	selectCounterparts = tenantdb.SQL(`SELECT count(*) FROM {tenant}.service_facts r
		JOIN {tenant}.service_facts f ON f.id = r.reverses
		WHERE r.source_id = ANY ($1) AND (r.measure, r.fact_date, r.station_id, r.domain, r.amount, r.source_type, r.source_id)
			IS DISTINCT FROM (f.measure, f.fact_date, f.station_id, f.domain, -f.amount, f.source_type, f.source_id)`)
)

func newCity(t *testing.T) city {
	name := testenv.NewTenant(t)
	directory := tenantdb.NewDirectory(tenantdb.Placement{Tenant: name, Cluster: "main", State: tenantdb.StateActive})
	db, err := tenantdb.Open(t.Context(), tenantdb.Config{
		Clusters: map[string]string{"main": testenv.Provisioned(t).AppURL},
	}, directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	c := city{ctx: tenant.With(t.Context(), name), db: db, station: ids.New(), household: ids.New()}
	c.write(t, func(_ context.Context, tx *tenantdb.Tx) error {
		tx.Queue(insertStation, c.station)
		tx.Queue(insertCommunity, c.station)
		tx.Queue(insertHousehold, c.household, c.station)
		return nil
	})
	return c
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (c city) write(t fataler, fn func(ctx context.Context, tx *tenantdb.Tx) error) {
	t.Helper()
	if err := c.db.Write(c.ctx, fn); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func (c city) fact(m facts.Measure, source uuid.UUID) facts.Fact {
	return facts.Fact{
		Measure: m, Date: time.Date(2021, 6, 1, 0, 0, 0, 0, time.UTC), Station: c.station, Household: &c.household,
		Domain: "child_welfare", Amount: 1, SourceType: facts.SourceVisits, SourceID: source,
	}
}

// net is what the facts of a source come to in one measure and domain.
type net struct {
	Source          uuid.UUID
	Measure, Domain string
}

type netRow struct {
	net
	Amount int64
}

func (c city) nets(t fataler, sources ...uuid.UUID) map[net]int64 {
	t.Helper()
	rows, err := tenantdb.All(c.ctx, c.db, pgx.RowToStructByPos[netRow], selectNets, sources)
	if err != nil {
		t.Fatalf("nets: %v", err)
	}
	out := map[net]int64{}
	for _, r := range rows {
		if r.Amount < 0 {
			t.Fatalf("%s of %s is %d, below 0", r.Measure, r.Source, r.Amount)
		}
		if r.Amount != 0 {
			out[r.net] = r.Amount
		}
	}
	return out
}

// act is a step of the property test: what it does to the facts, and to the model, which knows no reversals and forgets.
type act func(ctx context.Context, tx *tenantdb.Tx) error

func (c city) drawAct(t *rapid.T, sources []uuid.UUID, model map[net]int64) act {
	source := rapid.SampledFrom(sources).Draw(t, "source")
	measure := rapid.SampledFrom([]facts.Measure{facts.HomeVisit, facts.PersonTimes, facts.Case, facts.File}).Draw(t, "measure")
	domain := rapid.SampledFrom([]string{"child_welfare", "elderly_services", ""}).Draw(t, "domain")
	switch rapid.SampledFrom([]string{"append", "append", "reverse all", "reverse one", "move"}).Draw(t, "act") {
	case "reverse all":
		forget(model, func(n net) bool { return n.Source == source })
		return func(ctx context.Context, tx *tenantdb.Tx) error {
			return facts.Reverse(ctx, tx, facts.SourceVisits, source)
		}
	case "reverse one":
		forget(model, func(n net) bool { return n.Source == source && n.Measure == string(measure) })
		return func(ctx context.Context, tx *tenantdb.Tx) error {
			return facts.Reverse(ctx, tx, facts.SourceVisits, source, measure)
		}
	case "move":
		for n, amount := range maps.Clone(model) {
			if n.Source == source && n.Domain != domain {
				delete(model, n)
				model[net{source, n.Measure, domain}] += amount
			}
		}
		return func(ctx context.Context, tx *tenantdb.Tx) error {
			return facts.ChangeDomain(ctx, tx, facts.SourceVisits, domain, source)
		}
	default:
		f := c.fact(measure, source)
		f.Domain, f.Amount = domain, rapid.Int32Range(1, 50).Draw(t, "amount")
		model[net{source, string(measure), domain}] += int64(f.Amount)
		return func(ctx context.Context, tx *tenantdb.Tx) error { return facts.Append(ctx, tx, f) }
	}
}

func TestAfterAnyCorrectionsTheFactsComeToWhatStands(t *testing.T) {
	c := newCity(t)
	rapid.Check(t, func(t *rapid.T) {
		sources := []uuid.UUID{ids.New(), ids.New(), ids.New()}
		model := map[net]int64{}
		for range rapid.IntRange(1, 8).Draw(t, "transactions") {
			acts := make([]act, rapid.IntRange(1, 5).Draw(t, "acts"))
			for i := range acts {
				acts[i] = c.drawAct(t, sources, model)
			}
			c.write(t, func(ctx context.Context, tx *tenantdb.Tx) error {
				for _, do := range acts {
					if err := do(ctx, tx); err != nil {
						return err
					}
				}
				return nil
			})
			if diff := cmp.Diff(model, c.nets(t, sources...)); diff != "" {
				t.Fatalf("nets (-model +facts):\n%s", diff)
			}
		}
		unlike, err := tenantdb.One(c.ctx, c.db, pgx.RowTo[int64], selectCounterparts, sources)
		if err != nil || unlike != 0 {
			t.Fatalf("%d reversals differ from their facts in more than the sign (%v)", unlike, err)
		}
	})
}

func forget(model map[net]int64, which func(net) bool) {
	for n := range model {
		if which(n) {
			delete(model, n)
		}
	}
}

func TestAReversalKeepsToItsSourceType(t *testing.T) {
	c := newCity(t)
	id := ids.New()
	c.write(t, func(ctx context.Context, tx *tenantdb.Tx) error {
		session := c.fact(facts.CaseSession, id)
		session.SourceType = facts.SourceCaseSessions
		return errors.Join(
			facts.Append(ctx, tx, c.fact(facts.HomeVisit, id), session),
			facts.Reverse(ctx, tx, facts.SourceVisits, id))
	})
	want := map[net]int64{{id, "case_session", "child_welfare"}: 1}
	if diff := cmp.Diff(want, c.nets(t, id)); diff != "" {
		t.Errorf("nets (-want +got):\n%s", diff)
	}
}

func TestAStockThatEndsCountsMinusOne(t *testing.T) {
	c := newCity(t)
	opened := c.fact(facts.Stations, c.station)
	opened.Household, opened.Domain, opened.SourceType = nil, "", facts.SourceStations
	closed := opened
	closed.Date, closed.Amount = opened.Date.AddDate(1, 0, 0), -1
	c.write(t, func(ctx context.Context, tx *tenantdb.Tx) error { return facts.Append(ctx, tx, opened, closed) })
	if diff := cmp.Diff(map[net]int64{}, c.nets(t, c.station)); diff != "" {
		t.Errorf("nets (-want +got):\n%s", diff)
	}
}

// Whoever corrects a source holds its lock; if two corrections met nevertheless, the second fails.
func TestTwoCorrectionsAtOnceDoNotCountTwice(t *testing.T) {
	c := newCity(t)
	id := ids.New()
	c.write(t, func(ctx context.Context, tx *tenantdb.Tx) error {
		return facts.Append(ctx, tx, c.fact(facts.HomeVisit, id))
	})
	second := make(chan error, 1)
	c.write(t, func(ctx context.Context, tx *tenantdb.Tx) error {
		if err := facts.Reverse(ctx, tx, facts.SourceVisits, id); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, touch); err != nil { // sends the reversal
			return err
		}
		go func() {
			second <- c.db.Write(c.ctx, func(ctx context.Context, tx *tenantdb.Tx) error {
				return facts.Reverse(ctx, tx, facts.SourceVisits, id)
			})
		}()
		return waitForALock(ctx, testenv.Provisioned(t).SuperuserURL)
	})
	if err := <-second; apierr.KindOf(err) != apierr.AlreadyExists {
		t.Errorf("the second correction: %v", err)
	}
	if diff := cmp.Diff(map[net]int64{}, c.nets(t, id)); diff != "" {
		t.Errorf("nets (-want +got):\n%s", diff)
	}
}

// waitForALock returns when a transaction waits for another.
func waitForALock(ctx context.Context, superuserURL string) error {
	ctx, cancel := context.WithTimeout(ctx, testenv.Patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, superuserURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for waits := false; !waits; {
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").Scan(&waits); err != nil {
			return err
		}
	}
	return nil
}

func TestWhatIsNoFactIsRefusedBeforeItIsSent(t *testing.T) {
	c := newCity(t)
	id := ids.New()
	for name, change := range map[string]func(*facts.Fact){
		"unknown measure":     func(f *facts.Fact) { f.Measure = "visits" },
		"amount 0":            func(f *facts.Fact) { f.Amount = 0 },
		"amount -1":           func(f *facts.Fact) { f.Amount = -1 },
		"without a date":      func(f *facts.Fact) { f.Date = time.Time{} },
		"without a household": func(f *facts.Fact) { f.Household = nil },
		"unknown source type": func(f *facts.Fact) { f.SourceType = "visit" },
	} {
		t.Run(name, func(t *testing.T) {
			f := c.fact(facts.HomeVisit, id)
			change(&f)
			err := c.db.Write(c.ctx, func(ctx context.Context, tx *tenantdb.Tx) error {
				return facts.Append(ctx, tx, c.fact(facts.HomeVisit, id), f)
			})
			if err == nil {
				t.Error("it was taken")
			}
		})
	}
	if diff := cmp.Diff(map[net]int64{}, c.nets(t, id)); diff != "" {
		t.Errorf("nets (-want +got):\n%s", diff)
	}
}

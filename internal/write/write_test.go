package write_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/emptypb"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
	"circle15.dev/internal/write"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

var (
	insertStation = tenantdb.SQL(`INSERT INTO {tenant}.stations (id, division_code, display_name, opened_date, created_by)
		VALUES ($1, $2, 'x', '2021-05-01', 'wu')`)
	countStations = tenantdb.SQL(`SELECT count(*) FROM {tenant}.stations`)
	listEvents    = tenantdb.SQL(`SELECT subject, method, resource_id, outcome, trace_id FROM {tenant}.audit_events
		WHERE subject NOT LIKE 'circle15:%' ORDER BY id`)  // without what provisioning recorded
	countKeys = tenantdb.SQL(`SELECT count(*) FROM {tenant}.idempotency_keys`)
	oldKeys   = tenantdb.SQL(`INSERT INTO {tenant}.idempotency_keys (subject, key, method, request_hash, response, created_at)
		SELECT 'wu', 'old-' || n, 'm', '', '', now() - $2::interval FROM generate_series(1, $1::int) n ON CONFLICT DO NOTHING`)
	ownBackend = tenantdb.SQL(`SELECT pg_backend_pid()`)
)

type event struct{ Subject, Method, ResourceID, Outcome, TraceID string }

// city is a provisioned tenant with a principal who writes.
type city struct {
	t   *testing.T
	db  *tenantdb.DB
	ctx context.Context
}

func newCity(t *testing.T) *city {
	t.Helper()
	name := testenv.NewTenant(t)
	platform := testenv.Provisioned(t)
	directory := tenantdb.NewDirectory(tenantdb.Placement{Tenant: name, Cluster: "default", State: tenantdb.StateActive})
	db, err := tenantdb.Open(t.Context(), tenantdb.Config{Clusters: map[string]string{"default": platform.AppURL}}, directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return &city{t, db, authn.With(tenant.With(t.Context(), name), authn.Principal{Subject: "wu"})}
}

// as is the city's context for another subject.
func (c *city) as(subject string) context.Context {
	return authn.With(c.ctx, authn.Principal{Subject: subject})
}

func withKey(ctx context.Context, keys ...string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.MD{"idempotency-key": keys})
}

var divisionCode atomic.Int64

// openStation writes a row and replies with a case whose id is the row's.
func openStation(runs *int) func(ctx context.Context, tx *tenantdb.Tx) (*casesv1.Case, error) {
	return func(ctx context.Context, tx *tenantdb.Tx) (*casesv1.Case, error) {
		if runs != nil {
			*runs++
		}
		id := uuid.New()
		if _, err := tx.Exec(ctx, insertStation, id, fmt.Sprintf("%09d", divisionCode.Add(1))); err != nil {
			return nil, err
		}
		return &casesv1.Case{Id: id.String(), Title: "new"}, nil
	}
}

func (c *city) count(s *tenantdb.Stmt) int64 {
	c.t.Helper()
	n, err := tenantdb.One(c.ctx, c.db, pgx.RowTo[int64], s)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

func (c *city) wantStations(want int64) {
	c.t.Helper()
	if got := c.count(countStations); got != want {
		c.t.Errorf("%d rows, want %d", got, want)
	}
}

func (c *city) events() []event {
	c.t.Helper()
	events, err := tenantdb.All(c.ctx, c.db, pgx.RowToStructByPos[event], listEvents)
	if err != nil {
		c.t.Fatal(err)
	}
	return events
}

func wantField(t *testing.T, err error, kind apierr.Kind, field string) {
	t.Helper()
	var own *apierr.Error
	if !errors.As(err, &own) || own.Kind != kind {
		t.Fatalf("error %v, want %s", err, kind)
	}
	if field != "" && (len(own.Fields) != 1 || own.Fields[0].Name != field) {
		t.Errorf("fields %v, want %s", own.Fields, field)
	}
}

var request = &casesv1.OpenCaseRequest{Case: &casesv1.Case{Title: "a request"}}

func TestTheSameRequestWithTheSameKeyIsDoneOnce(t *testing.T) {
	c := newCity(t)
	runs := 0
	stream := &serverStream{}
	ctx := grpc.NewContextWithServerTransportStream(withKey(c.ctx, "key-1"), stream)
	first, err := write.Do(ctx, c.db, request, openStation(&runs))
	if err != nil {
		t.Fatal(err)
	}
	if stream.header != nil {
		t.Errorf("the first reply has the header %v", stream.header)
	}
	for range 2 {
		again, err := write.Do(ctx, c.db, proto.CloneOf(request), openStation(&runs))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
	}
	if got := stream.header.Get(write.ReplayedHeader); len(got) == 0 || got[0] != "true" {
		t.Errorf("a replayed reply has the header %v", stream.header)
	}
	if runs != 1 {
		t.Errorf("it ran %d times", runs)
	}
	c.wantStations(1)
	if events := c.events(); len(events) != 1 {
		t.Errorf("events %v, want one: a replay changes nothing", events)
	}
}

func TestTheKeyMayComeInTheRequest(t *testing.T) {
	c := newCity(t)
	runs := 0
	inBody := proto.CloneOf(request)
	inBody.RequestId = "key-1"
	for _, call := range []struct {
		ctx context.Context
		req proto.Message
	}{{c.ctx, inBody}, {c.ctx, inBody}, {withKey(c.ctx, "key-1"), request}, {withKey(c.ctx, "key-1"), inBody}} {
		if _, err := write.Do(call.ctx, c.db, call.req, openStation(&runs)); err != nil {
			t.Fatal(err)
		}
	}
	if runs != 1 {
		t.Errorf("it ran %d times", runs)
	}
	_, err := write.Do(withKey(c.ctx, "key-2"), c.db, inBody, openStation(&runs))
	wantField(t, err, apierr.Invalid, "Idempotency-Key")
}

func TestAKeyIsNotUsedForAnotherRequest(t *testing.T) {
	c := newCity(t)
	if _, err := write.Do(withKey(c.ctx, "key-1"), c.db, request, openStation(nil)); err != nil {
		t.Fatal(err)
	}
	other := &casesv1.OpenCaseRequest{Case: &casesv1.Case{Title: "another request"}}
	_, err := write.Do(withKey(c.ctx, "key-1"), c.db, other, openStation(nil))
	wantField(t, err, apierr.Invalid, "Idempotency-Key")
	_, err = write.Do(withKey(c.ctx, "key-1"), c.db, &casesv1.VoidCaseRequest{}, openStation(nil))
	wantField(t, err, apierr.Invalid, "Idempotency-Key")
	other.RequestId = "key-1"
	_, err = write.Do(c.ctx, c.db, other, openStation(nil))
	wantField(t, err, apierr.Invalid, "requestId")
	c.wantStations(1)
}

func TestAKeyBelongsToItsSubject(t *testing.T) {
	c := newCity(t)
	for _, subject := range []string{"wu", "li"} {
		if _, err := write.Do(withKey(c.as(subject), "key-1"), c.db, request, openStation(nil)); err != nil {
			t.Fatal(err)
		}
	}
	c.wantStations(2)
}

// A worker who has left a station must not read its records out of old replies.
func TestAReplyIsNotReplayedToWhoMayReachOtherRecordsNow(t *testing.T) {
	c := newCity(t)
	scoped := func(stations ...uuid.UUID) context.Context {
		return authz.WithScope(withKey(c.ctx, "key-1"), authz.Scope{Level: authz.LevelStation, Stations: stations})
	}
	east, west := ids.New(), ids.New()
	for _, ctx := range []context.Context{scoped(east, west), scoped(west, east)} {
		if _, err := write.Do(ctx, c.db, request, openStation(nil)); err != nil {
			t.Fatal(err)
		}
	}
	for _, ctx := range []context.Context{scoped(east), scoped(), withKey(c.ctx, "key-1")} {
		_, err := write.Do(ctx, c.db, request, openStation(nil))
		wantField(t, err, apierr.Invalid, "Idempotency-Key")
	}
	c.wantStations(1)
}

func TestAKeyIsFreeAgainAfterADay(t *testing.T) {
	c := newCity(t)
	c.insertOldKeys(t, 25*time.Hour, 1)
	c.insertOldKeys(t, 23*time.Hour, 2) // the first is there already
	for range 2 {                       // the second is a replay
		if _, err := write.Do(withKey(c.ctx, "old-1"), c.db, request, openStation(nil)); err != nil {
			t.Fatal(err)
		}
		c.wantStations(1)
	}
	_, err := write.Do(withKey(c.ctx, "old-2"), c.db, request, openStation(nil))
	wantField(t, err, apierr.Invalid, "Idempotency-Key")
}

func TestMalformedKeysAreRefused(t *testing.T) {
	c := newCity(t)
	for _, keys := range [][]string{{""}, {strings.Repeat("k", 129)}, {"ключ"}, {"a\tb"}, {"a\x00"}, {"a", "b"}} {
		_, err := write.Do(withKey(c.ctx, keys...), c.db, request, openStation(nil))
		wantField(t, err, apierr.Invalid, "Idempotency-Key")
	}
	tooLong := &casesv1.OpenCaseRequest{RequestId: strings.Repeat("k", 129)}
	_, err := write.Do(c.ctx, c.db, tooLong, openStation(nil))
	wantField(t, err, apierr.Invalid, "requestId")
	longest := strings.Repeat("~", 128)
	if _, err := write.Do(withKey(c.ctx, longest), c.db, request, openStation(nil)); err != nil {
		t.Error(err)
	}
	c.wantStations(1)
}

func TestWithoutAKeyARequestIsDoneEachTime(t *testing.T) {
	c := newCity(t)
	for range 2 {
		if _, err := write.Do(c.ctx, c.db, request, openStation(nil)); err != nil {
			t.Fatal(err)
		}
	}
	c.wantStations(2)
	if keys := c.count(countKeys); keys != 0 {
		t.Errorf("%d keys are stored", keys)
	}
}

func TestWithoutAPrincipalOrATenantNothingIsWritten(t *testing.T) {
	c := newCity(t)
	name, err := tenant.From(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = write.Do(tenant.With(t.Context(), name), c.db, request, openStation(nil))
	wantField(t, err, apierr.Unauthenticated, "")
	_, err = write.Do(authn.With(t.Context(), authn.Principal{Subject: "wu"}), c.db, request, openStation(nil))
	wantField(t, err, apierr.Denied, "")
}

func TestARequestWhoseTwinIsRunningIsToldSoAtOnce(t *testing.T) {
	c := newCity(t)
	stream := &serverStream{}
	ctx := grpc.NewContextWithServerTransportStream(withKey(c.ctx, "key-1"), stream)
	running, finish := make(chan struct{}), make(chan struct{})
	var first sync.WaitGroup
	first.Go(func() {
		_, err := write.Do(ctx, c.db, request, func(ctx context.Context, tx *tenantdb.Tx) (*casesv1.Case, error) {
			reply, err := openStation(nil)(ctx, tx)
			close(running)
			<-finish
			return reply, err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-running
	// It does not wait for the first, which ends after it.
	_, err := write.Do(ctx, c.db, request, openStation(nil))
	wantField(t, err, apierr.InFlight, "")
	if got := stream.header.Get(write.RetryAfterHeader); len(got) != 1 || got[0] != "1" {
		t.Errorf("the header %s is %q", write.RetryAfterHeader, got)
	}
	if _, err := write.Do(withKey(c.ctx, "key-2"), c.db, request, openStation(nil)); err != nil {
		t.Errorf("another key: %v", err)
	}
	close(finish)
	first.Wait()
	if _, err := write.Do(ctx, c.db, request, openStation(nil)); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
	c.wantStations(2)
	for _, e := range c.events() {
		if e.Outcome != "OK" {
			t.Errorf("what nobody has decided about is in the audit trail: %v", e)
		}
	}
}

// However many twins come at once, one writes; each of the others gets its reply or is told that it is running.
func TestConcurrentTwinsWriteOnce(t *testing.T) {
	c := newCity(t)
	for round := range 20 {
		ctx := withKey(c.ctx, fmt.Sprint("round-", round))
		var twins sync.WaitGroup
		var mu sync.Mutex
		ids := map[string]bool{}
		for range 8 {
			twins.Go(func() {
				reply, err := write.Do(ctx, c.db, request, openStation(nil))
				if err != nil {
					if apierr.KindOf(err) != apierr.InFlight {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids[reply.GetId()] = true
			})
		}
		twins.Wait()
		if len(ids) != 1 {
			t.Fatalf("round %d: replies %v, want one", round, ids)
		}
	}
	c.wantStations(20)
}

// The process or its connection dies between the write and its commit: nothing is there, and the same request with
// the same key does it.
func TestAConnectionLostBeforeTheCommitLeavesNoHalfWrite(t *testing.T) {
	c := newCity(t)
	ctx := withKey(c.ctx, "key-1")
	_, err := write.Do(ctx, c.db, request, func(ctx context.Context, tx *tenantdb.Tx) (*casesv1.Case, error) {
		reply, err := openStation(nil)(ctx, tx)
		if err != nil {
			return nil, err
		}
		pid, err := tenantdb.One(ctx, tx, pgx.RowTo[int32], ownBackend)
		if err != nil {
			return nil, err
		}
		kill(t, pid)
		return reply, nil
	})
	wantField(t, err, apierr.Unavailable, "")
	c.wantStations(0)
	if keys := c.count(countKeys); keys != 0 {
		t.Errorf("%d keys are stored", keys)
	}
	runs := 0
	if _, err := write.Do(ctx, c.db, request, openStation(&runs)); err != nil || runs != 1 {
		t.Errorf("again: %v, ran %d times", err, runs)
	}
	c.wantStations(1)
}

func kill(t *testing.T, pid int32) {
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, testenv.Provisioned(t).SuperuserURL)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = admin.Close(ctx) }()
	if _, err := admin.Exec(ctx, `SELECT pg_terminate_backend($1, 5000)`, pid); err != nil {
		t.Error(err)
	}
}

func TestAFailedWriteFreesItsKeyAndIsAudited(t *testing.T) {
	c := newCity(t)
	ctx := withKey(c.ctx, "key-1")
	refused := apierr.New(apierr.Conflict, "not in this state")
	_, err := write.Do(ctx, c.db, &casesv1.AdvanceCaseRequest{Id: "case-7"}, func(ctx context.Context, tx *tenantdb.Tx) (*casesv1.Case, error) {
		if _, err := openStation(nil)(ctx, tx); err != nil {
			return nil, err
		}
		return nil, refused
	})
	if !errors.Is(err, refused) {
		t.Fatalf("%v, want the function's error", err)
	}
	c.wantStations(0)
	if _, err := write.Do(ctx, c.db, request, openStation(nil)); err != nil {
		t.Errorf("the key was not freed: %v", err)
	}
	want := event{"wu", "circle15.cases.v1.AdvanceCaseRequest", "case-7", "CONFLICT", ""}
	if diff := cmp.Diff(want, c.events()[0]); diff != "" {
		t.Error(diff)
	}
}

func TestTheAuditSaysWhoDidWhatToWhich(t *testing.T) {
	c := newCity(t)
	traceID := trace.TraceID{15}
	ctx := trace.ContextWithSpanContext(c.as("li"), trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: trace.SpanID{1}}))
	ctx = grpc.NewContextWithServerTransportStream(ctx, &serverStream{})
	reply, err := write.Do(ctx, c.db, request, openStation(nil))
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(context.Context, *tenantdb.Tx) (*emptypb.Empty, error) { return &emptypb.Empty{}, nil }
	for _, req := range []proto.Message{
		&casesv1.VoidCaseRequest{Id: "in-the-request"},
		&casesv1.OpenCaseRequest{Case: &casesv1.Case{Id: "inside-the-request"}},
		&casesv1.OpenCaseRequest{},
	} {
		if _, err := write.Do(ctx, c.db, req, nothing); err != nil {
			t.Fatal(err)
		}
	}
	want := make([]event, 0, 4)
	for _, id := range []string{reply.GetId(), "in-the-request", "inside-the-request", ""} {
		want = append(want, event{"li", testMethod, id, "OK", traceID.String()})
	}
	if diff := cmp.Diff(want, c.events()); diff != "" {
		t.Error(diff)
	}
}

func TestAnEmptyReplyIsReplayedToo(t *testing.T) {
	c := newCity(t)
	runs := 0
	for range 2 {
		reply, err := write.Do(withKey(c.ctx, "key-1"), c.db, request, func(context.Context, *tenantdb.Tx) (*emptypb.Empty, error) {
			runs++
			return &emptypb.Empty{}, nil
		})
		if err != nil || reply == nil {
			t.Fatalf("%v, %v", reply, err)
		}
	}
	if runs != 1 {
		t.Errorf("it ran %d times", runs)
	}
}

// insertOldKeys stores keys old-1, old-2 … of that age, where they are not yet.
func (c *city) insertOldKeys(t *testing.T, age time.Duration, count int) {
	t.Helper()
	err := c.db.Write(c.ctx, func(ctx context.Context, tx *tenantdb.Tx) error {
		_, err := tx.Exec(ctx, oldKeys, count, age)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheKeysOfTenantsThatHaveStoppedWritingAreSweptAway(t *testing.T) {
	c := newCity(t)
	c.insertOldKeys(t, 25*time.Hour, 3)
	name, err := tenant.From(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var sweeping sync.WaitGroup
	sweeping.Go(func() {
		write.Sweep(ctx, c.db, func() []tenant.Name { return []tenant.Name{"unknown", name} }, time.Millisecond)
	})
	testenv.Await(t, "the keys are gone", func() bool { return c.count(countKeys) == 0 })
	cancel()
	sweeping.Wait()
}

func TestOldKeysAreRemoved(t *testing.T) {
	c := newCity(t)
	c.insertOldKeys(t, 3*time.Hour, 1200)
	if removed, err := write.Purge(c.ctx, c.db, 4*time.Hour); err != nil || removed != 0 {
		t.Errorf("%d keys removed, %v; want none", removed, err)
	}
	if removed, err := write.Purge(c.ctx, c.db, 2*time.Hour); err != nil || removed != 1200 {
		t.Errorf("%d keys removed, %v; want 1,200", removed, err)
	}
	c.insertOldKeys(t, 25*time.Hour, 1)
	for n := 0; ; n++ {
		if n == 2000 {
			t.Fatal("writes do not remove old keys")
		}
		req := &casesv1.OpenCaseRequest{Case: &casesv1.Case{Title: fmt.Sprint(n)}}
		if _, err := write.Do(withKey(c.ctx, fmt.Sprint("new-", n)), c.db, req, openStation(nil)); err != nil {
			t.Fatal(err)
		}
		if c.count(countKeys) == int64(n+1) {
			break
		}
	}
}

// serverStream is the gRPC server of a call, which collects the headers.
type serverStream struct{ header metadata.MD }

const testMethod = "/circle15.cases.v1.CaseService/OpenCase"

func (s *serverStream) Method() string { return testMethod }
func (s *serverStream) SetHeader(md metadata.MD) error {
	s.header = metadata.Join(s.header, md)
	return nil
}
func (s *serverStream) SendHeader(md metadata.MD) error { return s.SetHeader(md) }
func (s *serverStream) SetTrailer(metadata.MD) error    { return nil }

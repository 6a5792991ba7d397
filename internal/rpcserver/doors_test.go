package rpcserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/rpcserver"
	"circle15.dev/internal/tenant"
)

// outcome is how a call ended, at either door.
type outcome struct {
	kind   string
	fields []string
}

// atGRPC gets a station at the gRPC door.
func (s *running) atGRPC(id string, md ...string) (outcome, error) {
	s.t.Helper()
	ctx := metadata.AppendToOutgoingContext(context.Background(), md...)
	_, err := registryv1.NewRegistryServiceClient(s.conn()).GetStation(ctx, &registryv1.GetStationRequest{Id: id})
	return outcomeOf(err), err
}

func outcomeOf(err error) outcome {
	var o outcome
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			o.kind = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				o.fields = append(o.fields, v.GetField())
			}
		}
	}
	return o
}

// atREST gets a station at the REST door.
func (s *running) atREST(id string, h headers) outcome {
	s.t.Helper()
	got := s.send("GET", "/v1/stations/"+id, "", h)
	if got.status == http.StatusOK {
		return outcome{}
	}
	p := got.problem(s.t)
	o := outcome{kind: strings.ToUpper(strings.ReplaceAll(p.Type[strings.LastIndexByte(p.Type, '/')+1:], "-", "_"))}
	for _, e := range p.Errors {
		o.fields = append(o.fields, e.Field)
	}
	return o
}

func TestBothDoorsAnswerAlike(t *testing.T) {
	kinds := []apierr.Kind{
		apierr.Invalid, apierr.Denied, apierr.NotFound, apierr.AlreadyExists, apierr.Conflict, apierr.StaleETag, apierr.Suspended,
		apierr.RateLimited, apierr.Timeout, apierr.Unavailable, apierr.Internal,
	}
	var fails error
	service := echoing()
	service.getStation = func(context.Context, *registryv1.GetStationRequest) (*registryv1.Station, error) {
		return &registryv1.Station{}, fails
	}
	s := start(t, options(service))
	same := func(t *testing.T, id string, h headers, md ...string) outcome {
		t.Helper()
		rest := s.atREST(id, h)
		grpc, _ := s.atGRPC(id, md...)
		if diff := cmp.Diff(rest, grpc, cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("(-REST +gRPC)\n%s", diff)
		}
		return rest
	}
	good := []string{"authorization", "Bearer " + goodToken}
	for _, kind := range kinds {
		fails = fmt.Errorf("on the way: %w", apierr.New(kind, "public").With("a.b", "c").Cause(errors.New("private")))
		if got := same(t, someID, nil, good...); got.kind != string(kind) || len(got.fields) != 1 {
			t.Errorf("%s: %v", kind, got)
		}
	}
	fails = errors.New("private")
	if got := same(t, someID, nil, good...); got.kind != "INTERNAL" {
		t.Errorf("an error of another type: %v", got)
	}
	fails = nil
	same(t, someID, nil, good...)
	same(t, "1", nil, good...)
	same(t, someID, headers{"Authorization": ""})
	same(t, someID, headers{"Authorization": "Bearer bad"}, "authorization", "Bearer bad")
	same(t, someID, headers{"Circle15-Tenant": "sanya"}, slices.Concat(good, []string{"circle15-tenant", "sanya"})...)
	both := []string{"authorization", "Bearer " + bothToken}
	same(t, someID, headers{"Authorization": "Bearer " + bothToken}, both...)
	same(t, someID, headers{"Authorization": "Bearer " + bothToken, "Circle15-Tenant": "sanya"}, slices.Concat(both, []string{"circle15-tenant", "sanya"})...)
}

func TestAnAnswerThatSomethingIsAwaySaysWhenToTryAgain(t *testing.T) {
	service := echoing()
	var fails error
	service.getStation = func(context.Context, *registryv1.GetStationRequest) (*registryv1.Station, error) { return nil, fails }
	s := start(t, options(service))
	for kind, want := range map[apierr.Kind]string{apierr.Unavailable: "1", apierr.Timeout: "", apierr.Internal: "", apierr.Conflict: ""} {
		fails = apierr.New(kind, "public")
		if got := s.send("GET", stations+"/"+someID, "", nil); got.status != kind.HTTPStatus() || got.header.Get("Retry-After") != want {
			t.Errorf("%s: status %d, Retry-After %q, want %q", kind, got.status, got.header.Get("Retry-After"), want)
		}
	}
}

func TestWhatIsPrivateInAnErrorIsToldAtNoDoor(t *testing.T) {
	service := echoing()
	for name, fails := range map[string]error{
		"a cause":           apierr.New(apierr.NotFound, "public").Cause(errors.New("private")),
		"a wrapping":        fmt.Errorf("private: %w", apierr.New(apierr.NotFound, "public")),
		"a foreign error":   errors.New("private"),
		"a wrapped timeout": fmt.Errorf("private: %w", context.DeadlineExceeded),
	} {
		service.getStation = func(context.Context, *registryv1.GetStationRequest) (*registryv1.Station, error) { return nil, fails }
		s := start(t, options(service))
		if got := s.send("GET", stations+"/"+someID, "", nil); strings.Contains(string(got.body), "private") {
			t.Errorf("%s: REST tells %s", name, got.body)
		}
		if _, err := s.atGRPC(someID, "authorization", "Bearer "+goodToken); strings.Contains(err.Error(), "private") {
			t.Errorf("%s: gRPC tells %v", name, err)
		}
	}
}

func TestAPanicIsAnInternalErrorAndTheServerGoesOn(t *testing.T) {
	service := echoing()
	panics := true
	service.getStation = func(context.Context, *registryv1.GetStationRequest) (*registryv1.Station, error) {
		if panics {
			panic("private")
		}
		return &registryv1.Station{}, nil
	}
	s := start(t, options(service))
	got := s.send("GET", stations+"/"+someID, "", nil)
	if p := got.problem(t); got.status != 500 || strings.Contains(string(got.body), "private") || p.Type != "https://circle15.dev/problems/internal" {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if _, err := s.atGRPC(someID, "authorization", "Bearer "+goodToken); status.Code(err) != codes.Internal {
		t.Errorf("gRPC: %v", err)
	}
	panics = false
	if got := s.send("GET", stations+"/"+someID, "", nil); got.status != 200 {
		t.Errorf("afterwards: status %d", got.status)
	}
}

func TestAHandlerSeesWhoCallsInWhichTenantAndHowFar(t *testing.T) {
	service := echoing()
	type seen struct {
		Subject string
		Tenant  tenant.Name
		Scope   authz.Scope
		Rule    string
	}
	var got seen
	service.getStation = func(ctx context.Context, _ *registryv1.GetStationRequest) (*registryv1.Station, error) {
		p, _ := authn.From(ctx)
		name, _ := tenant.From(ctx)
		got.Subject, got.Tenant, got.Scope = p.Subject, name, authz.ScopeFrom(ctx)
		return &registryv1.Station{}, nil
	}
	o := options(service)
	o.Authorize = func(_ context.Context, p authn.Principal, name tenant.Name, resource, action string) (authz.Scope, error) {
		got.Rule = fmt.Sprintf("%s %s %s:%s", p.Subject, name, resource, action)
		return authz.Scope{Level: authz.LevelOwn, Subject: p.Subject}, nil
	}
	s := start(t, o)
	want := seen{"worker-1", "sanya", authz.Scope{Level: authz.LevelOwn, Subject: "worker-1"}, "worker-1 sanya stations:get"}
	for door, call := range map[string]func() outcome{
		"REST": func() outcome {
			return s.atREST(someID, headers{"Authorization": "Bearer " + bothToken, "Circle15-Tenant": "sanya"})
		},
		"gRPC": func() outcome {
			o, _ := s.atGRPC(someID, "authorization", "Bearer "+bothToken, "circle15-tenant", "sanya")
			return o
		},
	} {
		got = seen{}
		if o := call(); o.kind != "" {
			t.Fatalf("%s: %v", door, o)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", door, diff)
		}
	}
}

func TestOnlyTheHeadersOfTheContractBecomeMetadata(t *testing.T) {
	service := echoing()
	var got metadata.MD
	service.updateStation = func(ctx context.Context, r *registryv1.UpdateStationRequest) (*registryv1.Station, error) {
		got, _ = metadata.FromIncomingContext(ctx)
		return r.GetStation(), nil
	}
	s := start(t, options(service))
	s.send("PATCH", stations+"/"+someID, `{"phone":"1"}`, headers{
		"If-Match": `"7"`, "Idempotency-Key": "k1", "Circle15-Tenant": "haikou", "Grpc-Metadata-Circle15-Tenant": "sanya", "X-Forwarded-For": "1.2.3.4",
		"Grpc-Metadata-Authorization": "Bearer other", "Cookie": "a=b", "Grpc-Timeout": "1n", "X-Other": "1",
	})
	want := metadata.MD{
		"authorization": {"Bearer good"}, "if-match": {`"7"`}, "idempotency-key": {"k1"}, "circle15-tenant": {"haikou"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAPatchNamesTheFieldsOfItsBody(t *testing.T) {
	service := echoing()
	var got *registryv1.UpdateStationRequest
	service.updateStation = func(_ context.Context, r *registryv1.UpdateStationRequest) (*registryv1.Station, error) {
		got = r
		return r.GetStation(), nil
	}
	s := start(t, options(service))
	if a := s.send("PATCH", stations+"/"+someID, `{"phone":"1","displayName":""}`, nil); a.status != 200 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if diff := cmp.Diff([]string{"display_name", "phone"}, got.GetUpdateMask().GetPaths()); diff != "" || got.GetStation().GetId() != someID {
		t.Errorf("id %s, mask (-want +got)\n%s", got.GetStation().GetId(), diff)
	}
	for query, want := range map[string][]string{
		"updateMask=phone":              {"phone"},
		"updateMask=phone,displayName":  {"phone", "display_name"},
		"update_mask=phone,displayName": {"phone", "display_name"},
		"updateMask=display_name":       {"display_name"},
	} {
		if a := s.send("PATCH", stations+"/"+someID+"?"+query, `{"phone":"1","displayName":""}`, nil); a.status != 200 {
			t.Fatalf("%s: status %d: %s", query, a.status, a.body)
		}
		if diff := cmp.Diff(want, got.GetUpdateMask().GetPaths()); diff != "" {
			t.Errorf("%s: mask (-want +got)\n%s", query, diff)
		}
	}
}

func TestAnAnswerHasItsTagAndHeaders(t *testing.T) {
	service := echoing()
	service.meetNeed = func(ctx context.Context, r *registryv1.MeetNeedRequest) (*registryv1.Need, error) {
		if err := etag.Match(ctx, "etag", r.GetEtag(), 7); err != nil {
			return nil, err
		}
		return &registryv1.Need{Etag: etag.Of(8)}, grpc.SetHeader(ctx, metadata.Pairs("idempotent-replayed", "true", "x-internal", "1"))
	}
	s := start(t, options(service))
	const body = `{"metDate":"2021-05-12","outcome":"已解决"}`
	got := s.send("POST", "/v1/needs/"+someID+":meet", body, headers{"If-Match": `"7"`})
	if got.status != 200 || got.header.Get("ETag") != `"8"` || got.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("status %d, headers %v", got.status, got.header)
	}
	for name := range got.header {
		switch name {
		case "Etag", "Idempotent-Replayed", "Content-Type", "Content-Length", "Date", "Cache-Control", "X-Content-Type-Options":
		default:
			t.Errorf("header %s: %v", name, got.header[name])
		}
	}
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", got.header)
	}
	if got := s.send("POST", "/v1/needs/"+someID+":meet", body, headers{"If-Match": `"6"`}); got.status != http.StatusPreconditionFailed {
		t.Errorf("a stale tag: status %d", got.status)
	}
}

func TestAConditionalGetOfTheSameRevisionIsNotSentAgain(t *testing.T) {
	s := start(t, options(echoing()))
	for condition, want := range map[string]int{`"7"`: 304, `W/"7"`: 304, `"6", "7"`: 304, `*`: 304, `"6"`: 200, `7`: 200} {
		got := s.send("GET", stations+"/"+someID, "", headers{"If-None-Match": condition})
		if got.status != want || got.header.Get("ETag") != `"7"` || want == 304 && len(got.body) > 0 {
			t.Errorf("If-None-Match %s: status %d, want %d; headers %v, body %q", condition, got.status, want, got.header, got.body)
		}
	}
}

func TestHeadIsGetWithoutItsBody(t *testing.T) {
	s := start(t, options(echoing()))
	get, head := s.send("GET", stations+"/"+someID, "", nil), s.send("HEAD", stations+"/"+someID, "", nil)
	if head.status != 200 || len(head.body) > 0 || head.header.Get("Content-Length") != get.header.Get("Content-Length") {
		t.Errorf("status %d, body %q, headers %v", head.status, head.body, head.header)
	}
}

func TestAnAnswerShowsDefaultsAndNoInputOnlyField(t *testing.T) {
	service := echoing()
	service.getResident = func(context.Context, *registryv1.GetResidentRequest) (*registryv1.Resident, error) {
		return &registryv1.Resident{Id: someID, IdentityNumber: "460100194512030027"}, nil
	}
	s := start(t, options(service))
	body := string(s.send("GET", "/v1/residents/"+someID, "", nil).body)
	if strings.Contains(body, "identityNumber") || strings.Contains(body, "460100194512030027") {
		t.Errorf("the answer has an identity number: %s", body)
	}
	for _, want := range []string{`"registered":false`, `"disabilityDegree":0`, `"categories":[]`, `"name":""`, `"sex":"SEX_UNSPECIFIED"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the answer has no %s: %s", want, body)
		}
	}
}

func TestARequestThatTakesTooLongEnds(t *testing.T) {
	service := echoing()
	service.getStation = func(ctx context.Context, _ *registryv1.GetStationRequest) (*registryv1.Station, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	o := options(service)
	o.Limits.Time = 20 * time.Millisecond
	s := start(t, o)
	if got := s.atREST(someID, nil); got.kind != "DEADLINE_EXCEEDED" {
		t.Errorf("REST: %v", got)
	}
	if got, _ := s.atGRPC(someID, "authorization", "Bearer "+goodToken); got.kind != "DEADLINE_EXCEEDED" {
		t.Errorf("gRPC: %v", got)
	}
}

func TestAHandlerLearnsThatItsCallerWentAway(t *testing.T) {
	service := echoing()
	arrived, gone := make(chan struct{}), make(chan error, 1)
	service.getStation = func(ctx context.Context, _ *registryv1.GetStationRequest) (*registryv1.Station, error) {
		close(arrived)
		<-ctx.Done()
		gone <- ctx.Err()
		return nil, ctx.Err()
	}
	s := start(t, options(service))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.HTTPAddr()+stations+"/"+someID, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+goodToken)
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := http.DefaultClient.Do(r); !errors.Is(err, context.Canceled) { //nolint:bodyclose // there is no answer
		t.Errorf("got %v", err)
	}
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler saw %v", err)
	}
}

func TestAFloodIsHeldToTheTenantsQuota(t *testing.T) {
	o := options(echoing())
	o.Quota = func(n tenant.Name) int {
		if n == "haikou" {
			return 1
		}
		return 0
	}
	s := start(t, o)
	const flood = 30
	passed, began := 0, time.Now()
	for range flood {
		got := s.send("GET", stations+"/"+someID, "", nil)
		if got.status != http.StatusTooManyRequests {
			passed++
			continue
		}
		if got.header.Get("Retry-After") != "1" || got.problem(t).Type != "https://circle15.dev/problems/rate-limited" {
			t.Errorf("headers %v, body %s", got.header, got.body)
		}
	}
	// A burst of two is allowed; a slow machine earns one more each second.
	if earned := 2 + int(time.Since(began).Seconds()); passed < 2 || passed > earned {
		t.Errorf("%d of %d requests passed, want 2 to %d", passed, flood, earned)
	}
	other := headers{"Authorization": "Bearer " + bothToken, "Circle15-Tenant": "sanya"}
	if got := s.send("GET", stations+"/"+someID, "", other); got.status != 200 {
		t.Errorf("another tenant got %d", got.status)
	}
}

func TestTheGRPCDoorHasHealthAndReflection(t *testing.T) {
	s := start(t, options(echoing()))
	for _, service := range []string{"", "circle15.registry.v1.RegistryService"} {
		got, err := grpc_health_v1.NewHealthClient(s.conn()).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || got.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v, %v", service, got, err)
		}
	}
	stream, err := grpc_reflection_v1.NewServerReflectionClient(s.conn()).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := &grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "circle15.registry.v1.RegistryService"},
	}
	if err := stream.Send(ask); err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || len(got.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("reflection: %v, %v", got, err)
	}
}

func TestAMessageOverTheLimitIsRefusedAtTheGRPCDoor(t *testing.T) {
	s := start(t, options(echoing()))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+goodToken)
	_, err := registryv1.NewRegistryServiceClient(s.conn()).CreateStation(ctx, &registryv1.CreateStationRequest{
		Station: &registryv1.Station{DisplayName: strings.Repeat("x", 5<<20)},
	})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}

func TestATakenAddressIsAClearError(t *testing.T) {
	s := start(t, options(echoing()))
	o := options(echoing())
	o.HTTP = s.HTTPAddr()
	server, err := rpcserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	err = server.Listen(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the address is in use") || !strings.Contains(err.Error(), s.HTTPAddr()) {
		t.Errorf("got %v", err)
	}
}

package iam_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/issuer"
	"circle15.dev/internal/page"
	"circle15.dev/internal/rpcserver"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
	"circle15.dev/services/iam"
)

// scene is a tenant behind both doors, with everything between a token and a row as in use.
type scene struct {
	*testing.T
	tenant  tenant.Name
	station string
	client  iamv1.IamServiceClient
	rest    string // the REST door's URL
	issuer  *issuer.Issuer
	sql     *pgxpool.Pool
}

func setup(t *testing.T) *scene {
	t.Helper()
	s := &scene{T: t, tenant: testenv.NewTenant(t), station: ids.New().String()}
	platform := testenv.Provisioned(t)
	s.sql = ok(pgxpool.New(t.Context(), platform.SuperuserURL))(t)
	t.Cleanup(s.sql.Close)
	s.exec(`INSERT INTO {tenant}.stations (id, division_code, display_name, opened_date, created_by)
		VALUES ($1, '460107003', '滨江街道社工站', '2021-05-01', 'test')`, s.station)
	for subject, role := range map[string]string{"guard": "security_admin", "auditor": "auditor", "chief": "bureau_admin"} {
		s.exec(`INSERT INTO {tenant}.role_grants (id, subject, role, created_by) VALUES ($1, $2, $3, 'test')`, ids.New(), subject, role)
	}

	directory := ok(tenantdb.OpenDirectory(t.Context(), map[string]string{"default": platform.AppURL}))(t)
	t.Cleanup(directory.Close)
	clusters := map[string]string{provision.DefaultCluster: platform.AppURL}
	db := ok(tenantdb.Open(t.Context(), tenantdb.Config{Clusters: clusters}, directory))(t)
	t.Cleanup(db.Close)
	s.issuer = ok(issuer.Open(t.TempDir(), "http://127.0.0.1/issuer"))(t)
	s.serve(db)
	return s
}

func (s *scene) serve(db *tenantdb.DB) {
	s.Helper()
	verifier := ok(authn.NewVerifier(authn.Config{Issuers: []authn.Issuer{s.issuer.Trust()}}))(s.T)
	policies := ok(authz.NewPolicies(s.Context(), db))(s.T)
	server := ok(rpcserver.New(rpcserver.Options{
		Services:     []rpcserver.Service{iam.New(db, page.NewCodec([]byte("a key for tests only")), policies)},
		Authenticate: verifier.Verify, Authorize: policies.Authorize,
		HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0",
		Limits: rpcserver.DefaultLimits(), Drain: rpcserver.Drain{Timeout: 5 * time.Second},
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}))(s.T)
	if err := server.Listen(s.Context()); err != nil {
		s.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Run(ctx) }()
	s.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			s.Error(err)
		}
	})
	conn := ok(grpc.NewClient(server.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials())))(s.T)
	s.Cleanup(func() { _ = conn.Close() })
	s.client, s.rest = iamv1.NewIamServiceClient(conn), "http://"+server.HTTPAddr()
}

func (s *scene) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.sql.Exec(context.Background(), strings.ReplaceAll(sql, "{tenant}", s.tenant.Schema()), args...); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) token(subject string) string {
	s.Helper()
	return ok(s.issuer.Mint(issuer.Claims{
		Subject: subject, Name: "名 " + subject, Tenants: []tenant.Name{s.tenant}, Lifetime: time.Hour,
	}))(s.T)
}

// as is the context of a call by the subject.
func (s *scene) as(subject string) context.Context {
	s.Helper()
	return metadata.AppendToOutgoingContext(s.Context(), "authorization", "Bearer "+s.token(subject))
}

// grant gives the subject a role by the hand of the security administrator.
func (s *scene) grant(subject, role, station string) *iamv1.RoleGrant {
	s.Helper()
	return ok(s.client.CreateRoleGrant(s.as("guard"), &iamv1.CreateRoleGrantRequest{
		RoleGrant: &iamv1.RoleGrant{Subject: subject, Role: role, StationId: station},
	}))(s.T)
}

// permissions are the caller's, as "resource:action level".
func (s *scene) permissions(subject string) map[string]bool {
	s.Helper()
	me := ok(s.client.WhoAmI(s.as(subject), &iamv1.WhoAmIRequest{}))(s.T)
	held := map[string]bool{}
	for _, p := range me.GetPermissions() {
		held[p.GetResource()+":"+p.GetAction()+" "+strings.ToLower(strings.TrimPrefix(p.GetLevel().String(), "LEVEL_"))] = true
	}
	return held
}

// await waits until the subject does or does not hold the permission.
func (s *scene) await(subject, permission string, held bool) {
	s.Helper()
	testenv.Await(s, fmt.Sprintf("%s holds %s: %v", subject, permission, held), func() bool { return s.permissions(subject)[permission] == held })
}

// call makes a REST call and reads the answer into out.
func (s *scene) call(method, path, subject, body string, out any) int {
	s.Helper()
	req := ok(http.NewRequestWithContext(s.Context(), method, s.rest+path, strings.NewReader(body)))(s.T)
	req.Header.Set("Authorization", "Bearer "+s.token(subject))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content := ok(io.ReadAll(resp.Body))(s.T)
	if out != nil {
		if err := json.Unmarshal(content, out); err != nil {
			s.Fatalf("%s %s: %s: %v", method, path, content, err)
		}
	}
	return resp.StatusCode
}

// refused checks that a call failed with the kind and, where field is not empty, because of the field.
func refused(t *testing.T, err error, kind apierr.Kind, field string) {
	t.Helper()
	var reason string
	var fields []string
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				fields = append(fields, v.GetField())
			}
		}
	}
	if reason != string(kind) {
		t.Fatalf("got %v, want %s", err, kind)
	}
	if field != "" && (len(fields) == 0 || fields[0] != field) {
		t.Fatalf("got %v about %v, want %s", err, fields, field)
	}
}

func ok[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

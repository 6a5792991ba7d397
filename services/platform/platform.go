// Package platform puts the services together in one process: configuration, databases, tokens, policies, services,
// doors. The commands "serve" and "demo" and the end-to-end tests run it.
package platform

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/config"
	"circle15.dev/internal/issuer"
	"circle15.dev/internal/page"
	"circle15.dev/internal/rpcserver"
	"circle15.dev/internal/telemetry"
	"circle15.dev/internal/tenant"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/version"
	"circle15.dev/internal/write"
)

// Options are what a Platform is made of.
type Options struct {
	Config   config.Config
	Services []string       // names of the services to run, as in Names; none means all
	Issuer   *issuer.Issuer // the built-in issuer, to serve and trust beside the configured ones; nil for none
	// Replica is a name that no other process has. Under it this one tells the database clusters which versions of the
	// tenants' policies it decides by, for the operator to read; empty: it does not.
	Replica string
	Hurry   <-chan struct{} // closed when the process is told again to stop: the drain's present wait ends; nil for never
	Logger  *slog.Logger
}

// Platform is the services of one process. Its addresses are bound; Run serves.
type Platform struct {
	server    *rpcserver.Server
	db        *tenantdb.DB
	directory *tenantdb.Directory
	policies  *authz.Policies
	telemetry *telemetry.Telemetry
	logger    *slog.Logger
	sweeping  sync.WaitGroup
	stop      context.CancelFunc // of what follows the policies, and of the sweeping
}

// sweepPeriod is how often the old idempotency keys of a tenant are looked for.
const sweepPeriod = 12 * time.Hour

// New opens the databases, builds the services and binds the addresses. The error is a sentence for who started the
// process. A Platform that is not run must be closed.
func New(ctx context.Context, o Options) (_ *Platform, err error) {
	p := &Platform{logger: o.Logger}
	// Background work outlives the start, whatever limit ctx sets to that.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	chosen, err := choose(o.Services)
	if err != nil {
		return nil, err
	}
	verifier, err := newVerifier(o)
	if err != nil {
		return nil, err
	}
	if p.telemetry, err = telemetry.Setup(ctx, version.Version, o.Logger); err != nil {
		return nil, err
	}
	if err := p.openDatabases(ctx, o.Config); err != nil {
		return nil, err
	}
	if p.policies, err = authz.NewPolicies(background, p.db, authz.AcknowledgeAs(o.Replica)); err != nil {
		return nil, err
	}
	parts := parts{db: p.db, pages: page.NewCodec(pageKey(o)), policies: p.policies}
	options, err := p.serverOptions(o, parts.build(chosen), verifier)
	if err != nil {
		return nil, err
	}
	if p.server, err = rpcserver.New(options); err != nil {
		return nil, err
	}
	p.sweeping.Go(func() { write.Sweep(background, p.db, p.served, sweepPeriod) })
	return p, p.server.Listen(ctx)
}

// served are the tenants that are served now.
func (p *Platform) served() []tenant.Name {
	var names []tenant.Name
	for _, placement := range p.directory.All() {
		if placement.State == tenantdb.StateActive {
			names = append(names, placement.Tenant)
		}
	}
	return names
}

func newVerifier(o Options) (*authn.Verifier, error) {
	var trusted []authn.Issuer
	for _, i := range o.Config.Issuers {
		trusted = append(trusted, authn.Issuer{
			URL: i.URL, PlainHTTP: i.PlainHTTP, Audiences: []string{i.Audience}, TenantClaim: i.TenantClaim,
			Tenants: i.Tenants, SubjectPrefix: i.SubjectPrefix,
		})
	}
	if o.Issuer != nil {
		trusted = append(trusted, o.Issuer.Trust())
	}
	if len(trusted) == 0 {
		return nil, errors.New("no token issuer is configured: nobody could call; set issuers (CIRCLE15_ISSUERS)")
	}
	return authn.NewVerifier(authn.Config{Issuers: trusted})
}

// pageKey is the key of page tokens. A random one lives as long as the process.
func pageKey(o Options) []byte {
	if key := o.Config.PageToken.Key; key != "" {
		return []byte(key.Reveal())
	}
	o.Logger.Warn("no pageToken.key is set: page tokens hold on this replica and until it stops")
	return []byte(rand.Text() + rand.Text())
}

func (p *Platform) openDatabases(ctx context.Context, c config.Config) error {
	clusters := c.ClusterURLs()
	if len(clusters) == 0 {
		return errors.New("no database is set: set CIRCLE15_DATABASE_URL (or database.urlFile) to its URL as the login circle15_app")
	}
	var err error
	if p.directory, err = tenantdb.OpenDirectory(ctx, clusters); err != nil {
		return explain(err)
	}
	p.db, err = tenantdb.Open(ctx, tenantdb.Config{Clusters: clusters, MaxConns: c.Database.MaxConns}, p.directory)
	return err
}

func (p *Platform) serverOptions(o Options, services []rpcserver.Service, v *authn.Verifier) (_ rpcserver.Options, err error) {
	c := o.Config
	options := rpcserver.Options{
		Services:     services,
		Authenticate: v.Verify,
		Authorize:    p.policies.Authorize,
		HTTP:         c.HTTP,
		GRPC:         c.GRPC,
		Admin:        c.Admin,
		Checks:       []rpcserver.Check{{Name: "database", Test: p.db.Ping}, {Name: "schemas", Test: newUpgrade(p.directory).done}},
		Limits:       c.ServerLimits(),
		Drain:        rpcserver.Drain{Delay: c.Drain.Delay, Timeout: c.Drain.Timeout, Hurry: o.Hurry},
		Logger:       o.Logger,
		Registerer:   p.telemetry.Registry,
		Tracing:      p.telemetry.Tracing,
	}
	if c.Admin != "" {
		options.AdminHandler = p.telemetry.AdminHandler()
	}
	options.Quota = p.quota(c.Limits.RequestsPerSecond)
	if o.Issuer != nil {
		options.Pages, err = o.Issuer.Pages()
	}
	return options, err
}

// quota is the tenant's own quota or, where it has none, the configured one.
func (p *Platform) quota(configured int) rpcserver.Quota {
	return func(name tenant.Name) int {
		if placement, ok := p.directory.Lookup(name); ok && placement.RequestsPerSecond > 0 {
			return placement.RequestsPerSecond
		}
		return configured
	}
}

// Run serves until ctx ends, drains, and closes the Platform. An error is about what broke on the way.
func (p *Platform) Run(ctx context.Context) error {
	defer p.Close() // ctx has ended by then
	p.logger.Info("serving", "http", p.HTTPAddr(), "grpc", p.GRPCAddr(), "admin", p.AdminAddr(), "version", version.Version)
	if err := p.server.Run(ctx); err != nil {
		return err
	}
	p.logger.Info("stopped")
	return nil
}

// HTTPAddr is the bound address of the REST door.
func (p *Platform) HTTPAddr() string { return p.server.HTTPAddr() }

// GRPCAddr is the bound address of the gRPC door.
func (p *Platform) GRPCAddr() string { return p.server.GRPCAddr() }

// AdminAddr is the bound address of metrics and profiles, empty for none.
func (p *Platform) AdminAddr() string { return p.server.AdminAddr() }

// Refresh reads the tenants' directory now, for who has just changed it and cannot wait a second.
func (p *Platform) Refresh(ctx context.Context) error { return p.directory.Refresh(ctx) }

// Close gives up what New took; Run calls it.
func (p *Platform) Close() {
	p.stop()
	if p.server != nil {
		p.server.Close()
	}
	if p.policies != nil {
		p.policies.Wait()
	}
	p.sweeping.Wait()
	if p.db != nil {
		p.db.Close()
	}
	if p.directory != nil {
		p.directory.Close()
	}
	if p.telemetry != nil {
		if err := p.telemetry.Shutdown(context.Background()); err != nil {
			p.logger.Warn("telemetry", "error", fmt.Errorf("the last spans: %w", err))
		}
	}
}

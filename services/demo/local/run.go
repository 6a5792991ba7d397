package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"circle15.dev/internal/config"
	"circle15.dev/internal/issuer"
	"circle15.dev/internal/rpcserver"
	"circle15.dev/services/platform"
)

// Options are what the demo runs with.
type Options struct {
	Config  config.Config // addresses, limits and the data folder; its database is the demo's own
	Reset   bool          // remove the data folder first
	Program string        // how the person calls circle15, for what to try
	Out     io.Writer     // for the person who started it
	Logger  *slog.Logger
	Hurry   <-chan struct{} // closed when the person stops the demo again: requests in flight are cut off; nil for never
}

// Run starts the platform on its data folder, imports the demo data if they are not there, says where everything is, and
// serves until ctx ends. Its errors are sentences for a person.
func Run(ctx context.Context, o Options) error {
	began := time.Now()
	if o.Config.Database.URL != "" || len(o.Config.Clusters) > 0 {
		return errors.New("the demo has a database of its own: unset database.url and clusters (CIRCLE15_DATABASE_URL), " +
			"or use \"circle15 serve\"")
	}
	if o.Reset {
		if err := reset(ctx, o.Config); err != nil {
			return err
		}
	}
	folder, err := OpenFolder(o.Config.Data)
	if err != nil {
		return err
	}
	defer folder.Close()
	sayf(o.Out, "Starting PostgreSQL in %s ...", folder.Dir())
	database, err := StartDatabase(ctx, folder, o.Logger)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	defer database.Stop() // also when the context has ended
	s, err := serve(ctx, o, folder, database)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	err = s.work(ctx, began)
	return errors.Join(unlessStopped(ctx, err), s.stop())
}

// reset removes the data, unless the demo could not begin anew after that.
func reset(ctx context.Context, c config.Config) error {
	if err := rpcserver.CheckAddresses(ctx, c.HTTP, c.GRPC, c.Admin); err != nil {
		return err
	}
	return Reset(c.Data)
}

// unlessStopped drops the error of what was cut short because the person stopped the demo.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

func sayf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }

// service is the platform at work.
type service struct {
	platform *platform.Platform
	issuer   *issuer.Issuer
	database *Database
	folder   *Folder
	program  string
	out      io.Writer
	cancel   context.CancelFunc
	ended    chan error
}

// serve starts the platform. Its requests outlive ctx until stop, so that they are drained before PostgreSQL goes.
func serve(ctx context.Context, o Options, f *Folder, d *Database) (*service, error) {
	c := o.Config
	var err error
	if c.HTTP, err = withPort(ctx, c.HTTP); err != nil {
		return nil, err
	}
	signer, err := issuer.Open(f.dir, "http://"+reachable(c.HTTP)+issuer.Path)
	if err != nil {
		return nil, err
	}
	c.Database.URL = config.Secret(d.AppURL)
	c.PageToken.Key = config.Secret(f.mark.PageTokenKey)
	c.Drain.Delay = 0 // no balancer has to notice
	p, err := platform.New(ctx, platform.Options{Config: c, Issuer: signer, Hurry: o.Hurry, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &service{
		platform: p, issuer: signer, database: d, folder: f, program: cmp.Or(o.Program, "circle15"), out: o.Out,
		cancel: cancel, ended: make(chan error, 1),
	}
	go func() {
		s.ended <- p.Run(serving)
		close(s.ended)
	}()
	return s, nil
}

// stop drains the platform.
func (s *service) stop() error {
	s.cancel()
	return <-s.ended
}

// work brings the data, says where everything is, and waits until the person stops the demo or something breaks.
func (s *service) work(ctx context.Context, began time.Time) error {
	ctx, unwatch := s.watch(ctx)
	defer unwatch()
	err := s.bringData(ctx)
	if err == nil {
		err = s.announce(began)
	}
	if err == nil {
		<-ctx.Done()
	}
	return cmp.Or(context.Cause(ctx), err) // what broke says more than the request that noticed it
}

// watch is a context that ends with ctx, or with PostgreSQL or the platform, and then has a sentence for its cause.
func (s *service) watch(ctx context.Context) (watching context.Context, unwatch func()) {
	ctx, end := context.WithCancelCause(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-ctx.Done():
		case <-s.database.Done():
			end(fmt.Errorf("PostgreSQL ended unexpectedly; its log is %s", filepath.Join(s.folder.dir, postgresFolder, "postgres.log")))
		case err := <-s.ended:
			end(err)
		}
	})
	return ctx, func() {
		end(nil)
		watcher.Wait() // after it, how the platform ends is for stop to say
	}
}

func (s *service) base() string { return "http://" + reachable(s.platform.HTTPAddr()) }

// tokenLifetime lets a day's trials do with one token.
const tokenLifetime = 24 * time.Hour

func (s *service) token(p principal) (string, error) {
	return s.issuer.Mint(issuer.Claims{Subject: p.subject, Name: p.name, Tenants: p.tenants, Lifetime: tokenLifetime})
}

package tenantdb

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

const (
	// heartbeat is how often a listener asks a silent server whether it is there, and how long it waits for the answer.
	heartbeat = 400 * time.Millisecond
	// maxListenPause bounds the pause between attempts to listen again, and with it how old news may be.
	maxListenPause = 800 * time.Millisecond
	// gather is how long a listener collects more notifications after one, to handle a burst at once.
	gather = 5 * time.Millisecond
)

var channelPattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// listener keeps one connection listening on one channel, for as long as its context lasts.
type listener struct {
	name    string // of the server, for the log
	config  *pgconn.Config
	channel string

	// missed is called with a connection when notifications may have been missed: after each LISTEN, and in place of
	// notifications, at least once a second, where the server does not let one listen.
	missed func(ctx context.Context, pg *pgconn.PgConn) error
	// down is called after each failed attempt, at least once a second until one succeeds.
	down func()
	// notified is called with the payloads of one burst.
	notified func(ctx context.Context, pg *pgconn.PgConn, payloads []string) error

	payloads []string
}

// newListener takes a connection configuration of its own.
func newListener(name string, config *pgconn.Config, channel string) *listener {
	l := &listener{name: name, config: config.Copy(), channel: channel, down: func() {}}
	l.config.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: pg.Conn()} // a wait that is over ends at once
	}
	l.config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) {
		l.payloads = append(l.payloads, n.Payload)
	}
	return l
}

// run listens until ctx ends, connecting again whenever the connection is lost.
func (l *listener) run(ctx context.Context) {
	pause := 20 * time.Millisecond
	for {
		began := time.Now()
		err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > 10*time.Second {
			pause = 20 * time.Millisecond
		}
		if pause < maxListenPause {
			slog.Warn("tenantdb: the listener has lost its connection", "server", l.name, "channel", l.channel, "error", err)
		}
		l.down()
		timer := time.NewTimer(jitter(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		pause = min(2*pause, maxListenPause)
	}
}

// session listens on one connection until it fails.
func (l *listener) session(ctx context.Context) error {
	pg, err := connect(ctx, l.config)
	if err != nil {
		return err
	}
	defer closeQuietly(ctx, pg)
	l.payloads = nil
	if err := exec(ctx, pg, "listen "+l.channel); err != nil {
		if pg.IsClosed() {
			return err
		}
		slog.Warn("tenantdb: the server does not let one listen; asking it every second instead", "server", l.name, "error", err)
		return l.poll(ctx, pg)
	}
	if err := l.missed(ctx, pg); err != nil {
		return err
	}
	for {
		if err := l.receive(ctx, pg); err != nil {
			return err
		}
		if len(l.payloads) == 0 {
			continue
		}
		payloads := l.payloads
		l.payloads = nil
		if err := l.notified(ctx, pg, payloads); err != nil {
			return err
		}
	}
}

// receive waits for a burst of notifications, and makes sure that the server is there if none comes.
func (l *listener) receive(ctx context.Context, pg *pgconn.PgConn) error {
	err := receiveFor(ctx, pg, heartbeat)
	if err == nil {
		for end := time.Now().Add(gather); err == nil; {
			err = receiveFor(ctx, pg, time.Until(end))
		}
		return ignoreTimeout(ctx, pg, err)
	}
	if err := ignoreTimeout(ctx, pg, err); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	return pg.Exec(ctx, "").Close()
}

func receiveFor(ctx context.Context, pg *pgconn.PgConn, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := pg.ReceiveMessage(ctx)
	return err
}

func ignoreTimeout(ctx context.Context, pg *pgconn.PgConn, err error) error {
	if ctx.Err() == nil && pgconn.Timeout(err) && !pg.IsClosed() {
		return nil
	}
	return err
}

// poll stands in for LISTEN for half a minute.
func (l *listener) poll(ctx context.Context, pg *pgconn.PgConn) error {
	ticker := time.NewTicker(maxListenPause)
	defer ticker.Stop()
	for range 40 {
		if err := l.missed(ctx, pg); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// connect opens a connection within a limit, so that an attempt that hangs is not what makes news old.
func connect(ctx context.Context, config *pgconn.Config) (*pgconn.PgConn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return pgconn.ConnectConfig(ctx, config)
}

func closeQuietly(ctx context.Context, pg *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = pg.Close(ctx) // the socket is closed whatever it returns
}

func exec(ctx context.Context, pg *pgconn.PgConn, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return pg.Exec(ctx, sql).Close()
}

// Listen subscribes to a NOTIFY channel of every cluster until ctx ends or the DB is closed, and returns at once.
// onPayload gets each notification. onGap is called whenever some may have been missed, so that what they stand for
// must be read again: when listening begins and begins anew, and at least once a second while it is not possible. The
// functions are called by one goroutine per cluster. The error is about the channel's name.
func (db *DB) Listen(ctx context.Context, channel string, onPayload func(cluster, payload string), onGap func(cluster string)) error {
	if !channelPattern.MatchString(channel) {
		return fmt.Errorf("tenantdb: channel %q: want lower-case letters, digits and underscores", channel)
	}
	ctx, cancel := context.WithCancel(ctx)
	db.listeners.Go(func() {
		defer cancel()
		select {
		case <-db.stopped:
		case <-ctx.Done():
		}
	})
	for cluster, p := range db.pools {
		l := newListener(cluster, p.config, channel)
		l.missed = func(context.Context, *pgconn.PgConn) error {
			onGap(cluster)
			return nil
		}
		l.down = func() { onGap(cluster) }
		l.notified = func(_ context.Context, _ *pgconn.PgConn, payloads []string) error {
			for _, payload := range payloads {
				onPayload(cluster, payload)
			}
			return nil
		}
		db.listeners.Go(func() { l.run(ctx) })
	}
	return nil
}

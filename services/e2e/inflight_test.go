package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/testenv"
)

// A client that gave up too early, and sends the same again, is told that the first request is still running: by a type of
// its own, for the other conflicts stay, and with the time to wait.
func TestARequestWhoseTwinIsStillRunningIsToldApartFromOtherConflicts(t *testing.T) {
	w := newWorld(t)
	db, err := pgx.Connect(t.Context(), testenv.Provisioned(t).SuperuserURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(t.Context()) }()
	address, err := url.Parse(testenv.Provisioned(t).AppURL)
	if err != nil {
		t.Fatal(err)
	}
	settings := address.Query()
	settings.Set("lock_timeout", "60000") // ms; the first request is to wait as long as this test wants
	settings.Set("statement_timeout", "60000")
	address.RawQuery = settings.Encode()
	p := bootOn(t, address.String())
	team := wireTo(t, "registry.CreateVolunteerTeam", w.own.newTeam(), p.token(t, mighty, w.tenant))
	team.header.Set("Idempotency-Key", "once")

	// Another transaction holds the table, so that the first request waits in the middle of its work.
	hold, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hold.Exec(t.Context(), "LOCK TABLE "+w.tenant.Schema()+".volunteer_teams IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	first := make(chan answer, 1)
	go func() { first <- team.send(t, p.rest) }()
	testenv.Await(t, "the first request waits", func() bool {
		var waits bool
		err := hold.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").Scan(&waits)
		return err == nil && waits
	})
	again := team.send(t, p.rest)
	said, err := again.problem()
	if err != nil {
		t.Fatal(err)
	}
	if again.status != http.StatusConflict || !strings.HasSuffix(said.Type, "/request-in-flight") || again.header.Get("Retry-After") != "1" {
		t.Errorf("the same again is answered %d %v: %s", again.status, again.header, again.body)
	}
	if err := hold.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := <-first; a.status != http.StatusOK {
		t.Errorf("the first is answered %d: %s", a.status, a.body)
	}
	if last := team.send(t, p.rest); last.status != http.StatusOK || last.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("once the first has ended the same is answered %d %v: %s", last.status, last.header, last.body)
	}
}

package local

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestADatabaseKeepsItsTenantsAndStartsAgain(t *testing.T) {
	f := open(t, t.TempDir())
	for range 2 {
		began := time.Now()
		d, err := StartDatabase(t.Context(), f, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("ready after %s", time.Since(began))
		conn, err := pgx.Connect(t.Context(), d.OperatorURL)
		if err != nil {
			t.Fatal(err)
		}
		var city, parent string
		if err := conn.QueryRow(t.Context(), `SELECT name, parent FROM circle15.tenants WHERE level = 'city'`).Scan(&city, &parent); err != nil {
			t.Fatal(err)
		}
		if city != "haikou" || parent != "hainan" {
			t.Errorf("the city is %s below %s", city, parent)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
		d.Stop()
		<-d.Done()
	}
}

func TestCommitsWaitForTheDiskExceptDuringTheImport(t *testing.T) {
	f := open(t, t.TempDir())
	var d *Database
	commits := func() (value string) {
		conn, err := pgx.Connect(t.Context(), d.AppURL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(t.Context()) }()
		if err := conn.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&value); err != nil {
			t.Fatal(err)
		}
		return value
	}
	restart := func() {
		if d != nil {
			d.Stop()
		}
		var err error
		if d, err = StartDatabase(t.Context(), f, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Stop)
	}
	restart()
	if value := commits(); value != "on" {
		t.Errorf("at first: %s", value)
	}
	for _, cut := range []error{nil, errors.New("cut short")} {
		err := d.hastily(t.Context(), func() error {
			if value := commits(); value != "off" {
				t.Errorf("in the import: %s", value)
			}
			return cut
		})
		if !errors.Is(err, cut) {
			t.Errorf("got %v, want %v", err, cut)
		}
		if cut != nil {
			restart()
		}
		if value := commits(); value != "on" {
			t.Errorf("after an import that ended with %v: %s", cut, value)
		}
	}
}

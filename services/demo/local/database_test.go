package local

import (
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

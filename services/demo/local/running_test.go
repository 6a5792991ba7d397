package local

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"circle15.dev/operator/provision"
)

func TestAnotherProcessFindsTheRunningDatabase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := OperatorURL(dir); err == nil || !strings.Contains(err.Error(), "there is no demo") {
		t.Errorf("before the folder: %v", err)
	}
	folder, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if _, err := OperatorURL(dir); err == nil || !strings.Contains(err.Error(), "is not running") {
		t.Errorf("before the start: %v", err)
	}
	database, err := StartDatabase(t.Context(), folder, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer database.Stop()
	url, err := OperatorURL(dir)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var role string
	if err := conn.QueryRow(t.Context(), "SELECT current_user").Scan(&role); err != nil || role != provision.OperatorRole {
		t.Errorf("connected as %q, %v", role, err)
	}
	database.Stop()
	if _, err := OperatorURL(dir); err == nil || !strings.Contains(err.Error(), "is not running") {
		t.Errorf("after the end: %v", err)
	}
}

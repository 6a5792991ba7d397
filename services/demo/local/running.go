package local

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"circle15.dev/operator/provision"
)

// bootstrapDatabase is the database that provision.Bootstrap makes where its configuration names none.
const bootstrapDatabase = "circle15"

// OperatorURL is the operator's connection to the database of the demo that runs on the folder now, in another process.
func OperatorURL(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no demo in %s", dir)
	}
	if err != nil {
		return "", fmt.Errorf("the data folder cannot be read: %w", err)
	}
	m, err := parseMark(dir, text)
	if err != nil {
		return "", err
	}
	port, err := runningPort(dir)
	if err != nil {
		return "", err
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(provision.OperatorRole, m.OperatorPassword),
		Host: net.JoinHostPort("127.0.0.1", port), Path: "/" + bootstrapDatabase,
	}
	return u.String(), nil
}

// runningPort reads the port from PostgreSQL's own lock file, whose fourth line it is; the file goes with the server.
func runningPort(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, postgresFolder, "pgdata", "postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the demo in %s is not running: start it with \"circle15 demo\"", dir)
	}
	if err != nil {
		return "", fmt.Errorf("the data folder cannot be read: %w", err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 4 || lines[3] == "" {
		return "", fmt.Errorf("the demo in %s is not ready yet: try again in a moment", dir)
	}
	return lines[3], nil
}

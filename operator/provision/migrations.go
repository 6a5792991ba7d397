package provision

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

//go:embed migrations/control/*.sql migrations/tenant/*.sql
var embedded embed.FS

// migration is one step of a line: plain SQL with unqualified names.
type migration struct {
	version  int
	name     string
	checksum string
	sql      string
}

// line is an ordered sequence of migrations with versions 1, 2, 3 …
type line struct {
	name       string
	migrations []migration
}

func loadLine(files fs.FS, name string) (line, error) {
	l := line{name: name}
	dir := path.Join("migrations", name)
	entries, err := fs.ReadDir(files, dir) // sorted by file name
	if err != nil {
		return l, err
	}
	for i, entry := range entries {
		number, title, _ := strings.Cut(strings.TrimSuffix(entry.Name(), ".sql"), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 || len(number) != 4 {
			return l, fmt.Errorf("migration %s/%s: want the number %04d", dir, entry.Name(), i+1)
		}
		text, err := fs.ReadFile(files, path.Join(dir, entry.Name()))
		if err != nil {
			return l, err
		}
		sum := sha256.Sum256(text)
		l.migrations = append(l.migrations, migration{version, title, hex.EncodeToString(sum[:]), string(text)})
	}
	return l, nil
}

func (l line) latest() int { return len(l.migrations) }

// after are the migrations that a schema of the version still needs.
func (l line) after(version int) []migration { return l.migrations[min(version, len(l.migrations)):] }

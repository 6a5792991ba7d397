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

//go:embed migrations/control/*.sql migrations/tenant/*.sql migrations/baseline/*.sql
var embedded embed.FS

// migration brings a schema to a version: plain SQL with unqualified names.
type migration struct {
	version  int
	name     string
	checksum string
	sql      string
}

// line is an ordered sequence of migrations with versions 1, 2, 3 … Its baseline, where it has one, makes out of nothing
// what the migrations up to the baseline's version make.
type line struct {
	name       string
	migrations []migration
	baseline   migration
}

func loadLine(files fs.FS, name string) (line, error) {
	l := line{name: name}
	dir := path.Join("migrations", name)
	entries, err := fs.ReadDir(files, dir) // sorted by file name
	if err != nil {
		return l, err
	}
	for i, entry := range entries {
		m, err := loadMigration(files, path.Join(dir, entry.Name()))
		if err != nil {
			return l, err
		}
		if m.version != i+1 {
			return l, fmt.Errorf("migration %s/%s: want the number %04d", dir, entry.Name(), i+1)
		}
		l.migrations = append(l.migrations, m)
	}
	l.baseline, err = loadBaseline(files, name, l.latest())
	return l, err
}

// loadMigration reads NNNN_name.sql.
func loadMigration(files fs.FS, file string) (migration, error) {
	number, name, _ := strings.Cut(strings.TrimSuffix(path.Base(file), ".sql"), "_")
	version, err := strconv.Atoi(number)
	if err != nil || version < 1 || len(number) != 4 {
		return migration{}, fmt.Errorf("migration %s: want a number of four digits first", file)
	}
	text, err := fs.ReadFile(files, file)
	sum := sha256.Sum256(text)
	return migration{version, name, hex.EncodeToString(sum[:]), string(text)}, err
}

// loadBaseline reads the baseline of a line that ends with the version latest, if it has one.
func loadBaseline(files fs.FS, name string, latest int) (migration, error) {
	found, err := fs.Glob(files, path.Join("migrations", "baseline", "*_"+name+".sql"))
	if err != nil || len(found) == 0 {
		return migration{}, err
	}
	m, err := loadMigration(files, found[0])
	if err == nil && (len(found) > 1 || m.version > latest) {
		err = fmt.Errorf("baseline %v: want one, of a version that the migrations reach (%d)", found, latest)
	}
	return m, err
}

func (l line) latest() int { return len(l.migrations) }

// after are the migrations with versions above this one.
func (l line) after(version int) []migration { return l.migrations[min(version, len(l.migrations)):] }

// upgrade is what brings a schema of the version, 0 for an empty one, to the latest.
func (l line) upgrade(version int) []migration {
	if version == 0 && l.baseline.version > 0 {
		return append([]migration{l.baseline}, l.after(l.baseline.version)...)
	}
	return l.after(version)
}

package embeddedpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Supported major versions of PostgreSQL.
const (
	OldestMajor = 15
	NewestMajor = 18
)

// BinEnv names a folder of server programs to use before any other.
const BinEnv = "CIRCLE15_POSTGRES_BIN"

// Binaries are the server programs of one PostgreSQL.
type Binaries struct {
	Dir     string
	Version string // for example "15.18"
	Major   int
}

func (b Binaries) path(program string) string { return filepath.Join(b.Dir, program) }

func (b Binaries) supported() bool { return b.Major >= OldestMajor && b.Major <= NewestMajor }

// Find returns the PostgreSQL programs of the host, the newest supported version first. It looks into the folder named
// by CIRCLE15_POSTGRES_BIN, the PATH, pg_config, and where Debian, Red Hat, Homebrew and Postgres.app put them.
func Find(ctx context.Context) []Binaries {
	var found []Binaries
	seen := map[string]bool{}
	for _, dir := range candidateDirs(ctx) {
		if resolved, err := filepath.EvalSymlinks(dir); err == nil {
			dir = resolved
		}
		if seen[dir] {
			continue
		}
		seen[dir] = true
		if b, err := inspect(ctx, dir); err == nil && b.supported() {
			found = append(found, b)
		}
	}
	slices.SortStableFunc(found, func(a, b Binaries) int { return b.Major - a.Major })
	return found
}

// usualPlaces are patterns of the folders in which packages put the server programs.
var usualPlaces = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/libexec/postgresql*",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

func candidateDirs(ctx context.Context) []string {
	var dirs []string
	if dir := os.Getenv(BinEnv); dir != "" {
		return []string{dir}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			path = resolved
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range usualPlaces {
		matches, _ := filepath.Glob(pattern) // the patterns are well-formed, the only error there is
		dirs = append(dirs, matches...)
	}
	return dirs
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)(\.\d+)*)`)

// inspect asks the programs in dir for their version.
func inspect(ctx context.Context, dir string) (Binaries, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	b := Binaries{Dir: dir}
	if _, err := os.Stat(b.path("initdb")); err != nil {
		return b, err
	}
	out, err := exec.CommandContext(ctx, b.path("postgres"), "--version").Output()
	if err != nil {
		return b, fmt.Errorf("%s: %w", b.path("postgres"), err)
	}
	match := versionPattern.FindStringSubmatch(string(out))
	if match == nil {
		return b, fmt.Errorf("%s does not tell its version", b.path("postgres"))
	}
	b.Version = match[1]
	b.Major, err = strconv.Atoi(match[2])
	return b, err
}

// locate chooses the programs for data of the major version; 0 is new data, for which the newest will do. Where somebody
// has named a folder, its programs will do or none: other ones would not be what was asked for.
func locate(ctx context.Context, cfg Config, who account, major int) (Binaries, error) {
	if major != 0 && (major < OldestMajor || major > NewestMajor) {
		return Binaries{}, fmt.Errorf("the data folder %s was made by PostgreSQL %d; this program runs %d to %d",
			cfg.Dir, major, OldestMajor, NewestMajor)
	}
	if cfg.BinDir != "" {
		return locateIn(ctx, cfg, cfg.BinDir, who, major)
	}
	if dir := os.Getenv(BinEnv); dir != "" {
		b, err := locateIn(ctx, cfg, dir, who, major)
		if err != nil {
			return b, fmt.Errorf("the folder that %s names will not do: %w", BinEnv, err)
		}
		return b, nil
	}
	found := Find(ctx)
	for _, b := range found {
		if (major == 0 || b.Major == major) && who.reaches(b.Dir) {
			return b, nil
		}
	}
	b, err := fetch(ctx, cfg, major)
	if err != nil {
		return Binaries{}, notFound(cfg, found, major, err)
	}
	return b, nil
}

func locateIn(ctx context.Context, cfg Config, dir string, who account, major int) (Binaries, error) {
	b, err := inspect(ctx, dir)
	switch {
	case err != nil:
		return b, fmt.Errorf("no PostgreSQL in %s: %w", dir, err)
	case !b.supported():
		return b, fmt.Errorf("%s holds PostgreSQL %s; this program runs %d to %d", dir, b.Version, OldestMajor, NewestMajor)
	case major != 0 && b.Major != major:
		return b, fmt.Errorf("the data folder %s was made by PostgreSQL %d, and %s holds %s", cfg.Dir, major, dir, b.Version)
	case !who.reaches(b.Dir):
		return b, fmt.Errorf("account %s, which runs PostgreSQL for root, cannot enter %s", who.name, b.Dir)
	}
	return b, nil
}

func notFound(cfg Config, found []Binaries, major int, err error) error {
	if major != 0 && len(found) > 0 {
		return fmt.Errorf("the data folder %s was made by PostgreSQL %d, this computer has %s, and fetching %d failed (%w): "+
			"install PostgreSQL %d, or begin anew with an empty data folder", cfg.Dir, major, found[0].Version, major, err, major)
	}
	return fmt.Errorf("no PostgreSQL %d to %d was found on this computer and fetching one failed (%w): "+
		"install PostgreSQL, or set %s to the folder of its programs", OldestMajor, NewestMajor, err, BinEnv)
}

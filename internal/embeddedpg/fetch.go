package embeddedpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	library "github.com/fergusstrange/embedded-postgres"
)

const fetchLimit = 3 * time.Minute

// RepositoryEnv names a Maven repository to fetch PostgreSQL from, for a mirror.
const RepositoryEnv = "CIRCLE15_POSTGRES_REPOSITORY"

var fetchable = map[int]library.PostgresVersion{15: library.V15, 16: library.V16, 17: library.V17, 18: library.V18}

// fetch downloads the server programs once into the cache folder; major 0 fetches the newest.
func fetch(ctx context.Context, cfg Config, major int) (Binaries, error) {
	if major == 0 {
		major = NewestMajor
	}
	version := fetchable[major]
	cache, err := cacheDir(cfg)
	if err != nil {
		return Binaries{}, err
	}
	home := filepath.Join(cache, "postgresql-"+string(version))
	bin := filepath.Join(home, "bin")
	if b, err := inspect(ctx, bin); err == nil {
		return b, nil
	}
	cfg.Logger.InfoContext(ctx, "fetching PostgreSQL", "version", version, "folder", home)
	failure := make(chan error, 1)
	go func() { failure <- download(version, cache, home) }()
	select {
	case err = <-failure:
	case <-time.After(fetchLimit):
		return Binaries{}, fmt.Errorf("no answer within %s", fetchLimit)
	case <-ctx.Done():
		return Binaries{}, ctx.Err()
	}
	b, unusable := inspect(ctx, bin)
	if unusable != nil {
		return Binaries{}, cmp.Or(err, unusable)
	}
	return b, nil
}

// download lets the library fetch, check and unpack the programs into home. The library has no call that does only
// this; it goes on to start a server. It is therefore given scratch data that only look finished: it fetches, unpacks,
// and fails to start on them, so its error says something only when the programs are missing afterwards.
func download(version library.PostgresVersion, cache, home string) error {
	scratch, err := os.MkdirTemp("", "circle15-fetch-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	data := filepath.Join(scratch, "data")
	if err := errors.Join(os.Mkdir(data, 0o700), os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(version), 0o600)); err != nil {
		return err
	}
	port, err := freePort(context.Background()) // the library has no context either
	if err != nil {
		return err
	}
	config := library.DefaultConfig().Version(version).CachePath(cache).BinariesPath(home).
		RuntimePath(filepath.Join(scratch, "run")).DataPath(data).Port(uint32(port)).Logger(io.Discard)
	if repository := os.Getenv(RepositoryEnv); repository != "" {
		config = config.BinaryRepositoryURL(repository)
	}
	return library.NewDatabase(config).Start()
}

// cacheDir is a folder that the server's account can enter: root's own cache folder usually cannot be.
func cacheDir(cfg Config) (string, error) {
	dir := cfg.CacheDir
	if dir == "" && os.Geteuid() == 0 {
		dir = "/var/cache/circle15"
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			base = cfg.Dir
		}
		dir = filepath.Join(base, "circle15")
	}
	return dir, os.MkdirAll(dir, 0o755) //nolint:gosec // the server's account must enter it
}

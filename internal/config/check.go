package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"circle15.dev/internal/rpcserver"
)

// readSecrets reads the files that hold secrets.
func readSecrets(c *Config) error {
	errs := make([]error, 0, 2+len(c.Clusters))
	errs = append(errs,
		readSecret("database.url", &c.Database.URL, c.Database.URLFile),
		readSecret("pageToken.key", &c.PageToken.Key, c.PageToken.KeyFile))
	for name, cluster := range c.Clusters {
		errs = append(errs, readSecret("clusters."+name+".url", &cluster.URL, cluster.URLFile))
		c.Clusters[name] = cluster
	}
	return errors.Join(errs...)
}

func readSecret(key string, secret *Secret, file string) error {
	switch {
	case file == "":
		return nil
	case *secret != "":
		return fmt.Errorf("both %s and %sFile are set: set one", key, key)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("the setting %sFile: %w", key, err)
	}
	if *secret = Secret(strings.TrimSpace(string(data))); *secret == "" {
		return fmt.Errorf("the setting %sFile: the file %s is empty", key, file)
	}
	return nil
}

const (
	// DefaultCluster is the name of the database cluster at database.url.
	DefaultCluster = "default"
	// MinPageTokenKey is the least length of pageToken.key.
	MinPageTokenKey = 32
	maxPoolSize     = 64
	smallestLimit   = 1024 // bytes
)

// check says what is wrong with the settings by themselves; whether a database and an issuer are set is the matter of
// who needs them.
func check(c *Config) error {
	var errs []error
	wrong := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("the setting %q: %s", key, fmt.Sprintf(format, args...)))
	}
	for key, address := range map[string]string{"http": c.HTTP, "grpc": c.GRPC, "admin": c.Admin} {
		if err := checkAddress(address); err != nil && (address != "" || key != "admin") {
			wrong(key, "%v", err)
		}
	}
	if c.Data == "" {
		wrong("data", "want a folder")
	}
	if c.Database.URL != "" && c.Clusters[DefaultCluster].URL != "" {
		wrong("database.url", "is the cluster %q, which clusters has too: set one of them", DefaultCluster)
	}
	for name, cluster := range c.Clusters {
		if cluster.URL == "" {
			wrong("clusters."+name+".url", "is not set")
		}
	}
	if c.Database.MaxConns < 1 || c.Database.MaxConns > maxPoolSize {
		wrong("database.maxConns", "want 1 to %d, not %d", maxPoolSize, c.Database.MaxConns)
	}
	if n := len(c.PageToken.Key); n > 0 && n < MinPageTokenKey {
		wrong("pageToken.key", "want at least %d characters, not %d", MinPageTokenKey, n)
	}
	for key, n := range map[string]int{"limits.body": c.Limits.Body, "limits.header": c.Limits.Header, "limits.url": c.Limits.URL} {
		if n < smallestLimit || n > 1<<30 {
			wrong(key, "want %d to %d bytes, not %d", smallestLimit, 1<<30, n)
		}
	}
	if c.Limits.Depth < 1 || c.Limits.Depth > 1000 {
		wrong("limits.depth", "want 1 to 1000, not %d", c.Limits.Depth)
	}
	if c.Limits.Connections < 1 {
		wrong("limits.connections", "want 1 or more, not %d", c.Limits.Connections)
	}
	if c.Limits.RequestsPerSecond < 0 {
		wrong("limits.requestsPerSecond", "want 0 or more, not %d", c.Limits.RequestsPerSecond)
	}
	checkDurations(c, wrong)
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		wrong("log.level", "want debug, info, warn or error, not %q", c.Log.Level)
	}
	if !slices.Contains([]string{"json", "text"}, c.Log.Format) {
		wrong("log.format", "want json or text, not %q", c.Log.Format)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func checkDurations(c *Config, wrong func(key, format string, args ...any)) {
	for key, d := range map[string]time.Duration{
		"limits.time": c.Limits.Time, "limits.readHeader": c.Limits.ReadHeader, "limits.readBody": c.Limits.ReadBody,
		"limits.idle": c.Limits.Idle, "drain.timeout": c.Drain.Timeout,
	} {
		if d <= 0 {
			wrong(key, "want a duration above zero, like 30s, not %s", d)
		}
	}
	if c.Drain.Delay < 0 {
		wrong("drain.delay", "want a duration, like 5s, not %s", c.Drain.Delay)
	}
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("want HOST:PORT, not %q", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("want a port from 0 to 65535, not %q", port)
	}
	return nil
}

// ServerLimits are the limits as the doors take them.
func (c Config) ServerLimits() rpcserver.Limits {
	l := c.Limits
	return rpcserver.Limits{
		Body: l.Body, Header: l.Header, URL: l.URL, Depth: l.Depth,
		Time: l.Time, ReadHeader: l.ReadHeader, ReadBody: l.ReadBody, Idle: l.Idle,
		Connections: l.Connections,
	}
}

// ClusterURLs are the connection URLs of the database clusters by name; that of database.url is DefaultCluster.
func (c Config) ClusterURLs() map[string]string {
	urls := map[string]string{}
	if c.Database.URL != "" {
		urls[DefaultCluster] = c.Database.URL.Reveal()
	}
	for name, cluster := range c.Clusters {
		urls[name] = cluster.URL.Reveal()
	}
	return urls
}

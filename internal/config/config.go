// Package config is the configuration of the services: one struct, its defaults, and where they may be set. A setting
// comes from the defaults, the file, the environment and the flags, each before the one after it. What none of the
// settings is named fails at start. Secrets come from the environment or from files of their own, never from flags,
// which other users of the machine can read, nor from the configuration file.
package config

import (
	"time"

	"circle15.dev/internal/rpcserver"
)

// Config is every setting of the services. The tag koanf names it, doc says what it is, secret marks what must not be
// shown.
type Config struct {
	HTTP  string `koanf:"http" doc:"address of the REST door"`
	GRPC  string `koanf:"grpc" doc:"address of the gRPC door"`
	Admin string `koanf:"admin" doc:"address of metrics and profiles, for operators alone; empty for none"`
	Data  string `koanf:"data" doc:"data folder of the demo"`

	Database      Database           `koanf:"database"`
	Clusters      map[string]Cluster `koanf:"clusters"`
	Issuers       []Issuer           `koanf:"issuers" doc:"trusted OpenID Connect issuers (below)"`
	BuiltinIssuer string             `koanf:"builtinIssuer" doc:"folder of the built-in issuer's key, to serve and trust it; for demonstrations and tests only"`
	PageToken     PageToken          `koanf:"pageToken"`
	Limits        Limits             `koanf:"limits"`
	Drain         Drain              `koanf:"drain"`
	Log           Log                `koanf:"log"`
}

// Database is the control database and the pools.
type Database struct {
	URL      Secret `koanf:"url" secret:"true" doc:"control database, as the login circle15_app; also the cluster \"default\" where no clusters are set"`
	URLFile  string `koanf:"urlFile" doc:"file that holds database.url"`
	MaxConns int    `koanf:"maxConns" doc:"connections to each database cluster, 1 to 64"`
}

// Cluster is one database cluster that holds tenants.
type Cluster struct {
	URL     Secret `koanf:"url" secret:"true" doc:"database cluster NAME, as the login circle15_app"`
	URLFile string `koanf:"urlFile" doc:"file that holds clusters.NAME.url"`
}

// Issuer is a trusted OpenID Connect issuer.
type Issuer struct {
	URL           string   `koanf:"url" doc:"its identifier, equal to the tokens' iss; https, or http on a loopback address"`
	PlainHTTP     bool     `koanf:"plainHTTP" doc:"allow http elsewhere, inside a network of its own"`
	Audience      string   `koanf:"audience" doc:"what its tokens are for"`
	TenantClaim   string   `koanf:"tenantClaim" doc:"claim that names the bearer's tenants; circle15_tenants when empty"`
	Tenants       []string `koanf:"tenants" doc:"the only tenants it may vouch for; empty for all"`
	SubjectPrefix string   `koanf:"subjectPrefix" doc:"goes before the subjects of its tokens; at most one issuer may go without"`
}

// PageToken is the key of page tokens.
type PageToken struct {
	Key     Secret `koanf:"key" secret:"true" doc:"key that seals page tokens, at least 32 characters, the same on every replica; a random one when empty"`
	KeyFile string `koanf:"keyFile" doc:"file that holds pageToken.key"`
}

// Limits bound what one request may cost.
type Limits struct {
	Body              int           `koanf:"body" doc:"bytes of a request body or gRPC message"`
	Header            int           `koanf:"header" doc:"bytes of the request headers"`
	URL               int           `koanf:"url" doc:"bytes of the request target"`
	Depth             int           `koanf:"depth" doc:"levels of nesting in a JSON body"`
	Time              time.Duration `koanf:"time" doc:"for handling one request"`
	ReadHeader        time.Duration `koanf:"readHeader" doc:"for receiving the request headers"`
	ReadBody          time.Duration `koanf:"readBody" doc:"for receiving a whole request"`
	Idle              time.Duration `koanf:"idle" doc:"of a connection between two requests"`
	RequestsPerSecond int           `koanf:"requestsPerSecond" doc:"of one tenant on one replica; 0 for no limit"`
}

// Drain is how the services stop.
type Drain struct {
	Delay   time.Duration `koanf:"delay" doc:"between turning unready and closing the listeners, for load balancers to notice"`
	Timeout time.Duration `koanf:"timeout" doc:"for the requests in flight after that"`
}

// Log is what is logged and how.
type Log struct {
	Level  string `koanf:"level" doc:"debug, info, warn or error"`
	Format string `koanf:"format" doc:"json or text"`
}

// Default is the configuration that nobody has changed.
func Default() Config {
	limits := rpcserver.DefaultLimits()
	return Config{
		HTTP:     "127.0.0.1:8080",
		GRPC:     "127.0.0.1:9090",
		Admin:    "127.0.0.1:9100",
		Data:     ".circle15",
		Database: Database{MaxConns: 8},
		Limits: Limits{
			Body: limits.Body, Header: limits.Header, URL: limits.URL, Depth: limits.Depth,
			Time: limits.Time, ReadHeader: limits.ReadHeader, ReadBody: limits.ReadBody, Idle: limits.Idle,
		},
		Drain: Drain{Timeout: 30 * time.Second},
		Log:   Log{Level: "info", Format: "json"},
	}
}

// Secret is text that is never shown; Reveal alone gives it out.
type Secret string

const redacted = "[redacted]"

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer: whether there is a secret, not which.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString implements fmt.GoStringer, for %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText implements encoding.TextMarshaler, for JSON and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

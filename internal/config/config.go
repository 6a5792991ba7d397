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
	HTTP  string `doc:"address of the REST door"                                             koanf:"http"`
	GRPC  string `doc:"address of the gRPC door"                                             koanf:"grpc"`
	Admin string `doc:"address of metrics and profiles, for operators alone; empty for none" koanf:"admin"`
	Data  string `doc:"data folder of the demo"                                              koanf:"data"`

	Database      Database           `koanf:"database"`
	Clusters      map[string]Cluster `koanf:"clusters"`
	Issuers       []Issuer           `doc:"trusted OpenID Connect issuers, below"                              koanf:"issuers"`
	BuiltinIssuer string             `doc:"folder of a built-in issuer to serve and trust; not for production" koanf:"builtinIssuer"`
	PageToken     PageToken          `koanf:"pageToken"`
	Limits        Limits             `koanf:"limits"`
	Drain         Drain              `koanf:"drain"`
	Log           Log                `koanf:"log"`
}

// Database is the first database cluster, and the pools of all.
type Database struct {
	URL      Secret `doc:"database cluster default, as the login circle15_app"               koanf:"url"      secret:"true"`
	URLFile  string `doc:"file that holds database.url"                                          koanf:"urlFile"`
	MaxConns int    `doc:"connections to each database cluster, 1 to 64"                         koanf:"maxConns"`
}

// Cluster is one more database cluster that holds tenants.
type Cluster struct {
	URL     Secret `doc:"further database cluster NAME, as the login circle15_app" koanf:"url"     secret:"true"`
	URLFile string `doc:"file that holds clusters.NAME.url"                koanf:"urlFile"`
}

// Issuer is a trusted OpenID Connect issuer.
type Issuer struct {
	URL           string   `doc:"its identifier, equal to the tokens' iss; https, or http on a loopback address" koanf:"url"`
	PlainHTTP     bool     `doc:"allow http elsewhere, inside a network of its own"                              koanf:"plainHTTP"`
	Audience      string   `doc:"what its tokens are for"                                                        koanf:"audience"`
	TenantClaim   string   `doc:"claim that names the bearer's tenants; circle15_tenants when empty"             koanf:"tenantClaim"`
	Tenants       []string `doc:"the only tenants it may vouch for; empty for all"                               koanf:"tenants"`
	SubjectPrefix string   `doc:"goes before the subjects of its tokens; at most one issuer may go without"      koanf:"subjectPrefix"`
}

// PageToken is the key of page tokens.
type PageToken struct {
	Key     Secret `doc:"seals page tokens: at least 32 characters, the same on every replica" koanf:"key"     secret:"true"`
	KeyFile string `doc:"file that holds pageToken.key"                                        koanf:"keyFile"`
}

// Limits bound what one request may cost, and how many connections there may be.
type Limits struct {
	Body              int           `doc:"bytes of a request body or gRPC message"      koanf:"body"`
	Header            int           `doc:"bytes of the request headers"                 koanf:"header"`
	URL               int           `doc:"bytes of the request target"                  koanf:"url"`
	Depth             int           `doc:"levels of nesting in a JSON body"             koanf:"depth"`
	Time              time.Duration `doc:"for handling one request"                     koanf:"time"`
	ReadHeader        time.Duration `doc:"for receiving the request headers"            koanf:"readHeader"`
	ReadBody          time.Duration `doc:"for receiving a whole request; at the gRPC door together with limits.time" koanf:"readBody"`
	Idle              time.Duration `doc:"of a connection between two requests"         koanf:"idle"`
	Connections       int           `doc:"open at each door; more wait to be accepted" koanf:"connections"`
	RequestsPerSecond int           `doc:"of a tenant without a quota of its own, on one replica; 0 for no limit" koanf:"requestsPerSecond"`
}

// Drain is how the services stop.
type Drain struct {
	Delay   time.Duration `doc:"between turning unready and closing the listeners, for load balancers to notice" koanf:"delay"`
	Timeout time.Duration `doc:"for the requests in flight after that"                                           koanf:"timeout"`
}

// Log is what is logged and how.
type Log struct {
	Level  string `doc:"debug, info, warn or error" koanf:"level"`
	Format string `doc:"json or text"               koanf:"format"`
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
			Connections: limits.Connections,
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

package config_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"circle15.dev/internal/config"
)

const password = "S3cretS3cretS3cretS3cretS3cretS3cret"

func TestDefaultsHoldWhereNothingIsSet(t *testing.T) {
	got, err := config.Load(nil, []string{"HOME=/nowhere", "PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), got); diff != "" {
		t.Errorf("(-default +loaded)\n%s", diff)
	}
}

func TestFlagsWinOverTheEnvironmentThatWinsOverTheFile(t *testing.T) {
	file := write(t, `
http: 0.0.0.0:1
grpc: 0.0.0.0:1
admin: ""
limits: {body: 2048, time: 7s}
issuers:
  - {url: https://login.example.org, audience: circle15, tenants: [haikou, sanya]}
`)
	flags := parse(t, "--http", "0.0.0.0:3", "--limits-time", "9s")
	got, err := config.Load(flags, []string{
		"CIRCLE15_CONFIG=" + file, "CIRCLE15_HTTP=0.0.0.0:2", "CIRCLE15_GRPC=0.0.0.0:2", "CIRCLE15_LIMITS_TIME=8s",
		"CIRCLE15_DATABASE_URL=" + password, "CIRCLE15_LIMITS_REQUESTS_PER_SECOND=50",
		"CIRCLE15_CLUSTERS_NORTH_URL=postgres://north",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.HTTP, want.GRPC, want.Admin = "0.0.0.0:3", "0.0.0.0:2", ""
	want.Limits.Body, want.Limits.Time, want.Limits.RequestsPerSecond = 2048, 9*time.Second, 50
	want.Database.URL = password
	want.Clusters = map[string]config.Cluster{"north": {URL: "postgres://north"}}
	want.Issuers = []config.Issuer{{URL: "https://login.example.org", Audience: "circle15", Tenants: []string{"haikou", "sanya"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestIssuersMayComeFromTheEnvironment(t *testing.T) {
	for _, list := range []string{
		`[{"url": "https://a.example.org", "audience": "circle15", "plainHTTP": true}]`,
		`[{url: "https://a.example.org", audience: circle15, plainHTTP: true}]`,
	} {
		got, err := config.Load(nil, []string{"CIRCLE15_ISSUERS=" + list})
		if err != nil {
			t.Fatal(err)
		}
		want := []config.Issuer{{URL: "https://a.example.org", Audience: "circle15", PlainHTTP: true}}
		if diff := cmp.Diff(want, got.Issuers); diff != "" {
			t.Errorf("%s (-want +got)\n%s", list, diff)
		}
	}
}

func TestAWrongConfigurationIsRefusedInASentence(t *testing.T) {
	for name, tt := range map[string]struct {
		file string
		env  string
		want string
	}{
		"unknown in the file":            {file: "htp: x", want: `unknown setting "htp"; did you mean "http"?`},
		"unknown, nothing like it":       {file: "completelyDifferent: 1", want: `unknown setting "completelyDifferent"`},
		"unknown deep in the file":       {file: "limits: {bodi: 1}", want: `unknown setting "limits.bodi"; did you mean "limits.body"?`},
		"unknown of an issuer":           {file: "issuers: [{uri: x}]", want: `unknown setting "issuers[0].uri"`},
		"unknown of a cluster":           {file: "clusters: {north: {uri: x}}", want: `unknown setting "clusters.north.uri"`},
		"unknown in the environment":     {env: "CIRCLE15_HTPP=x", want: "environment variable CIRCLE15_HTPP is no setting; did you mean CIRCLE15_HTTP?"},
		"unknown, and short":             {env: "CIRCLE15_FROB=x", want: "environment variable CIRCLE15_FROB is no setting"},
		"not YAML":                       {file: "http: [", want: "is not YAML"},
		"a secret in the file":           {file: "database: {url: x}", want: `secret "database.url": set CIRCLE15_DATABASE_URL`},
		"a secret of a cluster":          {file: "clusters: {north: {url: x}}", want: `secret "clusters.north.url"`},
		"a wrong type":                   {env: "CIRCLE15_LIMITS_BODY=many", want: `"limits.body"`},
		"a wrong type in the file":       {file: "limits: {time: soon}", want: `"limits.time"`},
		"a list where text is wanted":    {file: "http: [a]", want: `"http"`},
		"text where a list is wanted":    {env: "CIRCLE15_ISSUERS=x", want: "CIRCLE15_ISSUERS: want a list"},
		"no address":                     {env: "CIRCLE15_HTTP=8080", want: `"http": want HOST:PORT`},
		"no data folder":                 {env: "CIRCLE15_DATA=", want: `"data": want a folder`},
		"no port":                        {env: "CIRCLE15_GRPC=localhost:99999", want: `"grpc": want a port`},
		"no duration":                    {env: "CIRCLE15_LIMITS_TIME=0s", want: `"limits.time": want a duration above zero`},
		"a negative delay":               {env: "CIRCLE15_DRAIN_DELAY=-1s", want: `"drain.delay"`},
		"too many connections":           {env: "CIRCLE15_DATABASE_MAX_CONNS=65", want: `"database.maxConns": want 1 to 64`},
		"a short key":                    {env: "CIRCLE15_PAGE_TOKEN_KEY=short", want: `"pageToken.key": want at least 32 characters`},
		"no log level":                   {env: "CIRCLE15_LOG_LEVEL=loud", want: `"log.level"`},
		"no log format":                  {env: "CIRCLE15_LOG_FORMAT=xml", want: `"log.format"`},
		"a body of no size":              {env: "CIRCLE15_LIMITS_BODY=0", want: `"limits.body"`},
		"no depth":                       {env: "CIRCLE15_LIMITS_DEPTH=0", want: `"limits.depth"`},
		"no connections":                 {env: "CIRCLE15_LIMITS_CONNECTIONS=0", want: `"limits.connections"`},
		"a negative rate":                {env: "CIRCLE15_LIMITS_REQUESTS_PER_SECOND=-1", want: `"limits.requestsPerSecond"`},
		"a file that is not there":       {env: "CIRCLE15_CONFIG=/nowhere/circle15.yaml", want: "configuration file cannot be read"},
		"a secret file that is missing":  {env: "CIRCLE15_DATABASE_URL_FILE=/nowhere/url", want: "database.urlFile"},
		"a secret file for nobody's key": {env: "CIRCLE15_PAGE_TOKEN_KEY_FILE=/dev/null", want: "is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			env := []string{tt.env}
			if tt.file != "" {
				env = append(env, "CIRCLE15_CONFIG="+write(t, tt.file))
			}
			_, err := config.Load(nil, env)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want one sentence with %s", err, tt.want)
			}
			if strings.HasSuffix(err.Error(), "?") != strings.HasSuffix(tt.want, "?") {
				t.Errorf("got %v: is something else meant?", err)
			}
			if strings.Contains(err.Error(), password) {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestVariablesThatKubernetesSetsForServicesAreIgnored(t *testing.T) {
	_, err := config.Load(nil, []string{
		"CIRCLE15_SERVICE_HOST=10.0.0.1", "CIRCLE15_SERVICE_PORT=80", "CIRCLE15_SERVICE_PORT_HTTP=80", "CIRCLE15_PORT=tcp://10.0.0.1:80",
		"CIRCLE15_PORT_80_TCP=tcp://10.0.0.1:80", "CIRCLE15_PORT_80_TCP_ADDR=10.0.0.1", "CIRCLE15_METRICS_SERVICE_HOST=10.0.0.2",
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSecretsComeFromFilesWithoutTheirLastNewline(t *testing.T) {
	file := write(t, password+"\n")
	got, err := config.Load(nil, []string{
		"CIRCLE15_DATABASE_URL_FILE=" + file, "CIRCLE15_PAGE_TOKEN_KEY_FILE=" + file, "CIRCLE15_CLUSTERS_NORTH_URL_FILE=" + file,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Database.URL.Reveal() != password || got.PageToken.Key.Reveal() != password || got.ClusterURLs()["north"] != password {
		t.Errorf("secrets %q, %q, %v", got.Database.URL.Reveal(), got.PageToken.Key.Reveal(), got.ClusterURLs())
	}
	_, err = config.Load(nil, []string{"CIRCLE15_DATABASE_URL_FILE=" + file, "CIRCLE15_DATABASE_URL=x"})
	if err == nil || !strings.Contains(err.Error(), "both database.url and database.urlFile are set") {
		t.Errorf("both: %v", err)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	got, err := config.Load(nil, []string{"CIRCLE15_DATABASE_URL=" + password, "CIRCLE15_CLUSTERS_NORTH_URL=" + password})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		got.YAML(), got.String(), fmt.Sprintf("%v", got), fmt.Sprintf("%+v", got), fmt.Sprintf("%#v", got), fmt.Sprintf("%q", got.Database.URL),
	} {
		if strings.Contains(shown, password) {
			t.Errorf("shown: %s", shown)
		}
	}
	if !strings.Contains(got.YAML(), "url: '[redacted]'") {
		t.Errorf("the shown configuration does not say that there is a secret:\n%s", got.YAML())
	}
}

func TestTheShownConfigurationLoadsAgain(t *testing.T) {
	file := write(t, "limits: {time: 90s}\nissuers: [{url: https://a.example.org, audience: b}]\nclusters: {north: {}}\n")
	for name, secrets := range map[string][]string{
		"one secret": {"CIRCLE15_CLUSTERS_NORTH_URL=" + password},
		"all of them": {
			"CIRCLE15_CLUSTERS_NORTH_URL=" + password, "CIRCLE15_DATABASE_URL=" + password,
			"CIRCLE15_PAGE_TOKEN_KEY_FILE=" + write(t, password),
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, err := config.Load(nil, append(secrets, "CIRCLE15_CONFIG="+file))
			if err != nil {
				t.Fatal(err)
			}
			second, err := config.Load(nil, append(secrets, "CIRCLE15_CONFIG="+write(t, first.YAML())))
			if err != nil {
				t.Fatalf("%v\n%s", err, first.YAML())
			}
			if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-first +second)\n%s", diff)
			}
		})
	}
}

func TestEverySettingHasItsNamesAndADescription(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range config.Settings() {
		if s.Doc == "" || s.Env == "" || s.Secret && s.Flag != "" {
			t.Errorf("%+v", s)
		}
		if seen[s.Env] {
			t.Errorf("%s names two settings", s.Env)
		}
		seen[s.Env] = true
	}
	for _, want := range []string{"CIRCLE15_HTTP", "CIRCLE15_GRPC", "CIRCLE15_ADMIN", "CIRCLE15_DATA", "CIRCLE15_DATABASE_URL", "CIRCLE15_PAGE_TOKEN_KEY"} {
		if !seen[want] {
			t.Errorf("there is no %s", want)
		}
	}
}

var update = flag.Bool("update", false, "write the table into README.md")

// The table stands in the root's README between these two lines.
const (
	tableBegin = "<!-- settings: begin (go test ./internal/config -update writes it) -->\n"
	tableEnd   = "<!-- settings: end -->"
)

func TestTheReadmeHasTheTableOfSettings(t *testing.T) {
	path := filepath.Join("..", "..", "README.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), tableBegin)
	old, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("README.md has no place for the table: want the lines\n%s%s", tableBegin, tableEnd)
	}
	want := "\n" + config.Table() + "\n"
	if old == want {
		return
	}
	if !*update {
		t.Fatalf("the table is not up to date (-README +settings)\n%s", cmp.Diff(old, want))
	}
	if err := os.WriteFile(path, []byte(before+tableBegin+want+tableEnd+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parse(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags
}

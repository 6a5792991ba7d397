package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"circle15.dev/internal/testenv"
)

// programEnv makes this test program be circle15 instead of testing it.
const programEnv = "BE_CIRCLE15"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		main()
		os.Exit(0) // as the end of main does
	}
	os.Exit(m.Run())
}

// program is circle15 in a process of its own.
type program struct {
	t              *testing.T
	command        *exec.Cmd
	stdout, stderr output
}

// start runs the program with the arguments and, of the platform's environment, with nothing but env.
func start(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	p := &program{t: t, command: exec.Command(os.Args[0], args...)}
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "CIRCLE15_") {
			p.command.Env = append(p.command.Env, pair)
		}
	}
	p.command.Env = append(append(p.command.Env, programEnv+"=1"), env...)
	p.command.Stdout, p.command.Stderr = &p.stdout, &p.stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.command.ProcessState == nil {
			_ = p.command.Process.Kill()
			_ = p.command.Wait()
		}
	})
	return p
}

// await waits until the output has the text.
func (p *program) await(o *output, text string) {
	p.t.Helper()
	testenv.Await(p.t, "circle15 to say "+text, func() bool { return strings.Contains(o.String(), text) })
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// end waits until the program has ended and returns its exit code.
func (p *program) end() int {
	p.t.Helper()
	_ = p.command.Wait() // the code says it
	return p.command.ProcessState.ExitCode()
}

// refuses wants the program to have ended with code 1 and one sentence on standard error, and nothing on standard output.
func (p *program) refuses(want string) {
	p.t.Helper()
	code, said := p.end(), p.stderr.String()
	one := strings.HasPrefix(said, "circle15: ") && strings.Count(said, "\n") == 1
	if code != 1 || !one || !strings.Contains(said, want) || p.stdout.String() != "" {
		p.t.Errorf("it ended with %d, printed %q and said %q, want 1 and one sentence with %q", code, p.stdout.String(), said, want)
	}
}

// succeeds wants the program to end with code 0 and nothing on standard error, and returns what it printed.
func (p *program) succeeds() string {
	p.t.Helper()
	if code := p.end(); code != 0 || p.stderr.String() != "" {
		p.t.Fatalf("it ended with %d and said %q", code, p.stderr.String())
	}
	return p.stdout.String()
}

// output is what a process writes, to be read meanwhile.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func TestAMistakeEndsTheProgramWithOneSentence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "circle15.yaml")
	if err := os.WriteFile(file, []byte("limits: {times: 1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"a word that is no command":       {nil, []string{"frobnicate"}, `circle15 has no command "frobnicate"`},
		"a command with a typo":           {nil, []string{"tenatn"}, `circle15 has no command "tenatn"; did you mean tenant?`},
		"a word after tenant":             {nil, []string{"tenant", "frobnicate"}, `circle15 tenant has no command "frobnicate"`},
		"a word after database":           {nil, []string{"database", "bootsrap"}, `circle15 database has no command "bootsrap"; did you mean bootstrap?`},
		"a missing argument":              {nil, []string{"check"}, "accepts 1 arg(s), received 0"},
		"a missing flag":                  {nil, []string{"issuer", t.TempDir()}, `required flag(s) "url" not set`},
		"an issuer of no address":         {nil, []string{"issuer", t.TempDir(), "--url", "nonsense"}, `--url "nonsense": want https://HOST/PATH`},
		"an unknown flag":                 {nil, []string{"serve", "--htpt", "x"}, "unknown flag: --htpt"},
		"an unknown variable":             {[]string{"CIRCLE15_HTPT=x"}, []string{"serve"}, "CIRCLE15_HTPT is no setting"},
		"an unknown key of the file":      {nil, []string{"serve", "--config", file}, `unknown setting "limits.times"`},
		"no such file":                    {nil, []string{"config", "--config", file + "x"}, "the configuration file cannot be read"},
		"a value of the wrong type":       {[]string{"CIRCLE15_LIMITS_DEPTH=deep"}, []string{"config"}, `"limits.depth"`},
		"no such service":                 {nil, []string{"serve", "weather"}, `there is no service "weather"`},
		"no issuer":                       {nil, []string{"serve"}, "no token issuer is configured"},
		"a built-in issuer without a key": {[]string{"CIRCLE15_BUILTIN_ISSUER=" + t.TempDir()}, []string{"serve"}, "the built-in issuer in"},
		"bootstrap without an admin":      {nil, []string{"database", "bootstrap"}, "set CIRCLE15_ADMIN_DATABASE_URL"},
		"a demo with a database":          {[]string{"CIRCLE15_DATABASE_URL=x"}, []string{"demo"}, "the demo has a database of its own"},
		"a demo in a folder of others":    {nil, []string{"demo", "--reset", "--data", filepath.Dir(file)}, "is not a data folder"},
		"a demo in no folder":             {nil, []string{"demo", "--data="}, `"data": want a folder`},
		"a token of no folder":            {[]string{"CIRCLE15_DATA="}, []string{"token", "--tenant=haikou", "--role=auditor"}, "want a folder"},
		"tenants of no folder":            {nil, []string{"tenant", "list", "--data="}, "want a folder"},
		"nobody to check":                 {nil, []string{"check", "http://127.0.0.1:1"}, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) { start(t, tt.env, tt.args...).refuses(tt.want) })
	}
}

func TestADatabaseThatCannotBeUsedIsOneSentence(t *testing.T) {
	wrong := strings.Replace(testenv.Provisioned(t).OperatorURL, testenv.Password, "not-"+testenv.Password, 1)
	passwords := []string{"CIRCLE15_OPERATOR_PASSWORD=" + testenv.Password, "CIRCLE15_APP_PASSWORD=" + testenv.Password}
	for address, want := range map[string]string{
		"postgres://postgres:secret@127.0.0.1:1/postgres":          "PostgreSQL at 127.0.0.1:1 does not answer (connect: connection refused)",
		"postgres://postgres:secret@nowhere.invalid:5432/postgres": "the host nowhere.invalid is not found",
		wrong: "the login is refused",
	} {
		bootstrap := start(t, append(passwords, "CIRCLE15_ADMIN_DATABASE_URL="+address), "database", "bootstrap")
		list := start(t, nil, "tenant", "list", "--operator-database-url", address)
		for _, p := range []*program{bootstrap, list} {
			p.refuses(want)
			if said := p.stderr.String(); strings.Count(said, "127.0.0.1:1") > 1 || strings.Contains(said, "secret") {
				t.Errorf("it said %s", said)
			}
		}
	}
}

func TestBootstrapPreparesADatabase(t *testing.T) {
	env := []string{
		"CIRCLE15_ADMIN_DATABASE_URL=" + testenv.Postgres(t).SuperuserURL("postgres"),
		"CIRCLE15_OPERATOR_PASSWORD=" + testenv.Password, "CIRCLE15_APP_PASSWORD=" + testenv.Password,
	}
	for range 2 {
		said := start(t, env, "database", "bootstrap", "--database", "circle15_bootstrapped").succeeds()
		if said != "the database circle15_bootstrapped is ready for the roles circle15_operator and circle15_app\n" {
			t.Errorf("it said %s", said)
		}
	}
	operator := testenv.Postgres(t).URL("circle15_operator", testenv.Password, "circle15_bootstrapped")
	if said := start(t, nil, "tenant", "list", "--operator-database-url", operator).succeeds(); !strings.HasPrefix(said, "NAME") {
		t.Errorf("the list of its tenants is %s", said)
	}
}

func TestTheProgramSaysWhatItCanDo(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help"}, {"tenant"}, {"database"}, {"serve", "--help"}} {
		if said := start(t, nil, args...).succeeds(); !strings.Contains(said, "Usage:") {
			t.Errorf("%v: %q", args, said)
		}
	}
	if said := start(t, nil, "--version").succeeds(); !strings.HasPrefix(said, "circle15 version ") {
		t.Errorf("--version: %q", said)
	}
}

func TestTheProgramShowsTheSettingsOfFileEnvironmentAndFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "circle15.yaml")
	if err := os.WriteFile(file, []byte("limits: {depth: 7, time: 7s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"CIRCLE15_CONFIG=" + file, "CIRCLE15_LIMITS_DEPTH=8", "CIRCLE15_HTTP=127.0.0.1:1"}
	said := start(t, env, "config", "--http", "127.0.0.1:2").succeeds()
	for _, want := range []string{"depth: 8\n", "time: 7s\n", "http: 127.0.0.1:2\n", "readBody: 1m\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if err := os.WriteFile(file, []byte(said), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := start(t, nil, "config", "--config", file).succeeds(); again != said {
		t.Errorf("what it shows is loaded as\n%s\nand was\n%s", again, said)
	}
}

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"circle15.dev/internal/config"
	"circle15.dev/services/demo/local"
)

// demoEnv makes this test program run the demo instead of testing: its value is data folder and REST address.
const demoEnv = "E2E_DEMO"

func demoAsChild(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	c := config.Default()
	c.Data, c.HTTP, c.GRPC, c.Admin = args[0], args[1], "127.0.0.1:0", ""
	return local.Run(ctx, local.Options{Config: c, Out: os.Stdout, Logger: slog.New(slog.DiscardHandler)})
}

// demoProcess is the demo in a process of its own.
type demoProcess struct {
	t       *testing.T
	command *exec.Cmd
	out     *bufio.Reader
	errors  *strings.Builder
}

// startDemo starts the demo on a data folder and a REST address.
func startDemo(t *testing.T, folder, rest string) *demoProcess {
	t.Helper()
	p := &demoProcess{t: t, command: exec.Command(os.Args[0]), errors: &strings.Builder{}}
	p.command.Env = append(os.Environ(), demoEnv+"="+folder+" "+rest)
	p.command.Stderr = p.errors
	pipe, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(pipe)
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.command.Process.Signal(syscall.SIGINT) })
	return p
}

// read reads its output up to a line with the text.
func (p *demoProcess) read(text string) string {
	p.t.Helper()
	var all strings.Builder
	for {
		line, err := p.out.ReadString('\n')
		all.WriteString(line)
		if strings.Contains(line, text) {
			return all.String()
		}
		if err != nil {
			p.t.Fatalf("the demo ended before it said %q; it said:\n%s%s", text, all.String(), p.errors)
		}
	}
}

// end stops the process by a signal and tells how it ended.
func (p *demoProcess) end(by os.Signal) error {
	p.t.Helper()
	if err := p.command.Process.Signal(by); err != nil {
		p.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, p.out)
	return p.command.Wait()
}

// TestTheDemo starts the demo, kills it in the middle of the import, starts it again, tries what it says, and finds the data
// kept after a stop.
func TestTheDemo(t *testing.T) {
	const anywhere = "127.0.0.1:0"
	folder := filepath.Join(t.TempDir(), "data")
	first := startDemo(t, folder, anywhere)
	first.read("volunteers ")
	_ = first.end(syscall.SIGKILL)

	second := startDemo(t, folder, anywhere)
	said := second.read("begins anew.")
	tryWhatItSays(t, said)
	oneSentence(t, startDemo(t, folder, anywhere), "in use by another running circle15")
	rest := restLine.FindStringSubmatch(said)[1]
	oneSentence(t, startDemo(t, filepath.Join(t.TempDir(), "other"), rest), "cannot listen on "+rest)
	if err := second.end(syscall.SIGTERM); err != nil {
		t.Errorf("stopped by SIGTERM it ended with %v: %s", err, second.errors)
	}
	if text, err := os.ReadFile(filepath.Join(folder, "postgres", "pgdata", "postmaster.pid")); err == nil {
		t.Errorf("PostgreSQL still runs: %s", text)
	}

	began := time.Now()
	third := startDemo(t, folder, anywhere)
	again := third.read("begins anew.")
	t.Logf("the second start took %s", time.Since(began)) // some seconds; what takes longer is said
	if strings.Contains(again, "Importing") {
		t.Errorf("the second start said:\n%s", again)
	}
	tryWhatItSays(t, again)
	if err := third.end(os.Interrupt); err != nil {
		t.Errorf("stopped by Ctrl-C it ended with %v: %s", err, third.errors)
	}
}

var (
	restLine  = regexp.MustCompile(`(?m)^  REST +http://(\S+) `)
	tokenLine = regexp.MustCompile(`(?m)^  ([A-Z]+)=(\S+)$`)
	curlLine  = regexp.MustCompile(`(?m)^  curl -s -H "Authorization: Bearer \$([A-Z]+)"(?: -H '([^:']+): ([^']+)')?(?: \\\n +)? '([^']+)'$`)
)

// told is what the demo's curl lines are answered with.
type told struct {
	Cases  []struct{ Title string }
	Total  struct{ Stations, HouseholdsVisited, PersonTimes int }
	Groups []struct{ Month string }
}

// tryWhatItSays does what the printed curl lines do: a worker's cases, the bureau's report, the province's by month.
func tryWhatItSays(t *testing.T, said string) {
	t.Helper()
	tokens := map[string]string{}
	for _, m := range tokenLine.FindAllStringSubmatch(said, -1) {
		tokens[m[1]] = m[2]
	}
	counted := func(a told) bool {
		return a.Total.Stations == 21 && a.Total.HouseholdsVisited == 2518 && a.Total.PersonTimes == 28332
	}
	wanted := []struct {
		who   string
		right func(told) bool
	}{
		{"WORKER", func(a told) bool { return len(a.Cases) == 3 && a.Cases[0].Title != "" }},
		{"BUREAU", func(a told) bool { return counted(a) && len(a.Groups) == 0 }},
		{"ANALYST", func(a told) bool { return counted(a) && len(a.Groups) == 6 && a.Groups[0].Month == "2021-05" }},
	}
	lines := curlLine.FindAllStringSubmatch(said, -1)
	if len(tokens) != len(wanted) || len(lines) != len(wanted) {
		t.Fatalf("%d tokens and %d curl lines in:\n%s", len(tokens), len(lines), said)
	}
	for i, line := range lines {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, line[4], nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+tokens[line[1]])
		if line[2] != "" {
			request.Header.Set(line[2], line[3])
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var got told
		err = json.NewDecoder(response.Body).Decode(&got)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || line[1] != wanted[i].who || !wanted[i].right(got) {
			t.Errorf("%s was answered %s: %+v, %v", line[0], response.Status, got, err)
		}
	}
}

// oneSentence wants the process to end with code 1 and one sentence.
func oneSentence(t *testing.T, p *demoProcess, text string) {
	t.Helper()
	_, _ = io.Copy(io.Discard, p.out)
	_ = p.command.Wait()
	said := p.errors.String()
	if p.command.ProcessState.ExitCode() != 1 || !strings.Contains(said, text) || strings.Count(strings.TrimSpace(said), "\n") > 0 {
		t.Errorf("it ended with %d and said %q, want one sentence with %q", p.command.ProcessState.ExitCode(), said, text)
	}
}

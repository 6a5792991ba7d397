package tilt

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

// workloads are the kinds that Tilt makes a resource of, each.
var workloads = []string{"Deployment", "StatefulSet", "DaemonSet", "Job", "Pod"}

func (l *loaded) workload(name string) (object, bool) {
	for _, o := range l.objects {
		if o.Metadata.Name == name && slices.Contains(workloads, o.Kind) {
			return o, true
		}
	}
	return object{}, false
}

// resources are all resources by name, with those they wait for.
func (l *loaded) resources(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	renamed := map[string]bool{}
	add := func(name string, after []string) {
		if _, twice := all[name]; twice {
			t.Errorf("two resources are named %s", name)
		}
		all[name] = after
	}
	for _, o := range l.options {
		add(cmp.Or(o.newName, o.workload), o.after)
		renamed[o.workload] = true
	}
	for _, r := range l.locals {
		add(r.name, r.after)
	}
	for _, o := range l.objects {
		if slices.Contains(workloads, o.Kind) && !renamed[o.Metadata.Name] {
			add(o.Metadata.Name, nil)
		}
	}
	return all
}

// comesAfter says whether a resource waits for another, perhaps for one that waits for it.
func comesAfter(all map[string][]string, later, earlier string) bool {
	for _, name := range all[later] {
		if name == earlier || comesAfter(all, name, earlier) {
			return true
		}
	}
	return false
}

// settings are command lines that the loop must work with.
var settings = map[string]map[string]starlark.Value{
	"the chart's database": {},
	"a database elsewhere": {"database-url": starlark.String("postgres://postgres:secret@10.0.0.1:5432/postgres")},
	"another loader and values": {
		"image-load": starlark.String("kind load image-archive"),
		"helm-set":   starlark.NewList([]starlark.Value{starlark.String("services.logLevel=debug")}),
	},
}

// eachWay runs a test with every command line.
func eachWay(t *testing.T, test func(*testing.T, *loaded)) {
	t.Helper()
	for name, s := range settings {
		t.Run(name, func(t *testing.T) { test(t, mustLoad(t, "lab", s)) })
	}
}

func TestClustersThatPeopleDependOnAreRefused(t *testing.T) {
	for _, context := range []string{"production", "hainan-prod-1", "live", "haikou-live"} {
		l, err := load(context, nil)
		if err == nil || !strings.Contains(err.Error(), "looks like production") || !strings.Contains(err.Error(), context) {
			t.Errorf("the context %s: %v, want a refusal that names it", context, err)
		}
		if len(l.commands) > 0 || len(l.objects) > 0 {
			t.Errorf("the context %s was refused after %d commands and %d objects", context, len(l.commands), len(l.objects))
		}
	}
	if _, err := load("gke_province_staging", nil); err == nil {
		t.Error("a context that is none of this machine was accepted")
	}
}

func TestClustersOfThisMachineAreAccepted(t *testing.T) {
	for _, context := range []string{"lab", "kind-kind", "minikube", "docker-desktop", "k3d-k3s-default", "rancher-desktop", "colima"} {
		mustLoad(t, context, nil)
	}
}

func TestResourcesNameObjectsThatAreRendered(t *testing.T) {
	eachWay(t, func(t *testing.T, l *loaded) {
		claimed := map[string]string{}
		for _, o := range l.options {
			if _, found := l.workload(o.workload); o.workload != "" && !found {
				t.Errorf("no workload %s is rendered", o.workload)
			}
			for _, selector := range o.objects {
				var matches []string
				for _, candidate := range l.objects {
					if id := candidate.id(); id == selector || strings.HasPrefix(id, selector+":") {
						matches = append(matches, id)
					}
				}
				if len(matches) != 1 {
					t.Errorf("the selector %s matches %v, want one object", selector, matches)
					continue
				}
				if other := claimed[matches[0]]; other != "" {
					t.Errorf("%s belongs to %s and to %s", matches[0], other, o.newName)
				}
				claimed[matches[0]] = o.newName
			}
		}
		for _, sample := range []string{"hainan:tenant", "haikou:tenant"} {
			if claimed[sample+"::circle15.dev"] != "tenants" {
				t.Errorf("the sample %s is in no resource", sample)
			}
		}
	})
}

func TestResourcesStartInAnOrderInWhichNoneComesTooEarly(t *testing.T) {
	eachWay(t, func(t *testing.T, l *loaded) {
		all := l.resources(t)
		for name, after := range all {
			for _, other := range after {
				if _, exists := all[other]; !exists {
					t.Errorf("%s waits for %s, which does not exist", name, other)
				}
				if comesAfter(all, other, name) {
					t.Fatalf("%s and %s wait for each other", name, other)
				}
			}
		}
		order := [][2]string{
			{"bootstrap", "compile"}, {"circle15-services", "compile"}, {"circle15-operator", "compile"},
			{"circle15-services", "bootstrap"}, {"circle15-operator", "bootstrap"}, {"circle15-operator", "definitions"},
			{"tenants", "circle15-operator"}, {"onboarded", "tenants"},
		}
		if _, own := l.workload("circle15-development-database"); own {
			order = append(order, [2]string{"bootstrap", "circle15-development-database"})
		} else if l.settings["database-url"] == nil {
			t.Error("there is no database")
		}
		for _, pair := range order {
			if !comesAfter(all, pair[0], pair[1]) {
				t.Errorf("%s does not wait for %s", pair[0], pair[1])
			}
		}
	})
}

func TestPortForwardsLeadToPortsOfTheContainer(t *testing.T) {
	l := mustLoad(t, "lab", nil)
	var local []string
	for _, o := range l.options {
		for _, forward := range o.forwards {
			here, there, _ := strings.Cut(forward, ":")
			port, err := strconv.Atoi(there)
			if err != nil {
				t.Fatalf("%s forwards %q", o.workload, forward)
			}
			local = append(local, here)
			target, _ := l.workload(o.workload)
			declared := false
			for _, c := range target.Spec.Template.Spec.Containers {
				for _, p := range c.Ports {
					declared = declared || p.Port == port
				}
			}
			if !declared {
				t.Errorf("no container of %s has the port %d", o.workload, port)
			}
		}
		for _, link := range o.links {
			if !strings.HasPrefix(link, "http://127.0.0.1:8080/") {
				t.Errorf("%s links to %s, which is not forwarded", o.workload, link)
			}
		}
	}
	if want := []string{"8080", "9090", "9100"}; !slices.Equal(local, want) {
		t.Errorf("the ports %v of this machine are forwarded, want %v", local, want)
	}
}

// isBinary says whether the path is what `make binaries` writes.
func isBinary(t *testing.T, file string) bool {
	t.Helper()
	plan, err := execute([]string{"make", "-n", "binaries"})
	if err != nil {
		t.Fatal(err)
	}
	built := slices.ContainsFunc(strings.Fields(plan), func(word string) bool { return strings.HasSuffix(word, "/cmd/"+filepath.Base(file)) })
	return built && strings.Contains(plan, "-o "+filepath.Dir(file)+"/ ")
}

func TestWhatIsWatchedExistsOrIsCompiled(t *testing.T) {
	l := mustLoad(t, "lab", nil)
	for _, r := range l.locals {
		for _, dep := range r.deps {
			if !exists(dep) {
				t.Errorf("%s watches %s, which does not exist", r.name, dep)
			}
		}
	}
	for _, i := range l.images {
		for _, dep := range i.deps {
			if !strings.HasPrefix(dep, ".cache/") && !exists(dep) || strings.HasPrefix(dep, ".cache/") && !isBinary(t, dep) {
				t.Errorf("the image %s watches %s, which neither exists nor is compiled", i.ref, dep)
			}
		}
	}
}

func TestTheImageIsBuiltWithoutDockerAndRunByTheWorkloads(t *testing.T) {
	eachWay(t, func(t *testing.T, l *loaded) {
		if len(l.images) != 1 {
			t.Fatalf("%d images are built, want one", len(l.images))
		}
		i := l.images[0]
		if !i.skipsDocker || !i.noPush {
			t.Error("Tilt would look for the image in Docker, or push it")
		}
		if !strings.Contains(i.command, "$EXPECTED_REF") {
			t.Errorf("the command %q does not make the tag that Tilt wants", i.command)
		}
		if loader, set := l.settings["image-load"].(starlark.String); set && !strings.Contains(i.command, string(loader)) {
			t.Errorf("the command %q does not load the image by %s", i.command, loader)
		}
		for _, name := range []string{"circle15-services", "circle15-operator", "circle15-bootstrap-1"} {
			w, found := l.workload(name)
			if !found {
				t.Fatalf("%s is not rendered", name)
			}
			if ref, _, _ := strings.Cut(w.Spec.Template.Spec.Containers[0].Image, ":"); ref != i.ref {
				t.Errorf("%s runs %s, want the image that is built", name, ref)
			}
		}
	})
}

func TestAChangedBinaryIsPutWhereTheRunningContainerLooksForIt(t *testing.T) {
	l := mustLoad(t, "lab", nil)
	i := l.images[0]
	for _, dep := range i.deps {
		// Tilt stops updating in place at a change that has neither.
		if _, synced := i.syncs[dep]; !synced && !slices.Contains(i.fallBackOn, dep) {
			t.Errorf("a change of %s neither updates the container nor builds the image", dep)
		}
	}
	for _, file := range i.fallBackOn {
		if !slices.Contains(i.deps, file) {
			t.Errorf("the image falls back on %s, which it does not watch", file)
		}
	}
	services, _ := l.workload("circle15-services")
	c := services.Spec.Template.Spec.Containers[0]
	for from, to := range i.syncs {
		if !slices.Contains(i.deps, from) {
			t.Errorf("%s is synced, but not watched", from)
		}
		if len(c.Command) != 3 || c.Command[0] != "/rerun" || c.Command[1] != to || c.Command[2] != "/"+path.Base(to) {
			t.Errorf("the services run %v, which does not look for %s", c.Command, to)
		}
		writable := false
		for _, m := range c.VolumeMounts {
			writable = writable || !m.ReadOnly && m.MountPath == path.Dir(to)
		}
		if !writable {
			t.Errorf("%s is in no writable volume of the services", to)
		}
	}
	if len(i.syncs) != 1 {
		t.Errorf("%d files are synced, want the services' binary", len(i.syncs))
	}
	plan, err := execute([]string{"make", "-n", "image", "DEV=1", "IMAGE_LOAD=true"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"rerun", "tar"} {
		if !strings.Contains(plan, "/.cache/image/"+tool) {
			t.Errorf("the development image has no %s", tool)
		}
	}
}

func TestCommandsOfResourcesExist(t *testing.T) {
	l := mustLoad(t, "lab", nil)
	for _, r := range l.locals {
		if r.server {
			t.Errorf("%s runs for ever, and so would `tilt ci`", r.name)
		}
		checkCommand(t, r.name, r.command)
	}
}

// checkCommand looks for programs of this repository, and for targets of make.
func checkCommand(t *testing.T, of string, argv []string) {
	t.Helper()
	if script := argv[len(argv)-1]; argv[0] == "sh" && strings.HasPrefix(script, "make ") {
		if _, err := execute(append([]string{"make", "-n"}, strings.Fields(script)[1:]...)); err != nil {
			t.Errorf("%s: %v", of, err)
		}
		return
	}
	if !strings.Contains(argv[0], "/") {
		if !slices.Contains([]string{"kubectl", "tilt", "sh"}, argv[0]) {
			t.Errorf("%s needs %s, which a developer may not have", of, argv[0])
		}
		return
	}
	info, err := os.Stat(filepath.Join(root, argv[0]))
	if err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("%s: %s is no program (%v)", of, argv[0], err)
	}
}

func TestTestsWaitForAPerson(t *testing.T) {
	l := mustLoad(t, "lab", nil)
	all := l.resources(t)
	byHand := map[string]bool{}
	for _, r := range l.locals {
		if r.manual != !r.autoInit {
			t.Errorf("%s is manual (%v), but starts by itself (%v)", r.name, r.manual, r.autoInit)
		}
		byHand[r.name] = r.manual
	}
	for _, name := range []string{"lint", "unit", "chart"} {
		if !byHand[name] {
			t.Errorf("%s is no manual resource", name)
		}
	}
	for name, manual := range byHand {
		for other := range all {
			if manual && comesAfter(all, other, name) {
				t.Errorf("%s waits for %s, and `tilt ci` with it for ever", other, name)
			}
		}
	}
}

func TestButtonsResetDataRunTestsAndOpenTheDocuments(t *testing.T) {
	l := mustLoad(t, "lab", nil)
	all := l.resources(t)
	buttons := map[string]button{}
	for _, b := range l.buttons {
		if !label.MatchString(b.name) {
			t.Errorf("the button %q cannot be the name of an object", b.name)
		}
		checkCommand(t, b.text, b.argv)
		buttons[b.text] = b
	}
	reset := buttons["reset data"]
	if !reset.confirm {
		t.Error("data are reset without a question")
	}
	if i := slices.Index(reset.argv, "--context"); i < 0 || reset.argv[i+1] != "lab" {
		t.Errorf("data are reset by %v, in whatever cluster kubectl is about", reset.argv)
	}
	run := buttons["run tests"]
	if len(run.argv) != 3 || run.argv[1] != "trigger" {
		t.Fatalf("tests are run by %v", run.argv)
	}
	if _, exists := all[run.argv[2]]; !exists {
		t.Errorf("the button runs %s, which does not exist", run.argv[2])
	}
	if docs := buttons["open docs"]; len(docs.argv) == 0 || !strings.Contains(docs.argv[len(docs.argv)-1], "http://127.0.0.1:8080/docs") {
		t.Errorf("the documents are opened by %v", docs.argv)
	}
}

func TestSecretsNameTheDatabaseThatWasAskedFor(t *testing.T) {
	for name, want := range map[string]string{
		"the chart's database": "circle15-development-database:5432", "a database elsewhere": "10.0.0.1:5432",
	} {
		l := mustLoad(t, "lab", settings[name])
		if len(l.commands) != 1 {
			t.Fatalf("%v are run", l.commands)
		}
		out, err := execute(l.commands[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(out, "@"+want+"/"); got != 3 {
			t.Errorf("%s: %d of three URLs are of %s", name, got, want)
		}
	}
}

func TestAMistakeIsSeen(t *testing.T) {
	l := &loaded{}
	for _, file := range []string{
		`k8s_resource("x", port_forward=["80:80"])`, `local_resource("x", cmd="y", autoinit=False)`, `no_such_function()`,
		`custom_build("x", "y", [], skip_local_docker=True)`,
	} {
		if _, err := starlark.ExecFile(&starlark.Thread{}, "Tiltfile", file, l.builtins()); err == nil {
			t.Errorf("accepted: %s", file)
		}
	}
}

// Package tilt tests the Tiltfile without Tilt: a Starlark interpreter runs it against stand-ins of Tilt's functions that
// take the arguments of Tilt's documentation (https://docs.tilt.dev/api.html) and no others. Commands of local() and
// `helm template` are run as Tilt runs them.
package tilt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
	"go.yaml.in/yaml/v3"
)

const root = "../../.."

// loaded is what a Tiltfile registers.
type loaded struct {
	context  string
	settings map[string]starlark.Value // after "--" on the command line

	defined  map[string]bool // settings
	contexts []string        // allowed
	commands [][]string      // run by local
	objects  []object
	images   []image
	options  []resourceOptions
	locals   []localResource
	buttons  []button
	extRef   string
}

// object is one of Kubernetes.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name, Namespace string }
	Spec       struct {
		Template struct {
			Spec struct {
				Containers []container
			}
		}
	}
}

type container struct {
	Image   string
	Command []string
	Ports   []struct {
		Port int `yaml:"containerPort"`
	}
	VolumeMounts []struct {
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

func (o object) id() string {
	group, _, _ := strings.Cut(o.APIVersion, "/")
	return strings.Join([]string{o.Metadata.Name, strings.ToLower(o.Kind), o.Metadata.Namespace, group}, ":")
}

type image struct {
	ref, command        string
	deps                []string
	skipsDocker, noPush bool
	fallBackOn          []string
	syncs               map[string]string // file here → file in the container
}

// resourceOptions are the arguments of k8s_resource.
type resourceOptions struct {
	workload, newName        string
	objects, after, forwards []string
	links                    []string
}

type localResource struct {
	name                     string
	command                  []string
	deps, after              []string
	autoInit, manual, server bool
}

type button struct {
	name, text, location string
	argv                 []string
	confirm              bool
}

// load runs the Tiltfile in a context, as `tilt up -- ARGS` does.
func load(context string, settings map[string]starlark.Value) (*loaded, error) {
	l := &loaded{context: context, settings: settings, defined: map[string]bool{}}
	thread := &starlark.Thread{Name: "Tiltfile", Load: l.extension, Print: func(*starlark.Thread, string) {}}
	options := &syntax.FileOptions{TopLevelControl: true, GlobalReassign: true, Set: true}
	_, err := starlark.ExecFileOptions(options, thread, filepath.Join(root, "Tiltfile"), nil, l.builtins())
	if err != nil {
		return l, err
	}
	return l, l.checkContext()
}

// mustLoad is load where nothing is wrong.
func mustLoad(t *testing.T, context string, settings map[string]starlark.Value) *loaded {
	t.Helper()
	l, err := load(context, settings)
	if err != nil {
		var evaluation *starlark.EvalError
		if errors.As(err, &evaluation) {
			t.Fatal(evaluation.Backtrace())
		}
		t.Fatal(err)
	}
	return l
}

// checkContext is Tilt's own refusal of what does not look like a cluster on this machine.
func (l *loaded) checkContext() error {
	for _, allowed := range l.contexts {
		if l.context == allowed {
			return nil
		}
	}
	for _, prefix := range []string{"kind-", "k3d-", "minikube", "docker-desktop", "docker-for-desktop", "microk8s", "crc-", "krucible-"} {
		if strings.HasPrefix(l.context, prefix) {
			return nil
		}
	}
	return fmt.Errorf("stop! %q might be production", l.context)
}

// extension is what a load statement gives.
func (l *loaded) extension(_ *starlark.Thread, module string) (starlark.StringDict, error) {
	if module != "ext://uibutton" {
		return nil, fmt.Errorf("no stand-in for %s", module)
	}
	if l.extRef == "" {
		return nil, errors.New("extensions are loaded from no fixed commit")
	}
	return starlark.StringDict{
		"cmd_button": starlark.NewBuiltin("cmd_button", l.cmdButton),
		"location": starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
			"NAV": starlark.String("nav"), "RESOURCE": starlark.String("resource"),
		}),
	}, nil
}

// execute runs a command in the folder of the Tiltfile.
func execute(argv []string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = root
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, complaints.String())
	}
	return string(out), nil
}

// register adds the objects of a YAML document. Tilt takes an object twice for a mistake.
func (l *loaded) register(text string) error {
	documents := yaml.NewDecoder(strings.NewReader(text))
	for {
		var o object
		if err := documents.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if o.Kind == "" {
			continue
		}
		for _, other := range l.objects {
			if other.id() == o.id() {
				return fmt.Errorf("duplicate YAML: %s", o.id())
			}
		}
		l.objects = append(l.objects, o)
	}
}

func exists(path string) bool {
	_, err := os.Stat(filepath.Join(root, path))
	return err == nil
}

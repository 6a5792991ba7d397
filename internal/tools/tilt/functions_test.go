package tilt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// builtins are the functions of Tilt that the Tiltfile uses; another name is an error of Starlark.
func (l *loaded) builtins() starlark.StringDict {
	names := starlark.StringDict{
		"TRIGGER_MODE_AUTO":   starlark.String("auto"),
		"TRIGGER_MODE_MANUAL": starlark.String("manual"),
		"config": &starlarkstruct.Module{Name: "config", Members: starlark.StringDict{
			"define_string":      starlark.NewBuiltin("define_string", l.define),
			"define_string_list": starlark.NewBuiltin("define_string_list", l.define),
			"parse":              starlark.NewBuiltin("parse", l.parse),
		}},
		"v1alpha1": &starlarkstruct.Module{Name: "v1alpha1", Members: starlark.StringDict{
			"extension_repo": starlark.NewBuiltin("extension_repo", l.extensionRepo),
		}},
	}
	for name, function := range map[string]builtin{
		"allow_k8s_contexts": l.allowContexts,
		"blob":               blob,
		"custom_build":       l.customBuild,
		"fall_back_on":       fallBackOn,
		"helm":               l.helm,
		"k8s_context":        l.k8sContext,
		"k8s_resource":       l.k8sResource,
		"k8s_yaml":           l.k8sYAML,
		"link":               link,
		"local":              l.local,
		"local_resource":     l.localResource,
		"sync":               syncStep,
	} {
		names[name] = starlark.NewBuiltin(name, function)
	}
	return names
}

type (
	builtin = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)
	// text is a blob: content, where a plain string is a path.
	text struct {
		starlark.Value // for the interpreter alone
		content        string
	}
	// step is one of a live update.
	step struct {
		starlark.Value
		fallBackOn []string
		from, to   string
	}
)

// texts takes a string, or a sequence of strings.
func texts(v starlark.Value) ([]string, error) {
	switch v := v.(type) {
	case nil, starlark.NoneType:
		return nil, nil
	case starlark.String:
		return []string{string(v)}, nil
	case starlark.Iterable:
		var all []string
		for item := range starlark.Elements(v) {
			s, ok := starlark.AsString(item)
			if !ok {
				return nil, fmt.Errorf("want strings, got %s", item)
			}
			all = append(all, s)
		}
		return all, nil
	default:
		return nil, fmt.Errorf("want a string or a list of strings, got %s", v)
	}
}

// into is texts for several values.
func into(pairs map[*[]string]starlark.Value) error {
	for target, value := range pairs {
		all, err := texts(value)
		if err != nil {
			return err
		}
		*target = all
	}
	return nil
}

// command is a command as Tilt runs it: a string by the shell.
func command(v starlark.Value) ([]string, error) {
	if s, ok := v.(starlark.String); ok {
		return []string{"sh", "-c", string(s)}, nil
	}
	return texts(v)
}

func (l *loaded) define(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name, usage string
	var positional bool
	err := starlark.UnpackArgs(fn.Name(), args, kwargs, "name", &name, "args?", &positional, "usage?", &usage)
	l.defined[name] = true
	return starlark.None, err
}

func (l *loaded) parse(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs(fn.Name(), args, kwargs); err != nil {
		return nil, err
	}
	settings := starlark.NewDict(len(l.settings))
	for name, value := range l.settings {
		if !l.defined[name] {
			return nil, fmt.Errorf("unknown flag: --%s", name)
		}
		if err := settings.SetKey(starlark.String(name), value); err != nil {
			return nil, err
		}
	}
	return settings, nil
}

var commit = regexp.MustCompile(`^[0-9a-f]{40}$`)

func (l *loaded) extensionRepo(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name, url, ref string
	var labels, annotations *starlark.Dict
	err := starlark.UnpackArgs(fn.Name(), args, kwargs,
		"name", &name, "labels?", &labels, "annotations?", &annotations, "url?", &url, "ref?", &ref)
	if err == nil && (name != "default" || url != "https://github.com/tilt-dev/tilt-extensions" || !commit.MatchString(ref)) {
		err = fmt.Errorf("want a fixed commit of Tilt's extensions, got %s %s %s", name, url, ref)
	}
	l.extRef = ref
	return starlark.None, err
}

func (l *loaded) allowContexts(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var contexts starlark.Value
	if err := starlark.UnpackArgs(fn.Name(), args, kwargs, "contexts", &contexts); err != nil {
		return nil, err
	}
	allowed, err := texts(contexts)
	l.contexts = append(l.contexts, allowed...)
	return starlark.None, err
}

func (l *loaded) k8sContext(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return starlark.String(l.context), starlark.UnpackArgs(fn.Name(), args, kwargs)
}

func blob(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var content string
	err := starlark.UnpackArgs(fn.Name(), args, kwargs, "input", &content)
	return text{starlark.None, content}, err
}

func (l *loaded) local(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var cmd, bat, stdin starlark.Value
	var quiet, echoOff bool
	var env *starlark.Dict
	var dir string
	err := starlark.UnpackArgs(fn.Name(), args, kwargs, "command", &cmd, "quiet?", &quiet, "command_bat?", &bat,
		"echo_off?", &echoOff, "env?", &env, "dir?", &dir, "stdin?", &stdin)
	if err != nil {
		return nil, err
	}
	argv, err := command(cmd)
	if err != nil {
		return nil, err
	}
	l.commands = append(l.commands, argv)
	out, err := execute(argv)
	return text{starlark.None, out}, err
}

// helm renders as Tilt does: with the definitions, without the chart's tests.
func (l *loaded) helm(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var chart, name, namespace, kubeVersion string
	var files, set starlark.Value
	var skipDefinitions bool
	err := starlark.UnpackArgs(fn.Name(), args, kwargs, "paths", &chart, "name?", &name, "namespace?", &namespace,
		"values?", &files, "set?", &set, "kube_version?", &kubeVersion, "skip_crds?", &skipDefinitions)
	if err != nil {
		return nil, err
	}
	argv := []string{"helm", "template", name, chart}
	if !skipDefinitions {
		argv = append(argv, "--include-crds")
	}
	argv = append(argv, "--namespace", namespace)
	values, err := texts(set)
	if err != nil {
		return nil, err
	}
	for _, value := range values {
		argv = append(argv, "--set", value)
	}
	out, err := execute(argv)
	if err != nil {
		return nil, err
	}
	var kept []string
	for document := range strings.SplitSeq(out, "---\n") {
		if !strings.Contains(document, "/templates/tests/") {
			kept = append(kept, document)
		}
	}
	return text{starlark.None, strings.Join(kept, "---\n")}, nil
}

func (l *loaded) k8sYAML(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var source starlark.Value
	var duplicates bool
	if err := starlark.UnpackArgs(fn.Name(), args, kwargs, "yaml", &source, "allow_duplicates?", &duplicates); err != nil {
		return nil, err
	}
	if content, ok := source.(text); ok {
		return starlark.None, l.register(content.content)
	}
	paths, err := texts(source)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		content, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return nil, err
		}
		if err := l.register(string(content)); err != nil {
			return nil, err
		}
	}
	return starlark.None, nil
}

func (l *loaded) customBuild(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var i image
	var tag, outputs string
	var inEnv bool
	var deps, ignore, entrypoint, bat, batVal, imageDeps starlark.Value
	var steps *starlark.List
	err := starlark.UnpackArgs(fn.Name(), args, kwargs, "ref", &i.ref, "command", &i.command, "deps", &deps, "tag?", &tag,
		"disable_push?", &i.noPush, "skips_local_docker?", &i.skipsDocker, "live_update?", &steps, "match_in_env_vars?", &inEnv,
		"ignore?", &ignore, "entrypoint?", &entrypoint, "command_bat_val?", &batVal, "outputs_image_ref_to?", &outputs,
		"command_bat?", &bat, "image_deps?", &imageDeps)
	if err != nil {
		return nil, err
	}
	if i.deps, err = texts(deps); err != nil {
		return nil, err
	}
	i.syncs = map[string]string{}
	for item := range steps.Elements() {
		s, ok := item.(step)
		switch {
		case !ok:
			return nil, fmt.Errorf("not a step of a live update: %s", item)
		case s.fallBackOn != nil && len(i.syncs) > 0:
			return nil, errors.New("fall_back_on steps must be first")
		case s.fallBackOn != nil:
			i.fallBackOn = append(i.fallBackOn, s.fallBackOn...)
		default:
			i.syncs[s.from] = s.to
		}
	}
	l.images = append(l.images, i)
	return starlark.None, nil
}

func fallBackOn(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var files starlark.Value
	if err := starlark.UnpackArgs(fn.Name(), args, kwargs, "files", &files); err != nil {
		return nil, err
	}
	paths, err := texts(files)
	return step{Value: starlark.None, fallBackOn: paths}, err
}

func syncStep(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	s := step{Value: starlark.None}
	err := starlark.UnpackArgs(fn.Name(), args, kwargs, "local_path", &s.from, "remote_path", &s.to)
	return s, err
}

func link(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var url, name string
	err := starlark.UnpackArgs(fn.Name(), args, kwargs, "url", &url, "name?", &name)
	return starlark.String(url), err
}

func (l *loaded) k8sResource(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var o resourceOptions
	var forwards, selectors, after, objects, links, labels starlark.Value
	var mode, readiness, discovery string
	autoInit := true
	err := starlark.UnpackArgs(fn.Name(), args, kwargs, "workload?", &o.workload, "new_name?", &o.newName,
		"port_forwards?", &forwards, "extra_pod_selectors?", &selectors, "trigger_mode?", &mode, "resource_deps?", &after,
		"objects?", &objects, "auto_init?", &autoInit, "pod_readiness?", &readiness, "links?", &links, "labels?", &labels,
		"discovery_strategy?", &discovery)
	if err != nil {
		return nil, err
	}
	var names []string
	err = into(map[*[]string]starlark.Value{&o.forwards: forwards, &o.after: after, &o.objects: objects, &o.links: links, &names: labels})
	if err != nil {
		return nil, err
	}
	if o.workload == "" && (len(o.objects) == 0 || o.newName == "") {
		return nil, errors.New("k8s_resource names neither a workload nor a new resource of objects")
	}
	l.options = append(l.options, o)
	return starlark.None, checkLabels(names)
}

func (l *loaded) localResource(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r := localResource{autoInit: true}
	var cmd, deps, after, ignore, serve, bat, serveBat, links, tags, probe, labels starlark.Value
	var mode, dir, serveDir string
	var parallel bool
	var env, serveEnv *starlark.Dict
	err := starlark.UnpackArgs(fn.Name(), args, kwargs, "name", &r.name, "cmd?", &cmd, "deps?", &deps, "trigger_mode?", &mode,
		"resource_deps?", &after, "ignore?", &ignore, "auto_init?", &r.autoInit, "serve_cmd?", &serve, "cmd_bat?", &bat,
		"serve_cmd_bat?", &serveBat, "allow_parallel?", &parallel, "links?", &links, "tags?", &tags, "env?", &env,
		"serve_env?", &serveEnv, "readiness_probe?", &probe, "dir?", &dir, "serve_dir?", &serveDir, "labels?", &labels)
	if err != nil {
		return nil, err
	}
	if r.command, err = command(cmd); err != nil {
		return nil, err
	}
	var names []string
	if err := into(map[*[]string]starlark.Value{&r.deps: deps, &r.after: after, &names: labels}); err != nil {
		return nil, err
	}
	r.manual, r.server = mode == "manual", serve != nil
	for _, other := range l.locals {
		if other.name == r.name {
			return nil, fmt.Errorf("local resource %s has been defined multiple times", r.name)
		}
	}
	l.locals = append(l.locals, r)
	return starlark.None, checkLabels(names)
}

var label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)

func checkLabels(labels []string) error {
	for _, l := range labels {
		if !label.MatchString(l) {
			return fmt.Errorf("bad label %q", l)
		}
	}
	return nil
}

// cmdButton is of the extension uibutton.
func (l *loaded) cmdButton(_ *starlark.Thread, fn *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	b := button{location: "resource"}
	var resource, icon, svg string
	var argv, inputs starlark.Value
	var disabled bool
	err := starlark.UnpackArgs(fn.Name(), args, kwargs, "name", &b.name, "resource?", &resource, "argv?", &argv, "text?", &b.text,
		"location?", &b.location, "icon_name?", &icon, "icon_svg?", &svg, "inputs?", &inputs, "disabled?", &disabled,
		"requires_confirmation?", &b.confirm)
	if err != nil {
		return nil, err
	}
	if b.argv, err = texts(argv); err != nil {
		return nil, err
	}
	if len(b.argv) == 0 || b.location == "resource" && resource == "" {
		return nil, fmt.Errorf("button %s: no command, or no place", b.name)
	}
	l.buttons = append(l.buttons, b)
	return starlark.None, nil
}

package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// FileEnv names the configuration file, where no flag does.
const FileEnv = "CIRCLE15_CONFIG"

// elsewhere are the variables of the platform that are not settings of the services.
var elsewhere = []string{
	FileEnv,
	"CIRCLE15_OPERATOR_DATABASE_URL", // of the commands token and tenant
	"CIRCLE15_ADMIN_DATABASE_URL",    // of the command database
	"CIRCLE15_OPERATOR_PASSWORD",
	"CIRCLE15_APP_PASSWORD",
	"CIRCLE15_POSTGRES_BIN", // of the embedded PostgreSQL
	"CIRCLE15_POSTGRES_REPOSITORY",
	"CIRCLE15_TEST_POSTGRES_BIN",
}

// kubernetesLink matches the variables that Kubernetes sets in every Pod for a Service whose name starts with circle15.
var kubernetesLink = regexp.MustCompile(`^CIRCLE15(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_[A-Z0-9_]+)?)$`)

// AddFlags gives the flag set a flag for every setting that may have one, and --config for the file.
func AddFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "configuration file (YAML; "+FileEnv+")")
	for _, s := range Settings() {
		if s.Flag != "" {
			f := flags.VarPF(&text{}, s.Flag, "", s.Doc+" ("+s.Env+")")
			f.DefValue = s.Default
			if s.kind.Kind() == reflect.Bool {
				f.NoOptDefVal = "true"
			}
		}
	}
}

// text is a flag's value as written; what it must be is known to decode, which says the same of all sources.
type text struct{ value string }

func (t *text) String() string     { return t.value }
func (t *text) Set(s string) error { t.value = s; return nil }
func (*text) Type() string         { return "value" }

// Load reads the configuration: flags is parsed and has AddFlags' flags, or is nil; environ is as of os.Environ.
// The error is one sentence for each thing wrong.
func Load(flags *pflag.FlagSet, environ []string) (Config, error) {
	file, err := fromFile(fileOf(flags, environ))
	if err != nil {
		return Config{}, err
	}
	env, err := fromEnv(environ)
	if err != nil {
		return Config{}, err
	}
	config := Default()
	k := koanf.New(".")
	for _, layer := range []map[string]any{file, env, fromFlags(flags)} {
		if err := k.Load(confmap.Provider(layer, ""), nil); err != nil {
			return Config{}, err
		}
	}
	if err := decode(k, &config); err != nil {
		return Config{}, err
	}
	if err := readSecrets(&config); err != nil {
		return Config{}, err
	}
	return config, check(&config)
}

func fileOf(flags *pflag.FlagSet, environ []string) string {
	if flags != nil {
		if f := flags.Lookup("config"); f != nil && f.Changed {
			return f.Value.String()
		}
	}
	for _, pair := range environ {
		if value, ok := strings.CutPrefix(pair, FileEnv+"="); ok {
			return value
		}
	}
	return ""
}

// fromFile reads the YAML file, none for an empty path.
func fromFile(path string) (map[string]any, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration file cannot be read: %w", err)
	}
	values, err := yaml.Parser().Unmarshal(data)
	if err != nil {
		return nil, fmt.Errorf("the configuration file %s is not YAML: %w", path, err)
	}
	var problems []error
	for _, key := range unknownKeys(values, reflect.TypeFor[Config](), "") {
		problems = append(problems, fmt.Errorf("the configuration file %s has an unknown setting %q%s", path, key, suggestion(key)))
	}
	for _, key := range secretKeys(values, reflect.TypeFor[Config](), "") {
		problems = append(problems, fmt.Errorf(
			"the configuration file %s holds the secret %q: set %s, or %sFile to a file that holds it", path, key, envPrefix+envName(key), key))
	}
	return values, errors.Join(problems...)
}

// fromEnv reads the variables whose names start with CIRCLE15_.
func fromEnv(environ []string) (map[string]any, error) {
	values := map[string]any{}
	var problems []error
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(elsewhere, name) || kubernetesLink.MatchString(name) {
			continue
		}
		key, list := keyOfEnv(name)
		switch {
		case key == "":
			problems = append(problems, fmt.Errorf("the environment variable %s is no setting%s", name, envSuggestion(name)))
		case list:
			parsed, err := parseList(value)
			if err != nil {
				problems = append(problems, fmt.Errorf("the environment variable %s: %w", name, err))
			}
			put(values, key, parsed)
		default:
			put(values, key, value)
		}
	}
	return values, errors.Join(problems...)
}

// keyOfEnv is the key of the setting that the variable sets, empty for none, and whether it is a list.
func keyOfEnv(name string) (key string, list bool) {
	for _, s := range Settings() {
		if before, after, named := strings.Cut(s.Env, anyName); named {
			middle, ok := strings.CutPrefix(name, before)
			if middle, ok2 := strings.CutSuffix(middle, after); ok && ok2 && middle != "" {
				return strings.Replace(s.Key, anyName, strings.ToLower(middle), 1), false
			}
		} else if s.Env == name {
			return s.Key, s.kind.Kind() == reflect.Slice
		}
	}
	return "", false
}

// parseList reads a list written as YAML or JSON.
func parseList(value string) (any, error) {
	parsed, err := yaml.Parser().Unmarshal([]byte("list: " + value))
	if err != nil {
		return nil, fmt.Errorf("want a list in JSON or YAML on one line: %w", err)
	}
	if _, ok := parsed["list"].([]any); !ok {
		return nil, errors.New("want a list in JSON or YAML on one line")
	}
	return parsed["list"], nil
}

func fromFlags(flags *pflag.FlagSet) map[string]any {
	values := map[string]any{}
	if flags == nil {
		return values
	}
	for _, s := range Settings() {
		if f := flags.Lookup(s.Flag); s.Flag != "" && f != nil && f.Changed {
			put(values, s.Key, f.Value.String())
		}
	}
	return values
}

// put sets a dotted key in nested maps.
func put(values map[string]any, key string, value any) {
	parts := strings.Split(key, ".")
	for _, part := range parts[:len(parts)-1] {
		next, ok := values[part].(map[string]any)
		if !ok {
			next = map[string]any{}
			values[part] = next
		}
		values = next
	}
	values[parts[len(parts)-1]] = value
}

func decode(k *koanf.Koanf, config *Config) error {
	err := k.UnmarshalWithConf("", config, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		TagName:          "koanf",
		Result:           config,
		WeaklyTypedInput: true, // the environment and flags hold text
		ErrorUnused:      true,
		DecodeHook:       mapstructure.StringToTimeDurationHookFunc(),
	}})
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*mapstructure.DecodeError](err); ok {
		return fmt.Errorf("the setting %q has a value of the wrong type: %w", wrong.Name(), wrong.Unwrap())
	}
	return err
}

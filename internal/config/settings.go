package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// Setting is one setting: a leaf of Config.
type Setting struct {
	Key     string // "limits.requestsPerSecond"; a NAME in it stands for any name
	Env     string // "CIRCLE15_LIMITS_REQUESTS_PER_SECOND"
	Flag    string // "limits-requests-per-second"; empty where there is none
	Default string
	Doc     string
	Secret  bool
	kind    reflect.Type
}

// envPrefix is that of all variables of the platform.
const envPrefix = "CIRCLE15_"

// anyName stands for a map's key in a setting's key.
const anyName = "NAME"

// Settings are all settings, in the order of Config.
func Settings() []Setting {
	return settingsOf(reflect.ValueOf(Default()), "")
}

func settingsOf(v reflect.Value, prefix string) []Setting {
	var all []Setting
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key := prefix + field.Tag.Get("koanf")
		switch {
		case field.Type.Kind() == reflect.Struct:
			all = append(all, settingsOf(v.Field(i), key+".")...)
		case field.Type.Kind() == reflect.Map:
			all = append(all, settingsOf(reflect.Zero(field.Type.Elem()), key+"."+anyName+".")...)
		default:
			all = append(all, newSetting(key, field, v.Field(i)))
		}
	}
	return all
}

func newSetting(key string, field reflect.StructField, value reflect.Value) Setting {
	s := Setting{
		Key: key, Env: envPrefix + envName(key), Doc: field.Tag.Get("doc"), kind: field.Type,
		Secret: field.Tag.Get("secret") == "true",
	}
	if !s.Secret && field.Type.Kind() != reflect.Slice && !strings.Contains(key, anyName) {
		s.Flag = strings.ToLower(strings.ReplaceAll(envName(key), "_", "-"))
	}
	if !value.IsZero() {
		s.Default = fmt.Sprint(value.Interface())
		if d, ok := reflect.TypeAssert[time.Duration](value); ok {
			s.Default = shortDuration(d)
		}
	}
	return s
}

// shortDuration writes 2m0s as 2m.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// envName turns "limits.requestsPerSecond" into "LIMITS_REQUESTS_PER_SECOND".
func envName(key string) string {
	var out strings.Builder
	var before rune
	for _, r := range key {
		if unicode.IsUpper(r) && unicode.IsLower(before) {
			out.WriteByte('_')
		}
		before = r
		if r == '.' {
			r = '_'
		}
		out.WriteRune(unicode.ToUpper(r))
	}
	return out.String()
}

// Table is the settings as a table of Markdown.
func Table() string {
	var out strings.Builder
	out.WriteString("| Setting | Environment | Default | What it is |\n| --- | --- | --- | --- |\n")
	for _, s := range Settings() {
		def := ""
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&out, "| `%s` | `%s` | %s | %s |\n", s.Key, s.Env, def, s.Doc)
	}
	out.WriteString("\nEach entry of `issuers` has:\n\n| Key | What it is |\n| --- | --- |\n")
	issuer := reflect.TypeFor[Issuer]()
	for field := range issuer.Fields() {
		fmt.Fprintf(&out, "| `%s` | %s |\n", field.Tag.Get("koanf"), field.Tag.Get("doc"))
	}
	return out.String()
}

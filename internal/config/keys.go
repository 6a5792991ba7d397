package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// unknownKeys are the keys of the file that name no setting, sorted.
func unknownKeys(values map[string]any, config reflect.Type, prefix string) []string {
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		field, ok := fieldOf(config, key)
		if !ok {
			unknown = append(unknown, prefix+key)
			continue
		}
		unknown = append(unknown, unknownBelow(values[key], field.Type, prefix+key)...)
	}
	return unknown
}

func unknownBelow(value any, t reflect.Type, key string) []string {
	var unknown []string
	switch inner := value.(type) {
	case map[string]any:
		switch t.Kind() {
		case reflect.Struct:
			unknown = unknownKeys(inner, t, key+".")
		case reflect.Map:
			for _, name := range slices.Sorted(maps.Keys(inner)) {
				unknown = append(unknown, unknownBelow(inner[name], t.Elem(), key+"."+name)...)
			}
		default:
			unknown = []string{key}
		}
	case []any:
		for i, element := range inner {
			if t.Kind() == reflect.Slice {
				unknown = append(unknown, unknownBelow(element, t.Elem(), fmt.Sprintf("%s[%d]", key, i))...)
			}
		}
	}
	return unknown
}

// secretKeys are the keys of the file that hold secrets, sorted. What stands in the place of a secret where a configuration
// is shown (Config.YAML) is none, and is dropped.
func secretKeys(values map[string]any, config reflect.Type, prefix string) []string {
	var secrets []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		field, ok := fieldOf(config, key)
		if !ok {
			continue
		}
		inner, isMap := values[key].(map[string]any)
		switch {
		case field.Tag.Get("secret") == "true" && (values[key] == "" || values[key] == redacted):
			delete(values, key)
		case field.Tag.Get("secret") == "true":
			secrets = append(secrets, prefix+key)
		case isMap && field.Type.Kind() == reflect.Struct:
			secrets = append(secrets, secretKeys(inner, field.Type, prefix+key+".")...)
		case isMap && field.Type.Kind() == reflect.Map:
			for _, name := range slices.Sorted(maps.Keys(inner)) {
				if entry, ok := inner[name].(map[string]any); ok {
					secrets = append(secrets, secretKeys(entry, field.Type.Elem(), prefix+key+"."+name+".")...)
				}
			}
		}
	}
	return secrets
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for field := range t.Fields() {
		if field.Tag.Get("koanf") == key {
			return field, true
		}
	}
	return reflect.StructField{}, false
}

// suggestion names the setting that was probably meant.
func suggestion(key string) string {
	best := closest(key, func(s Setting) string { return s.Key })
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

func envSuggestion(name string) string {
	best := closest(strings.TrimPrefix(name, envPrefix), func(s Setting) string { return strings.TrimPrefix(s.Env, envPrefix) })
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s%s?", envPrefix, best)
}

// maxTypos is how many letters a word may differ from the one that was meant, and a third of its letters at most: a short
// word is near to every other.
const maxTypos = 3

func closest(word string, of func(Setting) string) string {
	best, least := "", min(maxTypos, len(word)/3)+1
	for _, s := range Settings() {
		if d := distance(strings.ToLower(word), strings.ToLower(of(s))); d < least {
			best, least = of(s), d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

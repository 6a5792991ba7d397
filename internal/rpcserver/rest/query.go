package rest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"circle15.dev/internal/apierr"
)

// maxShownName bounds a name of the client's own making in an answer, in bytes.
const maxShownName = 100

// checkQuery parses the query and refuses what the route does not take: unknown parameters, a singular one given more
// than once (also by its other name), text that is not UTF-8. A field mask may use the names of the JSON (householdId), as
// its JSON form does (AIP-161); the generated handlers know those of the proto alone.
func (r *route) checkQuery(raw string) (url.Values, error) {
	if raw == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, apierr.InvalidField("query", "is not a well-formed query string")
	}
	out := apierr.New(apierr.Invalid, "the query is not valid")
	seen := map[string]bool{}
	for _, name := range sortedKeys(values) {
		p, known := r.query[name]
		switch {
		case !known:
			out = out.With(shown(name), "is not a parameter of this method")
		case seen[p.name] || len(values[name]) > 1 && !p.field.IsList():
			out = out.With(p.name, "is given more than once")
		case !slices.ContainsFunc(values[name], func(v string) bool { return !utf8.ValidString(v) }):
			seen[p.name] = true
			if p.isFieldMask() {
				values.Set(name, snakeCase(values.Get(name)))
			}
		default:
			out = out.With(p.name, "must be UTF-8")
		}
	}
	if len(out.Fields) == 0 {
		return values, nil
	}
	out.Message = fmt.Sprintf("%s: %s", out.Fields[0].Name, out.Fields[0].Description)
	return nil, out
}

// snakeCase writes householdId as household_id; no field of the platform has a capital in its proto name.
func snakeCase(path string) string {
	var out strings.Builder
	for i := range len(path) {
		if c := path[i]; 'A' <= c && c <= 'Z' {
			out.WriteByte('_')
			out.WriteByte(c - 'A' + 'a')
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

func sortedKeys(values url.Values) []string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// shown is a name that the client made up, fit to be shown; an empty one is shown as two quotes.
func shown(name string) string {
	if name == "" {
		return `""`
	}
	name = strings.ToValidUTF8(name, "�")
	if len(name) > maxShownName {
		name = strings.ToValidUTF8(name[:maxShownName], "") + "…"
	}
	return name
}

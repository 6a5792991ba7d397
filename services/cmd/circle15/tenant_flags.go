package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"circle15.dev/operator/provision"
)

// flagOf are the flags of "tenant create" by the fields of provision.Spec that they set.
var flagOf = map[string]string{
	"name":                     "NAME",
	"level":                    "--level",
	"parent":                   "--parent",
	"divisionCode":             "--division",
	"displayNameZh":            "--name-zh",
	"displayNameEn":            "--name-en",
	"standardsPack":            "--standards",
	"deletionPolicy":           "--deletion-policy",
	"policy.grants":            "--grant",
	"quotas.stations":          "--max-stations",
	"quotas.staff":             "--max-staff",
	"quotas.residents":         "--max-residents",
	"quotas.requestsPerSecond": "--max-requests-per-second",
}

// inFlags names the flag where a refusal names the field that it sets.
func inFlags(err error) error {
	refusal, ok := errors.AsType[*provision.Refusal](err)
	if !ok {
		return err
	}
	flag, known := flagOf[refusal.Field]
	if !known {
		return err
	}
	named := *refusal
	named.Message = flag + strings.TrimPrefix(refusal.Message, refusal.Field)
	return &named
}

// oneOf refuses a value of a filter that no tenant can have; empty is no filter.
func oneOf[T ~string](flag string, value T, known ...T) error {
	if value == "" || slices.Contains(known, value) {
		return nil
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	last := len(names) - 1
	return fmt.Errorf("%s %q: want %s or %s", flag, value, strings.Join(names[:last], ", "), names[last])
}

package tenant_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"circle15.dev/internal/tenant"
)

// rule is Name's, as its documentation and the definitions of the Kubernetes API put it.
var rule = regexp.MustCompile(`\A[a-z][a-z0-9-]{0,38}[a-z0-9]\z`)

func FuzzANameIsTakenExactlyWhenTheRuleAllowsIt(f *testing.F) {
	for _, s := range []string{
		"haikou", "hk", "h", "", "a-b", "a--b", "-ab", "ab-", "1ab", "a1", "Haikou", "a_b", "a b", "ab\n", "海口", "a\x00b",
		strings.Repeat("a", tenant.MaxNameLength), strings.Repeat("a", tenant.MaxNameLength+1),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := tenant.ParseName(s)
		if want := rule.MatchString(s); want != (err == nil) {
			t.Fatalf("ParseName(%q): %v; the rule says %v", s, err, want)
		}
		if err == nil && string(name) != s {
			t.Fatalf("ParseName(%q) is %q", s, name)
		}
	})
}

func TestTwoNamesNeverShareASchemaAndEachSchemaTellsItsTenant(t *testing.T) {
	const alphabet = "a1-"
	seen := map[string]tenant.Name{}
	var try func(prefix string)
	try = func(prefix string) {
		if name, err := tenant.ParseName(prefix); err == nil {
			if other, taken := seen[name.Schema()]; taken {
				t.Errorf("%s and %s are both in %s", name, other, name.Schema())
			}
			seen[name.Schema()] = name
			if back := tenant.OfSchema(name.Schema()); back != name {
				t.Errorf("the schema of %s is told to be that of %s", name, back)
			}
		}
		if len(prefix) < 6 {
			for _, c := range alphabet {
				try(prefix + string(c))
			}
		}
	}
	try("")
	if len(seen) < 100 {
		t.Errorf("looked at %d names", len(seen))
	}
}

func TestAContextWithoutATenantIsAnError(t *testing.T) {
	for what, ctx := range map[string]context.Context{
		"no tenant": t.Context(), "the empty tenant": tenant.With(t.Context(), ""),
	} {
		if name, err := tenant.From(ctx); !errors.Is(err, tenant.ErrAbsent) {
			t.Errorf("%s: %q, %v", what, name, err)
		}
	}
	if name, err := tenant.From(tenant.With(t.Context(), "haikou")); name != "haikou" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
}

package authz

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

var (
	guoxing  = uuid.MustParse("01890000-0000-7000-8000-000000000001")
	binjiang = uuid.MustParse("01890000-0000-7000-8000-000000000002")
	noon     = time.Date(2021, 9, 1, 12, 0, 0, 0, time.UTC)
)

func at(d time.Duration) *time.Time { t := noon.Add(d); return &t }

func compile(t testing.TB, rules []Rule, grants ...Grant) *Snapshot {
	t.Helper()
	s, err := NewCompiler().Compile(Policy{Tenant: "haikou", Version: 1, Rules: rules, Grants: grants})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheWidestLevelOfAllGrantsCounts(t *testing.T) {
	rules := []Rule{
		{"adviser", "cases", "get", LevelOwn},
		{"worker", "cases", "get", LevelStation},
		{"substitute", "cases", Any, LevelStation},
		{"chief", Any, "get", LevelTenant},
	}
	for name, tc := range map[string]struct {
		grants []Grant
		want   Scope
	}{
		"own": {
			[]Grant{{Subject: "lin", Role: "adviser", Station: &guoxing}},
			Scope{LevelOwn, []uuid.UUID{guoxing}, "lin"},
		},
		"station over own, without own's stations": {
			[]Grant{{Subject: "lin", Role: "adviser", Station: &guoxing}, {Subject: "lin", Role: "worker", Station: &binjiang}},
			Scope{LevelStation, []uuid.UUID{binjiang}, "lin"},
		},
		"the stations of all grants of that level": {
			[]Grant{{Subject: "lin", Role: "substitute", Station: &guoxing}, {Subject: "lin", Role: "worker", Station: &binjiang}},
			Scope{LevelStation, []uuid.UUID{guoxing, binjiang}, "lin"},
		},
		"the tenant over all": {
			[]Grant{{Subject: "lin", Role: "worker", Station: &binjiang}, {Subject: "lin", Role: "chief"}},
			Scope{LevelTenant, nil, "lin"},
		},
		"no station for a grant without one": {
			[]Grant{{Subject: "lin", Role: "worker"}},
			Scope{LevelStation, []uuid.UUID{}, "lin"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := compile(t, rules, tc.grants...).Decide("lin", "cases", "get")
			if !ok {
				t.Fatal("denied")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatNoRuleAllowsIsDenied(t *testing.T) {
	s := compile(t, StandardRules(),
		Grant{Subject: "lin", Role: "social_worker", Station: &guoxing}, Grant{Subject: "wu", Role: "no_such_role"})
	for _, tc := range [][3]string{
		{"lin", "cases", "delete"},
		{"lin", "roleGrants", "create"},
		{"lin", "", ""},
		{"lin", Any, Any},
		{"lin", other, other},
		{"wu", "cases", "get"},
		{"nobody", "cases", "get"},
		{"", "cases", "get"},
	} {
		if scope, ok := s.Decide(tc[0], tc[1], tc[2]); ok {
			t.Errorf("%v is allowed: %+v", tc, scope)
		}
	}
}

func TestASubjectNamedLikeARoleDoesNotHoldIt(t *testing.T) {
	s := compile(t, StandardRules())
	for _, subject := range []string{"bureau_admin", "role:bureau_admin", "subject:bureau_admin", Everyone, "role:*"} {
		if _, ok := s.Decide(subject, "cases", "get"); ok {
			t.Errorf("%s is allowed", subject)
		}
		allowed := oracle(t, Policy{Tenant: "haikou", Rules: StandardRules()}, noon)
		if _, ok := allowed(subject, "cases", "get"); ok {
			t.Errorf("casbin allows %s", subject)
		}
	}
}

func TestAGrantOfTheRoleOfEveryoneGivesNothing(t *testing.T) {
	s := compile(t, []Rule{{Everyone, Any, Any, LevelTenant}})
	if _, ok := s.Decide("lin", "cases", "get"); !ok {
		t.Error("a rule of everyone does not reach everyone")
	}
	s = compile(t, StandardRules(), Grant{Subject: "lin", Role: Everyone})
	if _, ok := s.Decide("lin", "cases", "get"); ok {
		t.Error("a grant of everyone's role is a role")
	}
}

func TestEveryoneMayAskWhoTheyAre(t *testing.T) {
	s := compile(t, StandardRules(), Grant{Subject: "lin", Role: "auditor"})
	for _, subject := range []string{"lin", "nobody"} {
		if _, ok := s.Decide(subject, "me", "get"); !ok {
			t.Errorf("%s may not", subject)
		}
	}
}

func TestAGrantEndsAtItsExpiry(t *testing.T) {
	s := compile(t, StandardRules(),
		Grant{Subject: "lin", Role: "station_head", Station: &guoxing, Expires: at(time.Hour)},
		Grant{Subject: "lin", Role: "social_worker", Station: &guoxing, Expires: at(2 * time.Hour)},
		Grant{Subject: "lin", Role: "social_worker", Station: &binjiang, Expires: at(3 * time.Hour)},
	)
	for _, tc := range []struct {
		after time.Duration
		want  Scope
		ok    bool
	}{
		{0, Scope{LevelStation, []uuid.UUID{guoxing}, "lin"}, true},
		{time.Hour - time.Nanosecond, Scope{LevelStation, []uuid.UUID{guoxing}, "lin"}, true},
		{time.Hour, Scope{LevelOwn, []uuid.UUID{guoxing, binjiang}, "lin"}, true},
		{2 * time.Hour, Scope{LevelOwn, []uuid.UUID{binjiang}, "lin"}, true},
		{3 * time.Hour, Scope{}, false},
		{1000 * time.Hour, Scope{}, false},
	} {
		got, ok := s.DecideAt("lin", "cases", "void", noon.Add(tc.after))
		if diff := cmp.Diff(tc.want, got); ok != tc.ok || diff != "" {
			t.Errorf("after %s: %v %s", tc.after, ok, diff)
		}
	}
}

// oracle asks a casbin enforcer that holds the whole policy as of the time.
func oracle(t rapid.TB, p Policy, now time.Time) func(subject, resource, action string) (Level, bool) {
	var holdings [][2]string
	for _, g := range p.Grants {
		if g.active(now) {
			holdings = append(holdings, [2]string{g.Subject, g.Role})
		}
	}
	e, err := newEnforcer(p.Tenant, append(slices.Clone(p.Rules), everyonesRules()...), holdings)
	if err != nil {
		t.Fatal(err)
	}
	return func(subject, resource, action string) (Level, bool) {
		level, ok, err := ask(e, p.Tenant, subject, resource, action)
		if err != nil {
			t.Fatal(err)
		}
		return level, ok
	}
}

// reach is what a scope's stations must be: those of the active grants of roles that casbin alone allows at the level.
func reach(t rapid.TB, p Policy, subject, resource, action string, level Level, now time.Time) []uuid.UUID {
	if !level.byStation() {
		return nil
	}
	stations := []uuid.UUID{}
	for _, g := range p.Grants {
		if g.Subject != subject || g.Station == nil || !g.active(now) {
			continue
		}
		alone := p
		alone.Grants = []Grant{g}
		if l, ok := oracle(t, alone, now)(subject, resource, action); ok && l == level {
			stations = append(stations, *g.Station)
		}
	}
	slices.SortFunc(stations, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(stations)
}

func TestASnapshotAndCasbinAlwaysAgree(t *testing.T) {
	compiler := NewCompiler() // one, so that what it remembers of other policies is tested too
	roles := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	resources := rapid.SampledFrom([]string{Any, "cases", "visits", "needs"})
	actions := rapid.SampledFrom([]string{Any, "get", "list", "void"})
	levels := rapid.SampledFrom([]Level{LevelAggregate, LevelOwn, LevelStation, LevelTenant})
	subjects := rapid.SampledFrom([]string{"lin", "wu", "a", "role:a", "*"})
	stations := rapid.SampledFrom([]*uuid.UUID{nil, &guoxing, &binjiang})
	expiries := rapid.SampledFrom([]*time.Time{nil, at(-time.Hour), at(0), at(time.Hour), at(2 * time.Hour)})

	rapid.Check(t, func(t *rapid.T) {
		p := Policy{Tenant: "haikou", Version: 1}
		p.Rules = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Rule {
			return Rule{roles.Draw(t, "role"), resources.Draw(t, "resource"), actions.Draw(t, "action"), levels.Draw(t, "level")}
		}), 0, 12).Draw(t, "rules")
		p.Grants = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Grant {
			return Grant{subjects.Draw(t, "subject"), roles.Draw(t, "role"), stations.Draw(t, "station"), expiries.Draw(t, "expires")}
		}), 0, 8).Draw(t, "grants")
		now := noon.Add(rapid.SampledFrom([]time.Duration{-2 * time.Hour, -time.Minute, 0, 90 * time.Minute, 3 * time.Hour}).Draw(t, "now"))
		s, err := compiler.Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		casbin := oracle(t, p, now)
		for _, subject := range []string{"lin", "wu", "a", "role:a", "*", "nobody"} {
			for _, resource := range []string{"cases", "visits", "needs", "me", "elsewhere", Any} {
				for _, action := range []string{"get", "list", "void", "elsewise", Any} {
					level, allowed := casbin(subject, resource, action)
					got, ok := s.DecideAt(subject, resource, action, now)
					if ok != allowed || got.Level != level {
						t.Fatalf("%s %s:%s: casbin %q %v, snapshot %q %v", subject, resource, action, level, allowed, got.Level, ok)
					}
					if diff := cmp.Diff(reach(t, p, subject, resource, action, level, now), got.Stations); diff != "" {
						t.Fatalf("%s %s:%s: stations: %s", subject, resource, action, diff)
					}
				}
			}
		}
	})
}

func TestADecisionAllocatesNothing(t *testing.T) {
	s := compile(t, StandardRules(), Grant{Subject: "lin", Role: "social_worker", Station: &guoxing, Expires: at(time.Hour)})
	for _, subject := range []string{"lin", "nobody"} {
		if n := testing.AllocsPerRun(100, func() { s.Decide(subject, "cases", "void") }); n != 0 {
			t.Errorf("%s: %v allocations", subject, n)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, size := range []struct{ subjects, rules int }{{10, 0}, {1000, 0}, {100_000, 0}, {1000, 10_000}} {
		b.Run(strconv.Itoa(size.subjects)+"_subjects_"+strconv.Itoa(size.rules)+"_more_rules", func(b *testing.B) {
			rules, grants := StandardRules(), []Grant{}
			for i := range size.rules {
				rules = append(rules, Rule{"own_" + strconv.Itoa(i/100), "resource" + strconv.Itoa(i%100), "get", LevelTenant})
			}
			for i := range size.subjects {
				grants = append(grants, Grant{Subject: "worker-" + strconv.Itoa(i), Role: "social_worker", Station: &guoxing})
			}
			s := compile(b, rules, grants...)
			for i := 0; b.Loop(); i++ {
				if _, ok := s.Decide("worker-7", "cases", "get"); !ok {
					b.Fatal("denied")
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	policy := Policy{Tenant: "haikou", Version: 1, Rules: StandardRules()}
	for _, role := range StandardRoles() {
		for i := range 20 {
			policy.Grants = append(policy.Grants, Grant{Subject: role.Name + strconv.Itoa(i), Role: role.Name, Station: &guoxing})
		}
	}
	b.Run("first_tenant", func(b *testing.B) {
		for b.Loop() {
			if _, err := NewCompiler().Compile(policy); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("another_tenant", func(b *testing.B) {
		c := NewCompiler()
		for b.Loop() {
			if _, err := c.Compile(policy); err != nil {
				b.Fatal(err)
			}
		}
	})
}

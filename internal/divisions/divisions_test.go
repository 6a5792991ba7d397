package divisions_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"circle15.dev/internal/divisions"
)

func TestTheTableHoldsEveryDivisionOfTheSource(t *testing.T) {
	got := map[divisions.Level]int{}
	for _, level := range []divisions.Level{divisions.Province, divisions.City, divisions.County, divisions.Township} {
		for d := range divisions.All(level) {
			got[level]++
			if d.Name == "" || strings.ContainsAny(d.Name, "\",\r\n") {
				t.Fatalf("%s has the name %q", d.Code, d.Name)
			}
		}
	}
	want := map[divisions.Level]int{divisions.Province: 31, divisions.City: 342, divisions.County: 2978, divisions.Township: 41352}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHaikouHasTwentyOneStreets(t *testing.T) {
	streets := 0
	for _, d := range divisions.Townships("460100") {
		if d.IsStreet() {
			streets++
		}
	}
	if streets != 21 {
		t.Errorf("%d streets, want 21", streets)
	}
}

func TestHeadingsAreNoCities(t *testing.T) {
	var headings []string
	for d := range divisions.All(divisions.City) {
		if d.IsHeading() {
			headings = append(headings, d.Code)
		}
	}
	want := []string{"110100", "120100", "310100", "419000", "429000", "469000", "500100", "500200", "659000"}
	if diff := cmp.Diff(want, headings); diff != "" {
		t.Error(diff)
	}
}

func TestEveryRowIsFoundByItsCodeAndReachesItsProvince(t *testing.T) {
	for _, level := range []divisions.Level{divisions.Province, divisions.City, divisions.County, divisions.Township} {
		for d := range divisions.All(level) {
			if found, ok := divisions.Lookup(d.Code); !ok || found.Name != d.Name {
				t.Fatalf("Lookup(%s) = %v, %v", d.Code, found, ok)
			}
			if !divisions.Within(d.Code, d.Code[:2]+"0000") {
				t.Fatalf("%s does not lie in its province", d.Code)
			}
		}
	}
}

func TestEveryTownshipIsAChildOfItsParent(t *testing.T) {
	children := 0
	seen := map[string]bool{}
	for _, level := range []divisions.Level{divisions.City, divisions.County} {
		for d := range divisions.All(level) {
			if seen[d.Code] { // a city that is its own county
				continue
			}
			seen[d.Code] = true
			for _, c := range divisions.Children(d.Code) {
				if c.Level == divisions.Township {
					children++
				}
			}
		}
	}
	if children != 41352 {
		t.Errorf("%d townships are children, want 41352", children)
	}
}

func TestLookup(t *testing.T) {
	for code, want := range map[string]divisions.Division{
		"460000":       {Code: "460000", Level: divisions.Province, Name: "海南省"},
		"460100":       {Code: "460100", Level: divisions.City, Name: "海口市", Parent: "460000"},
		"460107":       {Code: "460107", Level: divisions.County, Name: "琼山区", Parent: "460100"},
		"460107003":    {Code: "460107003", Level: divisions.Township, Name: "滨江街道", Parent: "460107"},
		"460107003001": {Code: "460107003001", Level: divisions.Community, Parent: "460107003"},
		"441900":       {Code: "441900", Level: divisions.City, Name: "东莞市", Parent: "440000"},
		"659012503":    {Code: "659012503", Level: divisions.Township, Name: "一六三团", Parent: "659012"},
	} {
		if got, ok := divisions.Lookup(code); !ok || got != want {
			t.Errorf("Lookup(%s) = %+v, %v", code, got, ok)
		}
	}
	for _, code := range []string{
		"", "46", "4601", "460199", "460107999", "460107999001", "46010700", "4601070030010", "46010A",
		"460107 03", "４６０１０７", "-60107", "460107\n",
	} {
		if got, ok := divisions.Lookup(code); ok {
			t.Errorf("Lookup(%q) = %+v, want nothing", code, got)
		}
	}
}

func TestAPathReadsFromTheProvinceDown(t *testing.T) {
	for code, want := range map[string]string{
		"460107003":    "海南省 / 海口市 / 琼山区 / 滨江街道",
		"460107003001": "海南省 / 海口市 / 琼山区 / 滨江街道",
		"441900003":    "广东省 / 东莞市 / 东城街道",
		"460000":       "海南省",
		"460199":       "",
	} {
		if got := divisions.Path(code); got != want {
			t.Errorf("Path(%s) = %q, want %q", code, got, want)
		}
	}
}

func TestWithinFollowsTheParents(t *testing.T) {
	for _, tt := range []struct {
		code, ancestor string
		want           bool
	}{
		{"460107003", "460100", true},
		{"460107003001", "460107003", true},
		{"460107003", "460107003", true},
		{"441900003", "441900", true},
		{"441900003", "440000", true},
		{"460107003", "460200", false},
		{"460100", "460107003", false},
		{"460199001", "460000", false},
		{"460107003", "", false},
	} {
		if got := divisions.Within(tt.code, tt.ancestor); got != tt.want {
			t.Errorf("Within(%s, %s) = %v", tt.code, tt.ancestor, got)
		}
	}
}

func TestChildrenAreOneLevelDown(t *testing.T) {
	children := divisions.Children("460100")
	names := make([]string, 0, len(children))
	for _, d := range children {
		names = append(names, d.Name)
	}
	if want := []string{"秀英区", "龙华区", "琼山区", "美兰区"}; !slices.Equal(names, want) {
		t.Errorf("children of Haikou: %v", names)
	}
	if first := divisions.Children("441900")[0]; first.Name != "东城街道" {
		t.Errorf("a city without counties has townships as children, got %v first", first)
	}
	for _, code := range []string{"460107003", "460107003001", "460199", ""} {
		if got := divisions.Children(code); len(got) != 0 {
			t.Errorf("Children(%q) = %v", code, got)
		}
	}
}

func TestTheTableTakesLittleMemory(t *testing.T) {
	divisions.Lookup("460100")
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 10<<20 {
		t.Errorf("%d bytes of heap with the table loaded, want at most 10 MiB", m.HeapAlloc)
	}
}

func FuzzACodeIsADivisionOrNothing(f *testing.F) {
	for _, seed := range []string{"460100", "460107003", "460107003001", "441900", "", "000000", "999999999", "46\x00100", "46010７"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, code string) {
		d, ok := divisions.Lookup(code)
		if !ok {
			if divisions.Path(code) != "" || divisions.Children(code) != nil || divisions.Within(code, "460000") {
				t.Fatalf("%q is unknown, yet has a place", code)
			}
			return
		}
		if d.Code != code || (len(code) != 6 && len(code) != 9 && len(code) != 12) {
			t.Fatalf("Lookup(%q) = %+v", code, d)
		}
		if divisions.Path(code) == "" || !divisions.Within(code, code[:2]+"0000") {
			t.Fatalf("%q has no path to its province", code)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	divisions.Lookup("460100")
	b.ReportAllocs()
	for b.Loop() {
		divisions.Lookup("460107003")
	}
}

package visits

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
)

func day(n int) *time.Time {
	d := time.Date(2021, 6, 1+n, 0, 0, 0, 0, time.UTC)
	return &d
}

// wantFault checks the kind of an error and, for Invalid, its first field.
func wantFault(t *testing.T, err error, kind apierr.Kind, field string) {
	t.Helper()
	var fault *apierr.Error
	if !errors.As(err, &fault) || fault.Kind != kind {
		t.Fatalf("got %v, want kind %s", err, kind)
	}
	if field != "" && (len(fault.Fields) == 0 || fault.Fields[0].Name != field) {
		t.Fatalf("got fields %v, want %s", fault.Fields, field)
	}
}

func TestTheStatesOfAVisit(t *testing.T) {
	allowed := map[[2]state]bool{{planned, completed}: true, {planned, cancelled}: true, {completed, void}: true}
	all := []state{planned, completed, cancelled, void}
	for _, from := range all {
		for _, next := range all {
			now, err := from.to(next)
			if allowed[[2]state{from, next}] {
				if err != nil || now != next {
					t.Errorf("%s to %s: %s, %v", from, next, now, err)
				}
				continue
			}
			wantFault(t, err, apierr.Conflict, "")
		}
		if want := from == planned || from == completed; (from.changeable() == nil) != want {
			t.Errorf("changeable in %s: %v", from, from.changeable())
		}
	}
}

func TestWhatAVisitTells(t *testing.T) {
	three := []uuid.UUID{ids.New(), ids.New(), ids.New()}
	done := content{VisitDate: day(0), DurationMinutes: 30, Findings: "well"}
	with := func(change func(*content)) content {
		c := done
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		told    content
		as      state
		field   string // "" for a visit that is good
		persons int32
	}{
		"alone":                  {told: done, as: completed, persons: 1},
		"with three":             {told: with(func(c *content) { c.ResidentIDs = three }), as: completed, persons: 3},
		"with three and more":    {told: with(func(c *content) { c.ResidentIDs, c.PersonsServed = three, 5 }), as: completed, persons: 5},
		"with three told as two": {told: with(func(c *content) { c.ResidentIDs, c.PersonsServed = three, 2 }), as: completed, field: "personsServed"},
		"void":                   {told: done, as: void, persons: 1},
		"without a day":          {told: with(func(c *content) { c.VisitDate = nil }), as: completed, field: "visitDate"},
		"without a duration":     {told: with(func(c *content) { c.DurationMinutes = 0 }), as: completed, field: "durationMinutes"},
		"without findings":       {told: with(func(c *content) { c.Findings = " " }), as: completed, field: "findings"},
		"planned":                {told: content{PlannedDate: day(9), ResidentIDs: three}, as: planned},
		"planned for no day":     {told: content{}, as: planned, field: "plannedDate"},
		"planned and done":       {told: content{PlannedDate: day(9), VisitDate: day(0)}, as: planned, field: "visitDate"},
		"planned with findings":  {told: content{PlannedDate: day(9), Findings: "well"}, as: planned, field: "findings"},
		"planned with persons":   {told: content{PlannedDate: day(9), PersonsServed: 1}, as: planned, field: "personsServed"},
		"planned with duration":  {told: content{PlannedDate: day(9), DurationMinutes: 1}, as: planned, field: "durationMinutes"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.told.check("visit.", c.as)
			if c.field != "" {
				wantFault(t, err, apierr.Invalid, "visit."+c.field)
				return
			}
			if err != nil || got.PersonsServed != c.persons {
				t.Fatalf("got %d person-times, %v", got.PersonsServed, err)
			}
		})
	}
}

func anyContent(t *rapid.T) content {
	pool := []uuid.UUID{{1}, {2}, {3}}
	optional := func(name string) *time.Time {
		if n := rapid.IntRange(-1, 2).Draw(t, name); n >= 0 {
			return day(n)
		}
		return nil
	}
	c := content{
		HouseholdID: rapid.SampledFrom(pool).Draw(t, "household"), StaffID: rapid.SampledFrom(pool).Draw(t, "staff"),
		Kind: rapid.SampledFrom([]kind{home, phone, atStation}).Draw(t, "kind"), Domain: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "domain"),
		PlannedDate: optional("planned"), VisitDate: optional("visited"), DurationMinutes: rapid.Int32Range(0, 2).Draw(t, "duration"),
		PersonsServed: rapid.Int32Range(0, 4).Draw(t, "persons"), Findings: rapid.SampledFrom([]string{"", "well"}).Draw(t, "findings"),
		ResidentIDs: rapid.SliceOfNDistinct(rapid.SampledFrom(pool), 0, 3, rapid.ID[uuid.UUID]).Draw(t, "residents"),
	}
	if rapid.Bool().Draw(t, "of a case") {
		c.CaseID = &pool[0]
	}
	return c
}

func TestAVisitIsTheSameInWhateverOrderItsResidentsCome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyContent(t), anyContent(t)
		if a.same(b) != b.same(a) {
			t.Fatalf("%+v and %+v", a, b)
		}
		turned := a
		turned.ResidentIDs = slices.Clone(a.ResidentIDs)
		slices.Reverse(turned.ResidentIDs)
		if !a.same(turned) {
			t.Fatalf("%+v and %+v", a, turned)
		}
		turned.Findings += "."
		if a.same(turned) {
			t.Fatal("other findings were not noticed")
		}
	})
}

func TestOnlyCompletedVisitsCountAndEveryPersonOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		told, err := anyContent(t).tookPlace("")
		if err != nil {
			return
		}
		if told.PersonsServed < 1 || int(told.PersonsServed) < len(told.ResidentIDs) {
			t.Fatalf("%d person-times for %d residents", told.PersonsServed, len(told.ResidentIDs))
		}
		for _, s := range []state{planned, completed, cancelled, void} {
			sums := map[facts.Measure]int32{}
			for _, f := range (visitRow{content: told, State: s}).facts() {
				sums[f.Measure] += f.Amount
			}
			want := map[facts.Measure]int32{}
			if s == completed {
				want[facts.PersonTimes] = told.PersonsServed
				if told.Kind == home {
					want[facts.HomeVisit] = 1
				}
			}
			if len(sums) != len(want) || sums[facts.PersonTimes] != want[facts.PersonTimes] || sums[facts.HomeVisit] != want[facts.HomeVisit] {
				t.Fatalf("%s counts %v, want %v", s, sums, want)
			}
		}
	})
}

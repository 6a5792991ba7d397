package standards_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	activitiesv1 "circle15.dev/api/activities/v1"
	casesv1 "circle15.dev/api/cases/v1"
	reportingv1 "circle15.dev/api/reporting/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/standards"
)

func TestACodeOfTheListPassesAndAnotherNamesTheField(t *testing.T) {
	ctx := context.Background()
	for list, code := range map[string]string{
		standards.Domains:         "child_welfare",
		standards.Tiers:           "minimum_living_allowance",
		standards.Categories:      standards.Disabled,
		standards.DisabilityTypes: "visual",
		standards.NeedSources:     "phone_call",
	} {
		if err := standards.Check(ctx, "need.domain", list, code); err != nil {
			t.Errorf("%s has no %s: %v", list, code, err)
		}
		for _, bad := range []string{"", "unknown", strings.ToUpper(code), code + " "} {
			var invalid *apierr.Error
			err := standards.Check(ctx, "need.domain", list, bad)
			if !errors.As(err, &invalid) || invalid.Kind != apierr.Invalid || invalid.Fields[0].Name != "need.domain" {
				t.Errorf("%s %q: %v", list, bad, err)
			}
		}
	}
	if err := standards.CheckAny(ctx, "f", "very_old", standards.Tiers, standards.Categories); err != nil {
		t.Error(err)
	}
	if err := standards.CheckAny(ctx, "f", "child_welfare", standards.Tiers, standards.Categories); err == nil {
		t.Error("a domain passed for a tier or category")
	}
}

func TestStagesOfThePackAreThoseOfTheAPI(t *testing.T) {
	for list, enum := range map[string]protoreflect.EnumDescriptor{
		"caseStages":  casesv1.CaseStage(0).Descriptor(),
		"groupStages": activitiesv1.GroupStage(0).Descriptor(),
	} {
		var want []string
		for i := range enum.Values().Len() {
			name := string(enum.Values().Get(i).Name())
			if !strings.HasSuffix(name, "_UNSPECIFIED") && !strings.HasSuffix(name, "_VOID") {
				want = append(want, name)
			}
		}
		if got := codes(t, list); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", list, got, want)
		}
	}
}

func TestMeasuresOfThePackAreThoseOfTheReportAndHaveUnits(t *testing.T) {
	fields := (&reportingv1.WorkMeasures{}).ProtoReflect().Descriptor().Fields()
	want := make([]string, 0, fields.Len())
	for i := range fields.Len() {
		want = append(want, fields.Get(i).JSONName())
	}
	if got := codes(t, "measures"); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, list := range standards.For(context.Background()).Lists {
		for _, c := range list.Codes {
			if hasUnit := c.UnitZh != "" && c.UnitEn != ""; hasUnit != (list.Name == "measures") {
				t.Errorf("%s.%s: units %q, %q", list.Name, c.Code, c.UnitZh, c.UnitEn)
			}
		}
	}
}

func TestThePackInForceIsAmongTheKnownOnes(t *testing.T) {
	if id := standards.For(context.Background()).ID(); id != "china-2021.1" || !slices.Contains(standards.Known(), id) {
		t.Errorf("%s is in force; known are %v", id, standards.Known())
	}
}

func TestABadPackIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":              "",
		"no version":         "name: a\nlists: {domains: []}",
		"lists not a map":    "name: a\nversion: '1'\nlists: [a]",
		"unknown key":        "name: a\nversion: '1'\nlists: {}\nextra: 1",
		"unknown key inside": "name: a\nversion: '1'\nlists: {domains: [{code: a, zh: a, en: a, jp: a}]}",
		"no label":           "name: a\nversion: '1'\nlists: {domains: [{code: a, zh: a}]}",
		"code twice":         "name: a\nversion: '1'\nlists: {domains: [{code: a, zh: a, en: a}, {code: a, zh: b, en: b}]}",
		"not YAML":           "\tname",
	} {
		if _, err := standards.Parse([]byte(text)); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
}

func codes(t *testing.T, list string) []string {
	t.Helper()
	var codes []string
	for _, l := range standards.For(context.Background()).Lists {
		if l.Name == list {
			for _, c := range l.Codes {
				codes = append(codes, c.Code)
			}
		}
	}
	return codes
}

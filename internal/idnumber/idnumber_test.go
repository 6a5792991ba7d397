package idnumber_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"circle15.dev/internal/divisions"
	"circle15.dev/internal/idnumber"
)

var today = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func TestTheExamplesOfTheStandardAreValid(t *testing.T) {
	for _, tt := range []struct {
		number string
		birth  string
		sex    idnumber.Sex
	}{
		{"11010519491231002X", "1949-12-31", idnumber.Female}, // GB 11643-1999, 5.1
		{"11010519491231002x", "1949-12-31", idnumber.Female},
		{"440524188001010014", "", 0}, // GB 11643-1999, 5.2: born in 1880
	} {
		n, err := idnumber.Parse(tt.number, today)
		if tt.birth == "" {
			if !errors.Is(err, idnumber.ErrBirth) {
				t.Errorf("%s: %v, want an implausible birth date", tt.number, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.number, err)
			continue
		}
		if n.BirthDate().Format(time.DateOnly) != tt.birth || n.Sex() != tt.sex || n.String() != strings.ToUpper(tt.number) {
			t.Errorf("%s: born %s, sex %v, %s", tt.number, n.BirthDate(), n.Sex(), n)
		}
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	for number, want := range map[string]error{
		"":                             idnumber.ErrForm,
		"11010519491231002":            idnumber.ErrForm,
		"11010519491231002XX":          idnumber.ErrForm,
		"1101051949123100２X":           idnumber.ErrForm,
		"11010519491231002Y":           idnumber.ErrForm,
		"X1010519491231002X":           idnumber.ErrForm,
		"110105194912310020":           idnumber.ErrCheck,
		withCheck("000105194912310"):   idnumber.ErrForm,
		withCheck("00010519491231002"): idnumber.ErrRegion,
		withCheck("99010519491231002"): idnumber.ErrRegion,
		withCheck("46010720210229002"): idnumber.ErrBirth,
		withCheck("46010720211301002"): idnumber.ErrBirth,
		withCheck("46010720261124002"): idnumber.ErrBirth,
		withCheck("46010718991231002"): idnumber.ErrBirth,
		withCheck("46010720261123002"): nil, // born today
		withCheck("71010519491231002"): nil, // Taiwan, which the table leaves out
		withCheck("46990119491231002"): nil, // a county that was retired
	} {
		if _, err := idnumber.Parse(number, today); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", number, err, want)
		}
	}
}

func TestAMaskShowsRegionAndCheckCharacterOnly(t *testing.T) {
	for number, want := range map[string]string{
		"11010519491231002X": "110105***********X",
		"short":              "*****",
		"":                   "",
	} {
		if got := idnumber.Mask(number); got != want {
			t.Errorf("Mask(%q) = %q", number, got)
		}
	}
}

func TestAValidNumberTellsItsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number, birth, sequence := draw(t)
		n, err := idnumber.Parse(number, today)
		if err != nil {
			t.Fatalf("%s: %v", number, err)
		}
		male := sequence%2 == 1
		if !n.BirthDate().Equal(birth) || (n.Sex() == idnumber.Male) != male || n.String() != number {
			t.Fatalf("%s: born %s, sex %v", number, n.BirthDate(), n.Sex())
		}
	})
}

func TestOneWrongDigitIsAlwaysFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number, _, _ := draw(t)
		at := rapid.IntRange(0, 17).Draw(t, "at")
		alphabet := "0123456789"
		if at == 17 {
			alphabet += "X"
		}
		wrong := rapid.SampledFrom([]byte(strings.ReplaceAll(alphabet, number[at:at+1], ""))).Draw(t, "wrong")
		damaged := number[:at] + string(wrong) + number[at+1:]
		if _, err := idnumber.Parse(damaged, today); err == nil {
			t.Fatalf("%s passes for %s", damaged, number)
		}
	})
}

func TestTwoNeighboursSwappedAreAlwaysFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number, _, _ := draw(t)
		at := rapid.IntRange(0, 15).Draw(t, "at")
		if number[at] == number[at+1] {
			return
		}
		swapped := number[:at] + number[at+1:at+2] + number[at:at+1] + number[at+2:]
		if _, err := idnumber.Parse(swapped, today); err == nil {
			t.Fatalf("%s passes for %s", swapped, number)
		}
	})
}

func FuzzParseNeverRepeatsTheNumber(f *testing.F) {
	for _, seed := range []string{"11010519491231002X", "440524188001010014", "", "00000000000000000X", "１１０１０５", "\xff\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := idnumber.Parse(s, today)
		if err != nil {
			if len(s) > 3 && strings.Contains(err.Error(), s) {
				t.Fatalf("the error repeats %q", s)
			}
			return
		}
		if n.String() != strings.ToUpper(s) || n.BirthDate().After(today) || !strings.HasSuffix(s, string(idnumber.Check(s[:17]))) &&
			!strings.HasSuffix(s, "x") {
			t.Fatalf("%q was taken", s)
		}
		if masked := idnumber.Mask(s); strings.Contains(masked, s[6:14]) || len(masked) != idnumber.Length {
			t.Fatalf("Mask(%q) = %q", s, masked)
		}
	})
}

// draw makes a valid number.
func draw(t *rapid.T) (number string, birth time.Time, sequence int) {
	var regions []string
	for d := range divisions.All(divisions.County) {
		regions = append(regions, d.Code)
	}
	region := rapid.SampledFrom(regions).Draw(t, "region")
	birth = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 46000).Draw(t, "days"))
	sequence = rapid.IntRange(0, 999).Draw(t, "sequence")
	return withCheck(fmt.Sprintf("%s%s%03d", region, birth.Format("20060102"), sequence)), birth, sequence
}

func withCheck(digits string) string {
	if len(digits) != 17 {
		return digits
	}
	return digits + string(idnumber.Check(digits))
}

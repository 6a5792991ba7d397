// Package idnumber checks and reads resident identity numbers (公民身份号码, GB 11643-1999): six digits of region, eight of
// birth date, three of sequence and one check character. A number is sensitive (PIPL 28): errors of this package say
// what is wrong and never repeat it.
package idnumber

import (
	"errors"
	"strings"
	"time"

	"circle15.dev/internal/divisions"
)

// Length is the number of characters.
const Length = 18

// Sex is what the last digit of the sequence tells: odd is male.
type Sex int

// The sexes that a number can tell.
const (
	Female Sex = iota + 1
	Male
)

// Number is a checked identity number, with a capital X.
type Number struct{ digits string }

// What can be wrong with a number.
var (
	ErrForm   = errors.New("must be 17 digits and a check digit or X")
	ErrRegion = errors.New("must begin with the code of a province")
	ErrBirth  = errors.New("must hold a birth date of the calendar that is not in the future")
	ErrCheck  = errors.New("does not match its check digit (GB 11643)")
)

// Parse checks s on the day: the form, a province (the counties of a birth may have been retired since, so they are
// not looked up), a real birth date from 1900 up to the day, and the check character. A small x is taken for X.
func Parse(s string, today time.Time) (Number, error) {
	if len(s) != Length || strings.Trim(s[:17], "0123456789") != "" || strings.Trim(s[17:], "0123456789Xx") != "" {
		return Number{}, ErrForm
	}
	n := Number{strings.ToUpper(s)}
	if !knownProvince(n.digits[:2]) {
		return Number{}, ErrRegion
	}
	birth, err := time.Parse("20060102", n.digits[6:14])
	if err != nil || birth.Year() < 1900 || birth.After(today) {
		return Number{}, ErrBirth
	}
	if n.digits[17] != Check(n.digits[:17]) {
		return Number{}, ErrCheck
	}
	return n, nil
}

// knownProvince covers the provinces of the table and those that it leaves out: Taiwan, Hong Kong and Macao, with the
// residence permits of their people (GB/T 2260: 71, 81, 82; 83 for the permits of Taiwan's).
func knownProvince(code string) bool {
	switch code {
	case "71", "81", "82", "83":
		return true
	}
	_, ok := divisions.Lookup(code + "0000")
	return ok
}

// Check is the check character of the first 17 digits (ISO 7064, MOD 11-2).
func Check(digits string) byte {
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += int(digits[i]-'0') * w
	}
	return "10X98765432"[sum%11]
}

// String is the whole number. It is for the database; whatever leaves the platform is Mask.
func (n Number) String() string { return n.digits }

// Sex is that of the person.
func (n Number) Sex() Sex {
	if (n.digits[16]-'0')%2 == 1 {
		return Male
	}
	return Female
}

// BirthDate is midnight UTC of the day.
func (n Number) BirthDate() time.Time {
	birth, err := time.Parse("20060102", n.digits[6:14])
	if err != nil {
		panic("idnumber: a Number that Parse did not make")
	}
	return birth
}

// Mask hides birth date and sequence of a stored number and keeps region and check character: "460107***********X".
// Anything of another length is hidden whole.
func Mask(number string) string {
	if len(number) != Length {
		return strings.Repeat("*", len(number))
	}
	return number[:6] + strings.Repeat("*", 11) + number[17:]
}

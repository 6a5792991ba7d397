// Package divisions is the table of the administrative divisions of mainland China, down to townships and streets
// (GB/T 2260 and GB/T 10114 codes); README.md names its source. Codes are retired when divisions merge, so they are
// attributes of records here and never keys.
package divisions

import (
	"iter"
	"strings"
)

// Level is the rank of a division.
type Level string

// The levels, from the highest down, with the digits of their codes.
const (
	Province  Level = "province"  // 省级, six digits
	City      Level = "city"      // 地级, six digits
	County    Level = "county"    // 县级, six digits
	Township  Level = "township"  // 乡级: a township, town or street; nine digits
	Community Level = "community" // 村级: a community or village; twelve digits
)

// Division is one row of the table, or a community below a township of it.
type Division struct {
	Code   string
	Level  Level
	Name   string // as in the table; empty for a community, which the table does not hold
	Parent string // the code of the division above; empty for a province
}

// IsStreet says whether the division is a street (街道), the unit that has a street office and a street's station.
func (d Division) IsStreet() bool { return d.Level == Township && strings.HasSuffix(d.Name, "街道") }

// IsHeading says whether the division is a heading of the table rather than a place with a government of its own: what the
// districts (市辖区) and the counties (县) of a municipality, and the units that a province administers directly
// (省直辖县级行政区划), are listed under.
func (d Division) IsHeading() bool {
	return d.Level == City && (d.Name == "市辖区" || d.Name == "县" || strings.HasSuffix(d.Name, "直辖县级行政区划"))
}

// Lookup finds a division by its six- or nine-digit code. A twelve-digit code is a community whenever its first nine
// digits are a township of the table. Three cities without counties (东莞, 中山, 儋州) stand in the table twice, as
// their own county as well; Lookup returns the city.
func Lookup(code string) (Division, bool) {
	if !plausible(code) {
		return Division{}, false
	}
	t := load()
	if len(code) == 12 {
		township, ok := t.find(code[:9])
		return Division{Code: code, Level: Community, Parent: township.Code}, ok
	}
	return t.find(code)
}

// Children are the divisions whose parent has the code, in order of their codes. The table ends with townships.
func Children(code string) []Division {
	var children []Division
	for d := range below(code) {
		if d.Parent == code {
			children = append(children, d)
		}
	}
	return children
}

// Townships are the townships and streets at any depth below the division with the code, in order of their codes.
func Townships(code string) []Division {
	var townships []Division
	for d := range below(code) {
		if d.Level == Township {
			townships = append(townships, d)
		}
	}
	return townships
}

// Path is the names from the province down: "海南省 / 海口市 / 琼山区 / 滨江街道". It is empty for an unknown code, and
// that of the township for a community.
func Path(code string) string {
	var names []string
	for d, ok := Lookup(code); ok; d, ok = Lookup(d.Parent) {
		if d.Name != "" {
			names = append([]string{d.Name}, names...)
		}
	}
	return strings.Join(names, " / ")
}

// Within says whether the division with the code is the ancestor or lies below it; false when either is unknown.
func Within(code, ancestor string) bool {
	for d, ok := Lookup(code); ok; d, ok = Lookup(d.Parent) {
		if d.Code == ancestor {
			return true
		}
	}
	return false
}

// All are the rows of one level, in order of their codes.
func All(level Level) iter.Seq[Division] {
	return func(yield func(Division) bool) {
		t := load()
		for i := range t.lines {
			if d := t.row(i); d.Level == level && !yield(d) {
				return
			}
		}
	}
}

// below yields the rows beneath the division with the code, at any depth.
func below(code string) iter.Seq[Division] {
	return func(yield func(Division) bool) {
		d, ok := Lookup(code)
		if !ok {
			return
		}
		t, prefix := load(), d.significant()
		for i := t.search(prefix); i < len(t.lines) && strings.HasPrefix(t.code(i), prefix); i++ {
			if row := t.row(i); row.Code != code && !yield(row) {
				return
			}
		}
	}
}

// significant is the part of the code with which the codes of everything below the division begin.
func (d Division) significant() string {
	switch d.Level {
	case Province:
		return d.Code[:2]
	case City:
		return d.Code[:4]
	default:
		return d.Code
	}
}

// plausible says whether the code has the form of one: six, nine or twelve digits.
func plausible(code string) bool {
	if n := len(code); n != 6 && n != 9 && n != 12 {
		return false
	}
	return strings.Trim(code, "0123456789") == ""
}

package registry

import "circle15.dev/internal/facts"

// stock is the facts of something that is in being for a period: +1 on its first day, -1 on the day after its last, so
// that a sum up to the last day still counts it.
func stock(f facts.Fact, p period) []facts.Fact {
	f.Date, f.Amount = p.first, 1
	fs := []facts.Fact{f}
	if p.last != nil {
		f.Date, f.Amount = p.last.AddDate(0, 0, 1), -1
		fs = append(fs, f)
	}
	return fs
}

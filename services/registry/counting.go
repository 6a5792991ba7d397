package registry

import (
	"context"

	"github.com/google/uuid"

	"circle15.dev/internal/facts"
	"circle15.dev/internal/tenantdb"
)

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

// recount takes back what was counted of a source and counts it anew.
func recount(ctx context.Context, tx *tenantdb.Tx, sourceType string, id uuid.UUID, fs []facts.Fact) error {
	if err := facts.Reverse(ctx, tx, sourceType, id); err != nil {
		return err
	}
	return facts.Append(ctx, tx, fs...)
}

package tenantdb_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
)

func TestErrorsOfTheDatabaseNameTheFieldAndTellNoValue(t *testing.T) {
	n := newTenants(t, 1)[0]
	db := open(t, nil)
	insert := tenantdb.SQL(`INSERT INTO {tenant}.cases (id, title, n, code, parent_id) VALUES ($1, $2, $3, $4, $5)`)
	const secret = "a-secret-value"
	text := func(s string) *string { return &s }
	parent := uuid.New()
	if err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
		_, err := tx.Exec(ctx, insert, uuid.New(), secret, 0, secret, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		args  []any
		kind  apierr.Kind
		field string
	}{
		{"a taken id", []any{firstCase, secret, 0, nil, nil}, apierr.AlreadyExists, "id"},
		{"a taken unique value", []any{uuid.New(), secret, 0, secret, nil}, apierr.AlreadyExists, "code"},
		{"a reference to nothing", []any{uuid.New(), secret, 0, nil, &parent}, apierr.Invalid, "parentId"},
		{"a value out of its range", []any{uuid.New(), secret, -1, nil, nil}, apierr.Invalid, "n"},
		{"a missing value", []any{uuid.New(), nil, 0, nil, nil}, apierr.Invalid, "title"},
		{"a text with a NUL", []any{uuid.New(), secret + "\x00", 0, nil, nil}, apierr.Invalid, ""},
		{"a text that is not UTF-8", []any{uuid.New(), secret + "\xff", 0, nil, nil}, apierr.Invalid, ""},
		{"a value too long for its index", []any{uuid.New(), "", 0, text(randomText(9000)), nil}, apierr.Invalid, ""},
	} {
		err := db.Write(in(t, n), func(ctx context.Context, tx *tenantdb.Tx) error {
			_, err := tx.Exec(ctx, insert, c.args...)
			return err
		})
		if apierr.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %s", c.what, err, c.kind)
			continue
		}
		own, _ := errors.AsType[*apierr.Error](err)
		fields := make([]string, 0, 1)
		for _, f := range own.Fields {
			fields = append(fields, f.Name)
		}
		if diff := cmp.Diff(strings.Fields(c.field), fields, cmp.Transformer("", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
			t.Errorf("%s: fields %s", c.what, diff)
		}
		for _, private := range []string{secret, "INSERT", "cases", n.Schema()} {
			if strings.Contains(own.Message, private) {
				t.Errorf("%s: the message %q tells %q", c.what, own.Message, private)
			}
		}
	}
}

// randomText cannot be compressed much.
func randomText(length int) string {
	var b strings.Builder
	for b.Len() < length {
		b.WriteString(uuid.NewString())
	}
	return b.String()
}

package etag_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/metadata"
	"pgregory.net/rapid"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/etag"
)

func TestAPreconditionIsComparedWithTheCurrentRevision(t *testing.T) {
	const current = 7
	for name, tt := range map[string]struct {
		header []string
		body   string
		want   apierr.Kind // "" where the write may go on
	}{
		"absent":                             {},
		"the current tag":                    {header: []string{`"7"`}},
		"the current tag in the body":        {body: `"7"`},
		"the current tag in both":            {header: []string{`"7"`}, body: `"7"`},
		"any":                                {header: []string{`*`}},
		"a list with the current tag":        {header: []string{`"6", "7"`}},
		"several headers, one of them right": {header: []string{`"6"`, `"7"`}},
		"empty list elements":                {header: []string{`, ,"7",,`}},
		"another tag":                        {header: []string{`"6"`}, want: apierr.StaleETag},
		"another tag in the body":            {body: `"6"`, want: apierr.StaleETag},
		"right header, stale body":           {header: []string{`"7"`}, body: `"6"`, want: apierr.StaleETag},
		"right body, stale header":           {header: []string{`"6"`}, body: `"7"`, want: apierr.StaleETag},
		"a weak tag never matches":           {header: []string{`W/"7"`}, want: apierr.StaleETag},
		"a longer tag":                       {header: []string{`"77"`}, want: apierr.StaleETag},
		"a tag with a comma in it":           {header: []string{`"6,7"`}, want: apierr.StaleETag},
		"no quotes":                          {header: []string{`7`}, want: apierr.Invalid},
		"no closing quote":                   {header: []string{`"7`}, want: apierr.Invalid},
		"nothing":                            {header: []string{``}, want: apierr.Invalid},
		"only commas":                        {header: []string{`,,`}, want: apierr.Invalid},
		"any in a list":                      {header: []string{`*, "7"`}, want: apierr.Invalid},
		"tags without a comma":               {header: []string{`"7" "6"`}, want: apierr.Invalid},
		"a space in the tag":                 {header: []string{`"7 "`}, want: apierr.Invalid},
		"a lower-case weak mark":             {header: []string{`w/"7"`}, want: apierr.Invalid},
		"no quotes in the body":              {body: `7`, want: apierr.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			if tt.header != nil {
				ctx = metadata.NewIncomingContext(ctx, metadata.MD{etag.IfMatch: tt.header})
			}
			err := etag.Match(ctx, "etag", tt.body, current)
			switch {
			case err == nil && tt.want != "":
				t.Fatalf("went on, want %s", tt.want)
			case err != nil && apierr.KindOf(err) != tt.want:
				t.Fatalf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestIfNoneMatchComparesWeakly(t *testing.T) {
	if matched, ok := etag.Contains(`"1", W/"7"`, `"7"`, true); !matched || !ok {
		t.Errorf("a weak tag of the same text: matched %v, ok %v", matched, ok)
	}
}

func TestATagMatchesItsOwnRevisionOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int32().Draw(t, "a"), rapid.Int32().Draw(t, "b")
		err := etag.Match(context.Background(), "etag", etag.Of(a), b)
		if (err == nil) != (a == b) {
			t.Fatalf("tag of %d against revision %d: %v", a, b, err)
		}
	})
}

func FuzzAnyPreconditionIsAMatchOrA4xx(f *testing.F) {
	for _, seed := range []string{`*`, `"7"`, `W/"7", "8"`, `"`, `,`, "\"\x00\"", "\"\xff\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(etag.IfMatch, header))
		if err := etag.Match(ctx, "etag", "", 7); err != nil {
			if kind := apierr.KindOf(err); kind != apierr.Invalid && kind != apierr.StaleETag {
				t.Fatalf("If-Match %q: %v", header, err)
			}
		}
	})
}

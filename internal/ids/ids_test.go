package ids_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/ids"
)

func TestAClientsOwnIDMustBeAUUIDv7(t *testing.T) {
	good := uuid.Must(uuid.NewV7()).String()
	for _, id := range []string{good, strings.ToUpper(good)} {
		if got, err := ids.OrNew("case.id", id); err != nil || got.String() != good {
			t.Errorf("%s: %s, error %v", id, got, err)
		}
	}
	for what, id := range map[string]string{
		"nil": uuid.Nil.String(), "the last": uuid.Max.String(), "version 4": uuid.New().String(), "no variant": good[:19] + "0" + good[20:],
		"in braces": "{" + good + "}", "without hyphens": strings.ReplaceAll(good, "-", ""), "short": good[:35], "blank": " ",
	} {
		got, err := ids.OrNew("case.id", id)
		if apierr.KindOf(err) != apierr.Invalid || !strings.Contains(err.Error(), "case.id") || got != uuid.Nil {
			t.Errorf("%s: %s, error %v", what, got, err)
		}
	}
}

func TestAnAbsentIDIsMade(t *testing.T) {
	a, err := ids.OrNew("id", "")
	b, err2 := ids.OrNew("id", "")
	if err != nil || err2 != nil || a == b || a.Version() != 7 || ids.Compare(a, b) >= 0 {
		t.Errorf("%s and %s, errors %v and %v: want two of version 7, in order", a, b, err, err2)
	}
}

package civildate_test

import (
	"errors"
	"testing"
	"time"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
)

func TestADayOfTheCalendarIsRead(t *testing.T) {
	for _, s := range []string{"1900-01-01", "2021-05-01", "2024-02-29", "9999-12-31"} {
		day, err := civildate.Parse("from", s)
		if err != nil || civildate.Format(day) != s || day.Location() != time.UTC {
			t.Errorf("%s is read as %v, %v", s, day, err)
		}
	}
}

func TestWhatIsNoDayIsRefusedByField(t *testing.T) {
	for _, s := range []string{"", "2021-02-30", "2023-02-29", "9999-99-99", "2021-6-1", "2021-06-01\n", "0000-01-01", "0001-01-01", "1899-12-31"} {
		_, err := civildate.Parse("need.metDate", s)
		if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Kind != apierr.Invalid || e.Fields[0].Name != "need.metDate" {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestAnActDoesNotTakePlaceTomorrow(t *testing.T) {
	today, tomorrow := civildate.Today(), civildate.Today().AddDate(0, 0, 1)
	if _, err := civildate.ParsePast("from", civildate.Format(today)); err != nil {
		t.Errorf("today: %v", err)
	}
	if _, err := civildate.ParsePast("from", civildate.Format(tomorrow)); apierr.KindOf(err) != apierr.Invalid {
		t.Errorf("tomorrow: %v", err)
	}
}

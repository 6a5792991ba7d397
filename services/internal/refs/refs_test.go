package refs_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/refs"
	"circle15.dev/services/internal/testenv/world"
)

const field = "visit.ref"

func TestAReferenceResolvesToWhatItBelongsTo(t *testing.T) {
	w := world.New(t)
	east := w.East
	for name, ctx := range map[string]context.Context{
		"tenant scope":             w.Bureau(t),
		"station scope":            w.At(t, east),
		"own scope, another's row": w.Own(t, east, "someone else"),
	} {
		t.Run(name, func(t *testing.T) {
			station, err := refs.Station(ctx, w.DB, field, east.ID)
			expect(t, station.String(), err, east.ID)
			household, err := refs.Household(ctx, w.DB, field, east.Household)
			expect(t, household.ID.String(), err, east.Household)
			expect(t, household.StationID.String(), nil, east.ID)
			resident, err := refs.Resident(ctx, w.DB, field, east.Child)
			expect(t, resident.ID.String(), err, east.Child)
			expect(t, resident.HouseholdID.String(), nil, east.Household)
			expect(t, resident.StationID.String(), nil, east.ID)
			worker, err := refs.Staff(ctx, w.DB, field, east.Worker, station)
			expect(t, worker.String(), err, east.Worker)
			left, err := refs.Staff(ctx, w.DB, field, east.Left, station)
			expect(t, left.String(), err, east.Left)
		})
	}
}

func TestAReferenceOutOfReachNamesTheField(t *testing.T) {
	w, other := world.NewPair(t)
	ctx := w.At(t, w.East)
	station := uuid.MustParse(w.East.ID)
	for name, ids := range map[string]world.Station{
		"another station": w.West,
		"another tenant":  other.East,
		"nothing":         {ID: world.NewID(), Household: world.NewID(), Child: world.NewID(), Worker: world.NewID()},
		"no ids":          {ID: "x", Household: "", Child: "urn:uuid:" + w.East.Child, Worker: "{" + w.East.Worker + "}"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := refs.Station(ctx, w.DB, field, ids.ID)
			refused(t, err, field)
			_, err = refs.Household(ctx, w.DB, field, ids.Household)
			refused(t, err, field)
			_, err = refs.Resident(ctx, w.DB, field, ids.Child)
			refused(t, err, field)
			_, err = refs.Residents(ctx, w.DB, field, []string{w.East.Child, ids.Child}, station)
			refused(t, err, field+"[1]")
			_, err = refs.Staff(ctx, w.DB, field, ids.Worker, station)
			refused(t, err, field)
		})
	}
	if _, err := refs.Staff(w.Bureau(t), w.DB, field, w.West.Worker, station); err == nil {
		t.Error("a worker of another station passed in the scope of the tenant")
	}
}

func TestResidentsKeepTheirOrderAndOccurOnce(t *testing.T) {
	w := world.New(t)
	ctx, station := w.At(t, w.East), uuid.MustParse(w.East.ID)
	asked := []string{w.East.Neighbour, w.East.Child, w.East.Elder}
	found, err := refs.Residents(ctx, w.DB, field, asked, station)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, 0, len(found))
	for _, id := range found {
		got = append(got, id.String())
	}
	if !slices.Equal(got, asked) {
		t.Errorf("%v, want %v", got, asked)
	}
	_, err = refs.Residents(ctx, w.DB, field, append(asked, w.East.Child), station)
	refused(t, err, field+"[3]")
	if none, err := refs.Residents(ctx, w.DB, field, nil, station); err != nil || none == nil || len(none) != 0 {
		t.Errorf("no residents: %v, %v", none, err)
	}
}

func TestAWorkerActsDuringTheTimeOfService(t *testing.T) {
	w := world.New(t)
	ctx, station := w.At(t, w.East), uuid.MustParse(w.East.ID)
	for _, tt := range []struct {
		worker, day string
		served      bool
	}{
		{w.East.Left, "2021-04-30", false},
		{w.East.Left, "2021-05-01", true},
		{w.East.Left, "2021-08-31", true},
		{w.East.Left, "2021-09-01", false},
		{w.East.Worker, "2026-11-23", true},
	} {
		day, err := time.Parse(time.DateOnly, tt.day)
		if err != nil {
			t.Fatal(err)
		}
		var id uuid.UUID
		err = w.DB.Write(ctx, func(ctx context.Context, tx *tenantdb.Tx) (err error) {
			id, err = refs.StaffOn(ctx, tx, field, tt.worker, station, day)
			return err
		})
		if tt.served {
			expect(t, id.String(), err, tt.worker)
		} else {
			refused(t, err, field)
		}
	}
}

func expect(t *testing.T, got string, err error, want string) {
	t.Helper()
	if err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func refused(t *testing.T, err error, field string) {
	t.Helper()
	var invalid *apierr.Error
	if !errors.As(err, &invalid) || invalid.Kind != apierr.Invalid || len(invalid.Fields) == 0 || invalid.Fields[0].Name != field {
		t.Errorf("%v, want an invalid %s", err, field)
	}
}

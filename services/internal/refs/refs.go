// Package refs resolves the references inside a request: ids of stations, households, residents and workers that
// must exist in the tenant and lie inside the caller's data scope.
//
// A reference needs the scope of the station only, not that the caller recorded the row: a social worker who sees
// the own records alone still visits the households of the whole station. A reference that does not resolve is
// Invalid and names the field; whether the row is absent or out of reach is not told.
//
// Inside tenantdb.DB.Write pass the transaction as q, so that the answer and the write agree.
package refs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
)

// HouseholdRef is a household and the station that serves it.
type HouseholdRef struct{ ID, StationID uuid.UUID }

// ResidentRef is a resident with the household and the station.
type ResidentRef struct{ ID, HouseholdID, StationID uuid.UUID }

var (
	findStation = tenantdb.SQL(`SELECT id FROM {tenant}.stations
		WHERE id = $1 AND ($2::uuid[] IS NULL OR id = ANY($2))`)
	findHousehold = tenantdb.SQL(`SELECT id, station_id FROM {tenant}.households
		WHERE id = $1 AND ($2::uuid[] IS NULL OR station_id = ANY($2))`)
	findResident = tenantdb.SQL(`SELECT id, household_id, station_id FROM {tenant}.residents
		WHERE id = $1 AND ($2::uuid[] IS NULL OR station_id = ANY($2))`)
	findResidents = tenantdb.SQL(`SELECT id FROM {tenant}.residents
		WHERE id = ANY($1) AND station_id = $2 AND ($3::uuid[] IS NULL OR station_id = ANY($3))`)
	findStaff = tenantdb.SQL(`SELECT id, start_date, end_date FROM {tenant}.staff
		WHERE id = $1 AND station_id = $2 AND ($3::uuid[] IS NULL OR station_id = ANY($3))`)

	// A worker who acts in this transaction: the service is not ended meanwhile. It is the lock that the act's reference
	// to the worker takes in any case.
	shareStaff = tenantdb.SQL(`SELECT id, start_date, end_date FROM {tenant}.staff
		WHERE id = $1 AND station_id = $2 AND ($3::uuid[] IS NULL OR station_id = ANY($3)) FOR KEY SHARE`)
)

// Late work. What was done on a day counts for the station that the household belonged to on that day or later, and may
// name who belonged to the household on that day or later: since then they may have moved.
var (
	findServedHousehold = tenantdb.SQL(`SELECT h.id, w.station_id FROM {tenant}.households h, {tenant}.staff w
		WHERE h.id = $1 AND w.id = $2 AND ($4::uuid[] IS NULL OR w.station_id = ANY($4))
			AND (w.station_id = h.station_id OR EXISTS (SELECT FROM {tenant}.household_stays s
				WHERE s.household_id = h.id AND s.station_id = w.station_id AND s.last_date >= $3))`)
	findServedResident = tenantdb.SQL(`SELECT r.id FROM {tenant}.residents r
		WHERE r.id = $1 AND (r.household_id = $2 OR EXISTS (SELECT FROM {tenant}.resident_stays s
			WHERE s.resident_id = r.id AND s.household_id = $2 AND s.last_date >= $3))`)
)

type staffRow struct {
	ID        uuid.UUID
	StartDate time.Time
	EndDate   *time.Time
}

// Station resolves the station named in the field.
func Station(ctx context.Context, q tenantdb.Querier, field, id string) (uuid.UUID, error) {
	key, err := ids.Parse(field, id)
	if err != nil {
		return uuid.Nil, err
	}
	return one(ctx, q, field, "station", pgx.RowTo[uuid.UUID], findStation, key, authz.ScopeFrom(ctx).StationIDs())
}

// Household resolves the household named in the field.
func Household(ctx context.Context, q tenantdb.Querier, field, id string) (HouseholdRef, error) {
	key, err := ids.Parse(field, id)
	if err != nil {
		return HouseholdRef{}, err
	}
	return one(ctx, q, field, "household", pgx.RowToStructByPos[HouseholdRef], findHousehold, key, authz.ScopeFrom(ctx).StationIDs())
}

// HouseholdOn is Household for what the worker did for it on the day. The station is the worker's, where the household
// belongs to that one or belonged to it on the day or later; that may be out of the caller's reach now.
func HouseholdOn(ctx context.Context, q tenantdb.Querier, field, id, worker string, day time.Time) (HouseholdRef, error) {
	key, err := ids.Parse(field, id)
	if err != nil {
		return HouseholdRef{}, err
	}
	by, err := uuid.Parse(worker)
	if err != nil {
		return Household(ctx, q, field, id) // whoever resolves the worker says so
	}
	row, err := tenantdb.One(ctx, q, pgx.RowToStructByPos[HouseholdRef], findServedHousehold, key, by, day, authz.ScopeFrom(ctx).StationIDs())
	if errors.Is(err, pgx.ErrNoRows) {
		return Household(ctx, q, field, id)
	}
	return row, err
}

// ResidentOn resolves who belongs to the household, or belonged to it on the day or later. The household has been resolved,
// so the data scope is not asked again.
func ResidentOn(ctx context.Context, q tenantdb.Querier, field, id string, household uuid.UUID, day time.Time) (uuid.UUID, error) {
	key, err := ids.Parse(field, id)
	if err != nil {
		return uuid.Nil, err
	}
	row, err := tenantdb.One(ctx, q, pgx.RowTo[uuid.UUID], findServedResident, key, household, day)
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, apierr.InvalidField(field, "must name a resident of the household")
	}
	return row, err
}

// Resident resolves the resident named in the field.
func Resident(ctx context.Context, q tenantdb.Querier, field, id string) (ResidentRef, error) {
	key, err := ids.Parse(field, id)
	if err != nil {
		return ResidentRef{}, err
	}
	return one(ctx, q, field, "resident", pgx.RowToStructByPos[ResidentRef], findResident, key, authz.ScopeFrom(ctx).StationIDs())
}

// Residents resolves residents of one station, in the order of the request. An id that occurs twice is Invalid, and
// so is one that names no resident of the station; the field is then the item's, "visit.residentIds[2]".
func Residents(ctx context.Context, q tenantdb.Querier, field string, list []string, station uuid.UUID) ([]uuid.UUID, error) {
	keys := make([]uuid.UUID, 0, len(list))
	seen := make(map[uuid.UUID]bool, len(list))
	for i, id := range list {
		key, err := ids.Parse(item(field, i), id)
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, apierr.InvalidField(item(field, i), "must not occur twice")
		}
		seen[key] = true
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return keys, nil
	}
	found, err := tenantdb.All(ctx, q, pgx.RowTo[uuid.UUID], findResidents, keys, station, authz.ScopeFrom(ctx).StationIDs())
	if err != nil {
		return nil, err
	}
	for _, key := range found {
		delete(seen, key)
	}
	for i, key := range keys {
		if seen[key] {
			return nil, apierr.InvalidField(item(field, i), "must name a resident of the same station")
		}
	}
	return keys, nil
}

// Staff resolves a worker of the station, who may have left since.
func Staff(ctx context.Context, q tenantdb.Querier, field, id string, station uuid.UUID) (uuid.UUID, error) {
	worker, err := staff(ctx, q, findStaff, field, id, station)
	return worker.ID, err
}

// StaffOn is Staff for a worker who did something on the day: the day must lie in the time of the worker's service,
// which stays as it is until the end of the transaction.
func StaffOn(ctx context.Context, tx *tenantdb.Tx, field, id string, station uuid.UUID, day time.Time) (uuid.UUID, error) {
	worker, err := staff(ctx, tx, shareStaff, field, id, station)
	if err != nil {
		return uuid.Nil, err
	}
	if day.Before(worker.StartDate) || worker.EndDate != nil && day.After(*worker.EndDate) {
		return uuid.Nil, apierr.InvalidField(field, "must name a worker who served at the station on %s", day.Format(time.DateOnly))
	}
	return worker.ID, nil
}

func staff(
	ctx context.Context, q tenantdb.Querier, s *tenantdb.Stmt, field, id string, station uuid.UUID,
) (staffRow, error) {
	key, err := ids.Parse(field, id)
	if err != nil {
		return staffRow{}, err
	}
	return one(ctx, q, field, "worker of the same station", pgx.RowToStructByPos[staffRow],
		s, key, station, authz.ScopeFrom(ctx).StationIDs())
}

// one runs a lookup whose missing row is the fault of the field.
func one[T any](
	ctx context.Context, q tenantdb.Querier, field, what string, scan pgx.RowToFunc[T], s *tenantdb.Stmt, args ...any,
) (T, error) {
	row, err := tenantdb.One(ctx, q, scan, s, args...)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, apierr.InvalidField(field, "must name a %s within your data scope", what)
	}
	return row, err
}

func item(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

package registry

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/tenantdb"
)

// guardianRow is a resident as far as the wards' records are about it.
type guardianRow struct {
	BirthDate time.Time
	Guardian  *uuid.UUID
}

var (
	selectGuardian = tenantdb.SQL(`SELECT birth_date, guardian_resident_id FROM {tenant}.residents
		WHERE id = $1 AND ($2::uuid[] IS NULL OR station_id = ANY($2))`)

	scanGuardian = pgx.RowToStructByPos[guardianRow]
)

// lockGuardians makes those who name guardians in existing records do so one after the other, each until its transaction
// ends: two residents are then not made each other's guardian at once. It comes before the locks of the residents, which
// the two would take crosswise.
func lockGuardians(ctx context.Context, db *tenantdb.DB, tx *tenantdb.Tx) error {
	return queueUp(ctx, db, tx, "guardians", "")
}

// checkGuardian refuses a guardian who is said to be a resident and is none within the data scope, was not of age on the
// day of the legal basis, or is under the guardianship of this resident. Old is the record before, nil for a new one: a
// guardian who stays may have moved out of the scope since.
func (r *residentRow) checkGuardian(ctx context.Context, tx *tenantdb.Tx, old *residentRow) error {
	if r.GuardianResidentID == nil {
		return nil
	}
	const field = "resident.guardian.residentId"
	stations := authz.ScopeFrom(ctx).StationIDs()
	if old != nil && sameID(r.GuardianResidentID, old.GuardianResidentID) {
		if r.LegalBasisDate.Equal(old.LegalBasisDate) {
			return nil
		}
		stations = nil
	}
	guardian, err := tenantdb.One(ctx, tx, scanGuardian, selectGuardian, *r.GuardianResidentID, stations)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return apierr.InvalidField(field, "must name a resident within your data scope")
	case err != nil:
		return err
	case isYounger(adultAge, guardian.BirthDate, r.LegalBasisDate):
		return apierr.InvalidField(field, "must name a resident who was %d or older on %s, the day of the legal basis",
			adultAge, civildate.Format(r.LegalBasisDate))
	case sameID(guardian.Guardian, &r.ID):
		return apierr.InvalidField(field, "must not name a resident whose guardian this one is")
	}
	return nil
}

package registry

import (
	"github.com/google/uuid"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/tenantdb"
)

// Moves. What belonged elsewhere until today is kept as a stay, so that work of that time can still be brought in. A stay
// of the same day is kept once.
var (
	keepHouseholdStay = tenantdb.SQL(`INSERT INTO {tenant}.household_stays (household_id, station_id, last_date)
		VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`)

	keepResidentStay = tenantdb.SQL(`INSERT INTO {tenant}.resident_stays (resident_id, household_id, last_date)
		VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`)

	// $2 is the station to which the households of the community go, $3 the one from which, $4 today.
	moveHouseholds = tenantdb.SQL(`WITH moved AS (
			UPDATE {tenant}.households SET station_id = $2, revision = revision + 1, update_time = now()
			WHERE community_id = $1 RETURNING id
		)
		INSERT INTO {tenant}.household_stays (household_id, station_id, last_date)
		SELECT moved.id, $3, $4 FROM moved ON CONFLICT DO NOTHING`)

	moveResidents = tenantdb.SQL(`UPDATE {tenant}.residents SET station_id = $2, revision = revision + 1, update_time = now()
		WHERE household_id = $1`)

	moveResidentsOfCommunity = tenantdb.SQL(`UPDATE {tenant}.residents SET station_id = $2, revision = revision + 1, update_time = now()
		WHERE household_id IN (SELECT h.id FROM {tenant}.households h WHERE h.community_id = $1)`)
)

// holdFirst shares the lock of the record that an update may join, before the update locks its own: locks are taken from
// the top down. What the id names, if anything, is said when the update comes to it.
func holdFirst(tx *tenantdb.Tx, share *tenantdb.Stmt, scope authz.Scope, id string) {
	if key, err := uuid.Parse(id); err == nil {
		tx.Queue(share, key, scope.StationIDs())
	}
}

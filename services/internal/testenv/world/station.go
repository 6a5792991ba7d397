package world

import (
	"github.com/google/uuid"

	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
)

var (
	insertStation = tenantdb.SQL(`INSERT INTO {tenant}.stations (id, division_code, display_name, opened_date, created_by)
		VALUES ($1, $2, '社工站', '2021-05-01', 'seed')`)
	insertStaff = tenantdb.SQL(`INSERT INTO {tenant}.staff (id, station_id, name, position, start_date, end_date, created_by)
		VALUES ($1, $2, '社工', 'SOCIAL_WORKER', '2021-05-01', nullif($3::text, '')::date, 'seed')`)
	insertCommunity = tenantdb.SQL(`INSERT INTO {tenant}.communities (id, station_id, division_code, display_name, created_by)
		VALUES ($1, $2, $3, '社区', 'seed')`)
	insertHousehold = tenantdb.SQL(`INSERT INTO {tenant}.households (id, station_id, community_id, head_name, address, created_by)
		VALUES ($1, $2, $3, '户主', '一号', 'seed')`)
	insertResident = tenantdb.SQL(`INSERT INTO {tenant}.residents (id, station_id, household_id, name, sex, birth_date,
			no_identity_reason, registered, legal_basis, legal_basis_date, created_by)
		VALUES ($1, $2, $3, '居民', 'FEMALE', '1950-01-01', 'not issued', true, 'STATUTORY_DUTY', '2021-05-01', 'seed')`)
	insertNeed = tenantdb.SQL(`INSERT INTO {tenant}.needs (id, station_id, household_id, staff_id, domain, source, description,
			recorded_date, state, created_by)
		VALUES ($1, $2, $3, $4, 'child_welfare', 'home_visit', 'school', '2021-06-01', $5, 'seed')`)
)

// seed queues rows of one station.
type seed struct {
	tx                 *tenantdb.Tx
	station, community uuid.UUID
}

func addStation(tx *tenantdb.Tx, divisionCode string) Station {
	s := seed{tx, ids.New(), ids.New()}
	tx.Queue(insertStation, s.station, divisionCode)
	tx.Queue(insertCommunity, s.community, s.station, divisionCode+"001")
	out := Station{ID: s.station.String(), Worker: s.worker(""), Colleague: s.worker(""), Left: s.worker("2021-08-31")}
	out.Household, out.Neighbours = s.household(), s.household()
	out.Elder, out.Child, out.Neighbour = s.resident(out.Household), s.resident(out.Household), s.resident(out.Neighbours)
	out.Need, out.VoidNeed = s.need(out, out.Household, "OPEN"), s.need(out, out.Household, "VOID")
	out.NeighboursNeed = s.need(out, out.Neighbours, "OPEN")
	return out
}

func (s seed) worker(until string) string {
	id := ids.New()
	s.tx.Queue(insertStaff, id, s.station, until)
	return id.String()
}

func (s seed) household() string {
	id := ids.New()
	s.tx.Queue(insertHousehold, id, s.station, s.community)
	return id.String()
}

func (s seed) resident(household string) string {
	id := ids.New()
	s.tx.Queue(insertResident, id, s.station, uuid.MustParse(household))
	return id.String()
}

func (s seed) need(of Station, household, state string) string {
	id := ids.New()
	s.tx.Queue(insertNeed, id, s.station, uuid.MustParse(household), uuid.MustParse(of.Worker), state)
	return id.String()
}

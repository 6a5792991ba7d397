package registry

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/tenantdb"
)

// workOf are the acts of a worker in person, by measure. The facts of cases and groups are not among them: they follow
// whoever the case is handed to. Neither are met needs, which count for the worker who recorded the need.
var workOf = []string{
	string(facts.HomeVisit), string(facts.CaseSession), string(facts.Activity), string(facts.PersonTimes), string(facts.Need),
	string(facts.File),
}

// actsOfWorker counts the acts of the worker $1 of the station $2, of the measures $4, on the days of the condition. The
// index of the measures bounds it to those days.
const actsOfWorker = `SELECT 'acts', count(*) FROM {tenant}.service_facts f
	WHERE f.staff_id = $1 AND f.station_id = $2 AND f.measure = ANY($4) AND f.reverses IS NULL
		AND NOT EXISTS (SELECT FROM {tenant}.service_facts r WHERE r.reverses = f.id)`

// membershipsOf are the volunteers of the team $1 with their first and last day in it, which is infinity for none.
const membershipsOf = `SELECT 'volunteers', count(DISTINCT m.id) FROM (
		SELECT v.id, coalesce(v.team_since, v.registered_date) AS first_day, coalesce(v.withdrawn_date, 'infinity') AS last_day
		FROM {tenant}.volunteers v WHERE v.team_id = $1 AND v.state <> 'VOID'
		UNION ALL SELECT v.id, f.first_day, f.last_day
		FROM {tenant}.volunteer_memberships f JOIN {tenant}.volunteers v ON v.id = f.volunteer_id
		WHERE f.team_id = $1 AND v.state <> 'VOID'
	) m`

// What of a station, a worker or a team lies outside a period: rows of a kind and how many there are.
var (
	ofStationAfter = tenantdb.SQL(`
		SELECT 'workers', count(*) FROM {tenant}.staff WHERE station_id = $1 AND (end_date IS NULL OR end_date > $2)
		UNION ALL SELECT 'volunteer teams', count(*) FROM {tenant}.volunteer_teams
			WHERE station_id = $1 AND state <> 'VOID' AND (dissolved_date IS NULL OR dissolved_date > $2)
		UNION ALL SELECT 'open cases', count(*) FROM {tenant}.cases
			WHERE station_id = $1 AND stage <> 'VOID' AND (closed_date IS NULL OR closed_date > $2)
		UNION ALL SELECT 'planned visits', count(*) FROM {tenant}.visits
			WHERE station_id = $1 AND state = 'PLANNED' AND planned_date > $2
		UNION ALL SELECT 'planned activities', count(*) FROM {tenant}.activities
			WHERE station_id = $1 AND state = 'PLANNED' AND planned_date > $2
		UNION ALL SELECT 'groups', count(*) FROM {tenant}.groups
			WHERE station_id = $1 AND stage <> 'VOID' AND (ended_date IS NULL OR ended_date > $2)`)

	ofStationBefore = tenantdb.SQL(`
		SELECT 'workers', count(*) FROM {tenant}.staff WHERE station_id = $1 AND start_date < $2
		UNION ALL SELECT 'volunteer teams', count(*) FROM {tenant}.volunteer_teams
			WHERE station_id = $1 AND state <> 'VOID' AND founded_date < $2
		UNION ALL SELECT 'acts', count(*) FROM {tenant}.service_facts f
			WHERE f.station_id = $1 AND f.measure = ANY($3) AND f.fact_date < $2 AND f.reverses IS NULL
				AND NOT EXISTS (SELECT FROM {tenant}.service_facts r WHERE r.reverses = f.id)`)

	ofWorkerBefore = tenantdb.SQL(actsOfWorker + ` AND f.fact_date < $3`)
	ofWorkerAfter  = tenantdb.SQL(actsOfWorker + ` AND f.fact_date > $3`)

	ofTeam       = tenantdb.SQL(membershipsOf)
	ofTeamBefore = tenantdb.SQL(membershipsOf + ` WHERE m.first_day < $2`)
	ofTeamAfter  = tenantdb.SQL(membershipsOf + ` WHERE m.last_day > $2`)
)

// kindCount is how many records there are of a kind, named in English.
type kindCount struct {
	What string
	N    int64
}

// refuseOutside is a Conflict about the field when a statement finds anything; side says where it lies: "beyond
// 2022-06-30 the station has".
func refuseOutside(ctx context.Context, tx *tenantdb.Tx, field, side string, s *tenantdb.Stmt, args ...any) error {
	counts, err := tenantdb.All(ctx, tx, pgx.RowToStructByPos[kindCount], s, args...)
	if err != nil {
		return err
	}
	var found []string
	for _, c := range counts {
		if c.N > 0 {
			found = append(found, fmt.Sprintf("%s (%d)", c.What, c.N))
		}
	}
	if len(found) == 0 {
		return nil
	}
	description := side + " " + strings.Join(found, ", ")
	return apierr.New(apierr.Conflict, "%s: %s", field, description).With(field, description)
}

// checkPeriod refuses days of opening and closing that leave out what goes on, or went on, at the station. The caller
// holds the station's lock, which every new record of it waits for. Days that stay as they were are not looked at again.
func (r *stationRow) checkPeriod(ctx context.Context, tx *tenantdb.Tx, old *stationRow) error {
	if r.OpenedDate.After(old.OpenedDate) {
		side := "before " + civildate.Format(r.OpenedDate) + " the station has"
		if err := refuseOutside(ctx, tx, "station.openedDate", side, ofStationBefore, r.ID, r.OpenedDate, workOf); err != nil {
			return err
		}
	}
	if r.ClosedDate == nil || sameDay(r.ClosedDate, old.ClosedDate) {
		return nil
	}
	side := "beyond " + civildate.Format(*r.ClosedDate) + " the station has"
	return refuseOutside(ctx, tx, "station.closedDate", side, ofStationAfter, r.ID, *r.ClosedDate)
}

// checkService refuses days of service that leave out what the worker did. The caller holds the worker's lock, which
// acts of the worker share.
func (r *staffRow) checkService(ctx context.Context, tx *tenantdb.Tx, old *staffRow) error {
	refuse := func(field, side string, day time.Time, s *tenantdb.Stmt) error {
		side += " " + civildate.Format(day) + " the worker has recorded"
		return refuseOutside(ctx, tx, field, side, s, old.ID, old.StationID, day, workOf)
	}
	if r.StartDate.After(old.StartDate) {
		if err := refuse("staff.startDate", "before", r.StartDate, ofWorkerBefore); err != nil {
			return err
		}
	}
	if r.EndDate == nil || old.EndDate != nil && !r.EndDate.Before(*old.EndDate) {
		return nil
	}
	return refuse("staff.endDate", "after", *r.EndDate, ofWorkerAfter)
}

// refuseAfterClosing refuses a record of a day on which the station was closed, and keeps the station from being closed
// until the end of the transaction. Field names the day or, of what has none, the reference to the station; such a record
// is of today.
func refuseAfterClosing(ctx context.Context, tx *tenantdb.Tx, field string, station uuid.UUID, day time.Time) error {
	row, err := tenantdb.One(ctx, tx, scanStation, shareStation, station, nil)
	if err != nil {
		return err
	}
	return row.openOn(field, day)
}

// openOn refuses a day after the station's last.
func (r *stationRow) openOn(field string, day time.Time) error {
	if r.ClosedDate == nil || !day.After(*r.ClosedDate) {
		return nil
	}
	return apierr.InvalidField(field, "must not be of a station after its last day of operation, %s", civildate.Format(*r.ClosedDate))
}

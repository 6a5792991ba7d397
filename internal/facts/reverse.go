package facts

import (
	"context"

	"github.com/google/uuid"

	"circle15.dev/internal/tenantdb"
)

var reverseFacts = tenantdb.SQL(`
	INSERT INTO {tenant}.service_facts
		(measure, fact_date, station_id, staff_id, household_id, resident_id, domain, amount, source_type, source_id, reverses)
	SELECT f.measure, f.fact_date, f.station_id, f.staff_id, f.household_id, f.resident_id, f.domain, -f.amount,
		f.source_type, f.source_id, f.id
	FROM {tenant}.service_facts f
	WHERE f.source_id = $1 AND f.source_type = $2 AND f.reverses IS NULL
		AND ($3::text[] IS NULL OR f.measure = ANY ($3))
		AND NOT EXISTS (SELECT FROM {tenant}.service_facts r WHERE r.reverses = f.id)
	ORDER BY f.id`)

// Reverse takes back the facts of a source that are not taken back yet: all of them, or those of the measures. Each
// gets a counterpart of the same day with the negated amount, so a correction changes the figures of the period in
// which the act was counted. Like Append it is queued.
//
// The caller holds the lock of the source's row, so that two corrections of one source follow one another; were
// there two at once, the later would fail on the unique column reverses rather than count twice.
func Reverse(_ context.Context, tx *tenantdb.Tx, sourceType string, sourceID uuid.UUID, measures ...Measure) error {
	tx.Queue(reverseFacts, sourceID, sourceType, names(measures))
	return nil
}

// Recount takes back what is counted of a source and counts it anew. Queued, and under the lock that Reverse asks for. The
// error is Append's.
func Recount(ctx context.Context, tx *tenantdb.Tx, sourceType string, sourceID uuid.UUID, fs ...Fact) error {
	if err := Reverse(ctx, tx, sourceType, sourceID); err != nil {
		return err
	}
	return Append(ctx, tx, fs...)
}

// names is the SQL parameter of the measures, nil for all.
func names(measures []Measure) []string {
	if len(measures) == 0 {
		return nil
	}
	out := make([]string, 0, len(measures))
	for _, m := range measures {
		out = append(out, string(m))
	}
	return out
}

var changeDomain = tenantdb.SQL(`
	WITH wrong AS (
		SELECT f.id, f.measure, f.fact_date, f.station_id, f.staff_id, f.household_id, f.resident_id, f.domain, f.amount,
			f.source_type, f.source_id
		FROM {tenant}.service_facts f
		WHERE f.source_id = ANY ($1::uuid[]) AND f.source_type = $2 AND f.reverses IS NULL AND f.domain <> $3
			AND NOT EXISTS (SELECT FROM {tenant}.service_facts r WHERE r.reverses = f.id)
	), corrected AS (
		SELECT w.measure, w.fact_date, w.station_id, w.staff_id, w.household_id, w.resident_id, w.domain, -w.amount AS amount,
			w.source_type, w.source_id, w.id AS reverses
		FROM wrong w
		UNION ALL
		SELECT w.measure, w.fact_date, w.station_id, w.staff_id, w.household_id, w.resident_id, $3, w.amount,
			w.source_type, w.source_id, NULL
		FROM wrong w
	)
	INSERT INTO {tenant}.service_facts
		(measure, fact_date, station_id, staff_id, household_id, resident_id, domain, amount, source_type, source_id, reverses)
	SELECT c.measure, c.fact_date, c.station_id, c.staff_id, c.household_id, c.resident_id, c.domain, c.amount,
		c.source_type, c.source_id, c.reverses
	FROM corrected c`)

// ChangeDomain moves the facts of the sources to another service domain: those of another domain are reversed and
// appended anew, all else as it was (the household of that time, not of today). It is for sources that take their
// domain from elsewhere, such as the sessions of a group. Queued, and under the lock that Reverse asks for.
func ChangeDomain(_ context.Context, tx *tenantdb.Tx, sourceType string, domain string, sourceIDs ...uuid.UUID) error {
	if len(sourceIDs) > 0 {
		tx.Queue(changeDomain, sourceIDs, sourceType, domain)
	}
	return nil
}

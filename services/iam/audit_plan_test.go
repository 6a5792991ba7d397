package iam_test

import (
	"regexp"
	"strings"
	"testing"

	"circle15.dev/services/iam"
)

// A page costs the rows on it, however long the trail is: they come from an index in the order of the list, whether
// PostgreSQL plans for the parameters or once for all of them.
func TestAPageOfALongAuditTrailComesFromAnIndexInItsOrder(t *testing.T) {
	s := setup(t)
	s.exec(`INSERT INTO {tenant}.audit_events (at, subject, method, resource_id, outcome)
		SELECT '2021-05-01T00:00:00Z'::timestamptz + n * interval '1 minute', 'subject-' || n % 50, 'Visit', 'record-' || n % 1000, 'OK'
		FROM generate_series(1, 200000) n`)
	s.exec(`ANALYZE {tenant}.audit_events`)
	const start = "NULL, 9223372036854775807"
	for name, tt := range map[string]struct{ filter, index, period, before, values string }{
		"the newest":                 {"nothing", "time", "NULL, NULL", start, ""},
		"a later page":               {"nothing", "time", "NULL, NULL", "'2021-07-01', 90000", ""},
		"a period":                   {"nothing", "time", "'2021-05-02', '2021-05-03'", start, ""},
		"a subject":                  {"subject", "subject", "NULL, NULL", start, ", 'subject-7'"},
		"a subject in a period":      {"subject", "subject", "'2021-05-02', '2021-06-03'", "'2021-06-01', 44000", ", 'subject-7'"},
		"a subject who did nothing":  {"subject", "subject", "NULL, NULL", start, ", 'nobody'"},
		"a record":                   {"resource", "resource", "NULL, NULL", start, ", 'record-77'"},
		"a record in a period":       {"resource", "resource", "'2021-05-02', '2021-05-03'", start, ", 'record-77'"},
		"a record that is not there": {"resource", "resource", "NULL, NULL", start, ", 'nothing'"},
		"a subject and a record":     {"both", "resource", "NULL, NULL", start, ", 'subject-27', 'record-77'"},
	} {
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			plan := s.explain(mode, iam.EventLists[tt.filter].String(), tt.period+", "+tt.before+", 51"+tt.values)
			beyond := beyondThePage
			if tt.index == "resource" {
				beyond = beyondTheRecord
			}
			if !strings.Contains(plan, "audit_events_"+tt.index) || beyond.MatchString(plan) {
				t.Errorf("%s, %s:\n%s", name, mode, plan)
			}
		}
	}
}

// These match a plan that reads more rows than those of the page, or than those of the record: these are few, and it is
// for PostgreSQL to say whether it sorts them.
var (
	beyondThePage   = regexp.MustCompile(`Sort|Seq Scan|Bitmap|Rows Removed by Filter: [0-9]{2}`)
	beyondTheRecord = regexp.MustCompile(`Seq Scan|Rows Removed by Filter: [0-9]{3}`)
)

// explain runs the statement with the parameters and returns its plan.
func (s *scene) explain(mode, statement, parameters string) string {
	s.Helper()
	conn := ok(s.sql.Acquire(s.Context()))(s.T)
	defer conn.Release()
	script := "SET plan_cache_mode = " + mode + "; PREPARE page AS " + strings.ReplaceAll(statement, "{tenant}", s.tenant.Schema()) +
		"; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE page(" + parameters + "); DEALLOCATE page"
	var plan strings.Builder
	for _, result := range ok(conn.Conn().PgConn().Exec(s.Context(), script).ReadAll())(s.T) {
		for _, row := range result.Rows {
			plan.Write(row[0])
			plan.WriteByte('\n')
		}
	}
	return plan.String()
}

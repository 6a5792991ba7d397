package reporting_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	reportingv1 "circle15.dev/api/reporting/v1"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/testenv"
)

// load fills the tenant with a city's five years: 43 stations of 1,750 households, and facts in the proportions of the
// demo, in the order of their days. Foreign keys are not checked, which takes longer than all else.
const load = `
SET LOCAL session_replication_role = replica;
SET LOCAL search_path = %[1]s;
INSERT INTO stations (id, division_code, display_name, opened_date, created_by)
	SELECT gen_random_uuid(), (460108000 + i)::text, 'Station ' || i, '2020-01-01', 'load' FROM generate_series(1, 41) i;
INSERT INTO households (id, station_id, community_id, head_name, address, created_by)
	SELECT gen_random_uuid(), s.id, '00000000-0000-0000-0000-000000000000', 'head', 'address', 'load' FROM stations s, generate_series(1, 1748);
CREATE TEMPORARY TABLE served ON COMMIT DROP AS
	SELECT id, station_id, row_number() OVER () AS n FROM households;
INSERT INTO service_facts (measure, fact_date, station_id, domain, household_id, amount, source_type, source_id)
	SELECT CASE WHEN p < .35 THEN 'home_visit' WHEN p < .80 THEN 'person_times' WHEN p < .84 THEN 'case_session'
			WHEN p < .85 THEN 'case' WHEN p < .90 THEN 'need' WHEN p < .94 THEN 'need_met' WHEN p < .97 THEN 'file'
			WHEN p < .98 THEN 'activity' WHEN p < .981 THEN 'group' WHEN p < .985 THEN 'volunteer_team' ELSE 'volunteer' END,
		d.day, h.station_id, d.domain, h.id, 1, 'visits', gen_random_uuid()
	FROM (SELECT random() AS p, date '2017-01-01' + (i * 1826.0 / %[2]d)::int AS day, 1 + floor(random() * 75000)::int AS n,
			(ARRAY['social_assistance', 'elderly_services', 'child_welfare', 'community_governance', 'social_affairs'])
				[1 + floor(random() * 5)::int] AS domain
		FROM generate_series(0, %[2]d - 1) i) d
	JOIN served h USING (n)
	ORDER BY d.day;
ANALYZE stations, households, service_facts;
`

// BenchmarkWorkSummary reads reports of several widths over a million facts, beside a plain GROUP BY of all facts.
func BenchmarkWorkSummary(b *testing.B) {
	c := newCity(b)
	schema := pgx.Identifier{c.Tenant.Schema()}.Sanitize()
	conn, err := pgx.Connect(b.Context(), testenv.Provisioned(b).SuperuserURL)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(b.Context())) }()
	if _, err := conn.Exec(b.Context(), fmt.Sprintf(load, schema, 1_000_000), pgx.QueryExecModeSimpleProtocol); err != nil {
		b.Fatal(err)
	}
	east := authz.WithScope(c.bureau, authz.Scope{Level: authz.LevelStation, Stations: []uuid.UUID{uuid.MustParse(c.East.ID)}})
	all := []string{"station", "month", "domain"}
	for _, r := range []struct {
		name     string
		ctx      context.Context
		from, to string
		groupBy  []string
	}{
		{"one month of one station", east, "2021-05-01", "2021-05-31", nil},
		{"one month by station", c.bureau, "2021-05-01", "2021-05-31", []string{"station"}},
		{"one year by station month domain", c.bureau, "2021-01-01", "2021-12-31", all},
		{"five years of one station by month", east, "2017-01-01", "2021-12-31", []string{"month"}},
		{"five years total", c.bureau, "2017-01-01", "2021-12-31", nil},
		{"five years by station month", c.bureau, "2017-01-01", "2021-12-31", []string{"station", "month"}},
		{"three years by station month domain", c.bureau, "2019-01-01", "2021-12-31", all},
	} {
		b.Run(r.name, func(b *testing.B) {
			for b.Loop() {
				reply, err := c.GetWorkSummary(r.ctx, &reportingv1.GetWorkSummaryRequest{From: r.from, To: r.to, GroupBy: r.groupBy})
				if err != nil || reply.GetTotal().GetHomeVisits() == 0 {
					b.Fatalf("report %v, error %v", reply.GetTotal(), err)
				}
			}
		})
	}
	b.Run("plain GROUP BY of all facts", func(b *testing.B) {
		for b.Loop() {
			_, err := conn.Exec(b.Context(), `SELECT station_id, date_trunc('month', fact_date), domain, measure, sum(amount)
				FROM `+schema+`.service_facts GROUP BY 1, 2, 3, 4`)
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

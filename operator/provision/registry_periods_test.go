package provision_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

func TestWhatEndedBeforeTheUpgradeIsCountedOnItsLastDay(t *testing.T) {
	platform := testenv.Provisioned(t)
	old, err := provision.OpenAt(t.Context(), provision.Config{OperatorURL: platform.OperatorURL}, 5)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(old.Close)
	spec := testenv.NextSpec(t)
	create(t, old, spec)
	conn := superuser(t)
	exec(t, conn, spec.Name, `
		INSERT INTO {schema}.stations (id, division_code, display_name, opened_date, created_by)
		VALUES ('01890000-0000-7000-8000-000000000001', '460107003', '社工站', '2021-05-01', 'test');
		INSERT INTO {schema}.service_facts (measure, fact_date, station_id, amount, source_type, source_id, reverses)
		SELECT f.measure, f.day::date, s.id, f.amount, 'any', s.id, f.reverses
		FROM {schema}.stations s, (VALUES
			('volunteer_team', '2021-05-10', 1, NULL::bigint), -- 1: founded
			('volunteer_team', '2021-08-31', -1, NULL),        -- 2: dissolved
			('volunteer_team', '2021-05-10', -1, 1),           -- 3: both taken back
			('volunteer_team', '2021-08-31', 1, 2),
			('volunteer_team', '2021-05-12', 1, NULL),         -- 5: the days corrected
			('volunteer_team', '2021-09-30', -1, NULL),
			('volunteer', '2021-09-01', -1, NULL),
			('stations', '2021-12-31', -1, NULL),
			('case', '2021-06-01', 1, NULL),                   -- 9: an act, taken back
			('case', '2021-06-01', -1, 9)
		) AS f (measure, day, amount, reverses);`)
	if _, err := platform.Provisioner.Upgrade(t.Context(), spec.Name); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"volunteer_team 2021-05-10 1", "volunteer_team 2021-09-01 -1", "volunteer_team 2021-05-10 -1", "volunteer_team 2021-09-01 1",
		"volunteer_team 2021-05-12 1", "volunteer_team 2021-10-01 -1", "volunteer 2021-09-02 -1", "stations 2022-01-01 -1",
		"case 2021-06-01 1", "case 2021-06-01 -1",
	}
	got := list(t, conn, strings.ReplaceAll(`SELECT concat_ws(' ', measure, fact_date, amount) FROM {schema}.service_facts ORDER BY id`,
		"{schema}", spec.Name.Schema()))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

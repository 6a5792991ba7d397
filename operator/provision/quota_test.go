package provision_test

import (
	"strings"
	"testing"
	"time"

	"circle15.dev/internal/divisions"
	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

func TestStationsOfTheDivisionTableKeepTheQuota(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	spec := testenv.NextSpec(t)
	spec.Quotas.Stations = new(int32(2))
	create(t, p, spec)
	var stations []provision.Station
	for _, d := range divisions.Children(spec.DivisionCode)[:3] {
		stations = append(stations, provision.Station{DivisionCode: d.Code, DisplayName: d.Name})
	}
	rows := func() int {
		return value[int](t, superuser(t), `SELECT (SELECT count(*) FROM `+spec.Name.Schema()+`.stations)::int + (SELECT count(*) FROM `+
			spec.Name.Schema()+`.service_facts)::int`)
	}
	n, err := p.EnsureStations(t.Context(), spec.Name, time.Now(), stations)
	wantReason(t, err, provision.QuotaExceeded)
	if n != 0 || rows() != 0 || !strings.Contains(err.Error(), "3 in operation, and its quota is 2") {
		t.Errorf("%d stations, %d rows: %v", n, rows(), err)
	}
	if n, err := p.EnsureStations(t.Context(), spec.Name, time.Now(), stations[:2]); n != 2 || err != nil {
		t.Errorf("%d stations within the quota, error %v", n, err)
	}
	spec.Quotas.Stations = new(int32(1))
	create(t, p, spec)
	if n, err := p.EnsureStations(t.Context(), spec.Name, time.Now(), stations[:2]); n != 0 || err != nil {
		t.Errorf("a lower quota touches what is there: %d stations, error %v", n, err)
	}
	counts, err := p.Counts(t.Context(), spec.Name)
	if err != nil || counts.Stations != 2 {
		t.Errorf("%d stations are counted, error %v", counts.Stations, err)
	}
	exec(t, superuser(t), spec.Name, `UPDATE {schema}.stations SET closed_date = current_date + 9`)
	if counts, err = p.Counts(t.Context(), spec.Name); err != nil || counts.Stations != 2 {
		t.Errorf("%d stations are counted before they close, error %v", counts.Stations, err)
	}
}

func TestAStandardsPackThatThisReleaseDoesNotHaveIsRefused(t *testing.T) {
	p := testenv.Provisioned(t).Provisioner
	spec := testenv.NextSpec(t)
	spec.StandardsPack = "hainan-2024"
	_, err := p.Create(t.Context(), spec)
	wantReason(t, err, provision.InvalidSpec)
	if err == nil || !strings.Contains(err.Error(), "china-2021.1") {
		t.Errorf("%v does not name the packs that there are", err)
	}
}

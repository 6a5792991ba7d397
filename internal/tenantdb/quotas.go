package tenantdb

import "strconv"

// Quota bounds how many of something a tenant may have. The zero Quota is no bound.
type Quota struct {
	Set  bool
	Most int
}

// Quotas bound the rows of a tenant, over all replicas of the services.
type Quotas struct{ Stations, Staff, Residents Quota }

// parseQuota reads a quota of the control schema, in which null is no bound.
func parseQuota(text []byte) (Quota, error) {
	if text == nil {
		return Quota{}, nil
	}
	most, err := strconv.Atoi(string(text))
	return Quota{Set: true, Most: most}, err
}

func parseQuotas(stations, staff, residents []byte) (q Quotas, err error) {
	for _, column := range []struct {
		text  []byte
		quota *Quota
	}{{stations, &q.Stations}, {staff, &q.Staff}, {residents, &q.Residents}} {
		if *column.quota, err = parseQuota(column.text); err != nil {
			return Quotas{}, err
		}
	}
	return q, nil
}

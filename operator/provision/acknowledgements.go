package provision

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/tenant"
)

// PolicyState is which version a tenant's policy has, and which of the services' replicas decide by it.
type PolicyState struct {
	// Version moves with every change of roles, rules and grants; 0 where the control schema knows none.
	Version int64
	// Acknowledged are the names of the live replicas that decide every new request by this version, sorted.
	Acknowledged []string
	// Replicas is how many are live: have shown themselves to this cluster within the last thirty seconds.
	Replicas int
}

// Complete says whether every live replica has acknowledged the version.
func (s PolicyState) Complete() bool { return len(s.Acknowledged) == s.Replicas }

// policyStatesSQL reads the states of the schemas $1, however many, by a few indexes.
const policyStatesSQL = `
WITH live AS MATERIALIZED (SELECT r.name FROM circle15.replicas r WHERE r.seen_at > pg_catalog.now() - interval '30 seconds')
SELECT v.schema_name, v.version, (SELECT pg_catalog.count(*) FROM live)::int,
	coalesce(pg_catalog.array_agg(live.name ORDER BY live.name) FILTER (WHERE live.name IS NOT NULL), '{}')
FROM circle15.policy_versions v
LEFT JOIN (circle15.policy_acknowledgements a JOIN live ON live.name = a.replica)
	ON a.schema_name = v.schema_name AND a.version = v.version
WHERE v.schema_name = ANY ($1)
GROUP BY v.schema_name, v.version`

// PolicyState reads the state of one tenant's policy.
func (p *Provisioner) PolicyState(ctx context.Context, name tenant.Name) (PolicyState, error) {
	rows, err := p.pool.Query(ctx, policyStatesSQL, []string{name.Schema()})
	if err != nil {
		return PolicyState{}, err
	}
	found, err := pgx.CollectExactlyOneRow(rows, scanPolicyState)
	if errors.Is(err, pgx.ErrNoRows) {
		return PolicyState{}, nil
	}
	return found.state, err
}

// PolicyVersions reads the version of every policy that the control schema knows.
func (p *Provisioner) PolicyVersions(ctx context.Context) (map[tenant.Name]int64, error) {
	rows, err := p.pool.Query(ctx, `
		SELECT t.name, v.version FROM circle15.tenants t JOIN circle15.policy_versions v ON v.schema_name = t.schema_name`)
	if err != nil {
		return nil, err
	}
	versions := map[tenant.Name]int64{}
	var name tenant.Name
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&name, &version}, func() error {
		versions[name] = version
		return nil
	})
	return versions, err
}

type policyStateRow struct {
	schema string
	state  PolicyState
}

func scanPolicyState(row pgx.CollectableRow) (r policyStateRow, err error) {
	return r, row.Scan(&r.schema, &r.state.Version, &r.state.Replicas, &r.state.Acknowledged)
}

// collectPolicyStates is the states by schema. Most tenants have been acknowledged by the same replicas: they share one
// list, so that what a scan keeps of thousands stays small.
func collectPolicyStates(rows pgx.Rows) (map[string]PolicyState, error) {
	states := map[string]PolicyState{}
	var last []string
	for rows.Next() {
		r, err := scanPolicyState(rows)
		if err != nil {
			return nil, err
		}
		if slices.Equal(last, r.state.Acknowledged) {
			r.state.Acknowledged = last
		}
		last = r.state.Acknowledged
		states[r.schema] = r.state
	}
	return states, rows.Err()
}

// tellPolicyVersion tells the control schema the version that the schema has; every change of the policy does so too.
func tellPolicyVersion(schema string) statement {
	return statement{
		`INSERT INTO circle15.policy_versions (schema_name, version) SELECT $1, version FROM ` + ident(schema, "policy_version") + `
		ON CONFLICT DO NOTHING`, []any{schema},
	}
}

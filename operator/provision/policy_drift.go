package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/authz"
)

// policyTables are what policyDriftSQL reads.
var policyTables = []string{"roles", "role_rules", "role_grants", "stations"}

// policyDriftSQL names what of a tenant's roles, rules and grants is not as it was written. The tenant's administrators
// may add roles, rules of their own roles, and grants; the standard roles have the rules written and no others, because
// only SQL could have added one. A grant at a station that is closed by now may be there or not.
const policyDriftSQL = `
WITH rule AS (
	SELECT role, resource, action, level FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS w (role, resource, action, level)
), whole AS (
	SELECT subject, role FROM unnest($9::text[], $10::text[]) AS w (subject, role)
), at_station AS (
	SELECT subject, role, station FROM unnest($12::text[], $13::text[], $14::text[]) AS w (subject, role, station)
), differs (what) AS (
	SELECT 'role ' || w.name
	FROM unnest($5::text[], $6::text[], $7::text[], $8::bool[]) AS w (name, title_zh, title_en, standard)
	WHERE NOT EXISTS (SELECT FROM {schema}.roles r
		WHERE (r.name, r.title_zh, r.title_en, r.standard) = (w.name, w.title_zh, w.title_en, w.standard))
	UNION ALL
	SELECT 'rule ' || w.role || ' ' || w.resource || ':' || w.action FROM rule w
	WHERE NOT EXISTS (SELECT FROM {schema}.role_rules r
		WHERE (r.role, r.resource, r.action, r.level) = (w.role, w.resource, w.action, w.level))
	UNION ALL
	SELECT 'rule ' || r.role || ' ' || r.resource || ':' || r.action FROM {schema}.role_rules r
	WHERE r.role = ANY ($11) AND NOT EXISTS (SELECT FROM rule w
		WHERE (w.role, w.resource, w.action) = (r.role, r.resource, r.action))
	UNION ALL
	SELECT 'grant of ' || w.role FROM whole w
	WHERE NOT EXISTS (SELECT FROM {schema}.role_grants g
		WHERE (g.subject, g.role) = (w.subject, w.role) AND g.station_id IS NULL AND g.expires_at IS NULL)
	UNION ALL
	SELECT 'grant of ' || g.role FROM {schema}.role_grants g
	WHERE g.created_by = $15 AND NOT EXISTS (SELECT FROM whole w
		WHERE (w.subject, w.role) = (g.subject, g.role) AND g.station_id IS NULL)
	UNION ALL
	SELECT 'grant of ' || w.role || ' at ' || w.station FROM at_station w
	WHERE EXISTS (SELECT FROM {schema}.stations s WHERE s.division_code = w.station AND s.closed_date IS NULL)
	AND NOT EXISTS (SELECT FROM {schema}.role_grants g JOIN {schema}.stations s ON s.id = g.station_id
		WHERE (g.subject, g.role, s.division_code) = (w.subject, w.role, w.station) AND g.expires_at IS NULL)
	UNION ALL
	SELECT 'grant of ' || g.role || ' at ' || coalesce(s.division_code, 'no station')
	FROM {schema}.role_grants g LEFT JOIN {schema}.stations s ON s.id = g.station_id
	WHERE g.created_by = $16 AND $17 AND NOT EXISTS (SELECT FROM at_station w
		WHERE (w.subject, w.role, w.station) = (g.subject, g.role, s.division_code))
)
SELECT coalesce(array_agg(DISTINCT what ORDER BY what), '{}') FROM differs`

// comparePolicy fills PolicyRows from the rows of the tenant's schema and what the control row says was written.
func (o *Observation) comparePolicy(ctx context.Context, tx pgx.Tx) error {
	if o.Tenant == nil || o.lacksPolicyTables() {
		return nil
	}
	policy := o.Tenant.Policy
	role, resource, action, level := ruleColumns(policy.effectiveRules())
	roles := policy.roleColumns()
	subjects, granted := policy.grantColumns()
	stationSubjects, stationRoles, stations := stationGrantColumns(o.Tenant.StationGrants)
	sql := strings.ReplaceAll(policyDriftSQL, "{schema}", ident(o.Name.Schema()))
	// Not prepared: each tenant's statement is another.
	return tx.QueryRow(ctx, sql, pgx.QueryExecModeExec, role, resource, action, level,
		roles.names, roles.zh, roles.en, roles.standard, subjects, granted, standardRoleNames(),
		stationSubjects, stationRoles, stations, GrantedBy, StationGrantedBy, o.Tenant.StationGrants != nil).
		Scan(&o.PolicyRows)
}

// compareChangedPolicy is comparePolicy where the policy has changed since it was last found as written.
func (o *Observation) compareChangedPolicy(ctx context.Context, tx pgx.Tx) error {
	var changed bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM circle15.policy_versions v WHERE v.schema_name = $1 AND v.version <> v.checked)`,
		o.Name.Schema()).Scan(&changed)
	if err != nil || !changed {
		return err
	}
	return o.comparePolicy(ctx, tx)
}

// lacksPolicyTables says whether something is gone that the comparison would read: that is another step's to refuse.
func (o *Observation) lacksPolicyTables() bool {
	return slices.ContainsFunc(o.Missing, func(m Object) bool {
		table, _, _ := strings.Cut(m.Name, ".")
		return (m.Kind == "table" || m.Kind == "column") && slices.Contains(policyTables, table)
	})
}

// comparePolicies is comparePolicy for those of many schemas whose policy has changed since it was last found as written;
// one query tells which. It returns those that are as written still, with the version they have now.
func comparePolicies(ctx context.Context, tx pgx.Tx, observations []*Observation) (good policyVersions, err error) {
	bySchema := make(map[string]*Observation, len(observations))
	for _, o := range observations {
		bySchema[o.Name.Schema()] = o
	}
	rows, err := tx.Query(ctx, `SELECT v.schema_name, v.version FROM circle15.policy_versions v WHERE v.version <> v.checked`)
	if err != nil {
		return good, err
	}
	var changed policyVersions
	var schema string
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&schema, &version}, func() error {
		if bySchema[schema] != nil {
			changed.add(schema, version)
		}
		return nil
	})
	if err != nil {
		return good, err
	}
	for i, schema := range changed.schemas {
		o := bySchema[schema]
		if err := o.comparePolicy(ctx, tx); err != nil {
			return good, fmt.Errorf("policy of tenant %s: %w", o.Name, err)
		}
		if o.Tenant != nil && !o.lacksPolicyTables() && len(o.PolicyRows) == 0 && o.Tenant.policyDigest == o.Tenant.Policy.digest() {
			good.add(schema, changed.versions[i])
		}
	}
	return good, nil
}

// policyVersions are versions of schemas' policies: those in the same place go together.
type policyVersions struct {
	schemas  []string
	versions []int64
}

func (v *policyVersions) add(schema string, version int64) {
	v.schemas, v.versions = append(v.schemas, schema), append(v.versions, version)
}

// found records that the policies were as written in these versions.
func (p *Provisioner) found(ctx context.Context, good policyVersions) error {
	if len(good.schemas) == 0 {
		return nil
	}
	_, err := p.pool.Exec(ctx, `UPDATE circle15.policy_versions v SET checked = good.version
		FROM unnest($1::text[], $2::bigint[]) AS good (schema_name, version) WHERE v.schema_name = good.schema_name`,
		good.schemas, good.versions)
	return err
}

// foundAsWritten ends the writing of a policy, whose version moves with each of its statements: there is nothing to look
// at until someone else changes it.
func foundAsWritten(schema string) statement {
	return statement{`UPDATE circle15.policy_versions SET checked = version WHERE schema_name = $1`, []any{schema}}
}

func standardRoleNames() []string {
	var names []string
	for _, r := range authz.StandardRoles() {
		names = append(names, r.Name)
	}
	return names
}

package provision

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/tenant"
)

// Observation is what exists of one tenant in the cluster's catalogs.
type Observation struct {
	Name   tenant.Name
	Tenant *Tenant // the control row; nil where there is none

	RoleExists  bool
	RoleOwned   bool         // the role's mark is of this installation
	RolePlain   bool         // no login, no special right
	RoleGroups  []Membership // of the tenant's role in others
	RoleMembers []Membership // of others in the tenant's role, without circle15_operator
	AppInherits bool         // circle15_app's membership has INHERIT or lacks SET

	SchemaExists bool
	SchemaOwner  string
	SchemaOwned  bool // the schema's mark is of this installation

	Policies PolicyState

	// Compared with a schema as this release makes it; empty for a schema of another version.
	Difference

	// Drift names the steps (see Steps) that Upgrade would have something to do in; Stalled says why it could not.
	// Both are set by Observe alone.
	Drift   []string
	Stalled *Refusal

	schemaMark mark
	roleAlter  []string // what ALTER ROLE must say for the role to be plain
}

// Membership is one grant of a role to a role.
type Membership struct {
	Role    string `json:"role"` // the other role
	Grantor string `json:"grantor"`
}

// schemaVersion is the version that the schema's own mark tells; the control row holds a copy of it.
func (o *Observation) schemaVersion() int {
	if !o.SchemaExists {
		return 0
	}
	return o.schemaMark.Version
}

const observeSQL = `
SELECT w.name,
	r.oid IS NOT NULL,
	coalesce(pg_catalog.shobj_description(r.oid, 'pg_authid'), ''),
	ARRAY(SELECT a.word FROM (VALUES (r.rolcanlogin, 'NOLOGIN'), (NOT r.rolinherit, 'INHERIT'), (r.rolsuper, 'NOSUPERUSER'),
		(r.rolcreaterole, 'NOCREATEROLE'), (r.rolcreatedb, 'NOCREATEDB'), (r.rolreplication, 'NOREPLICATION'),
		(r.rolbypassrls, 'NOBYPASSRLS')) AS a (wrong, word) WHERE a.wrong),
	coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
		'role', pg_catalog.pg_get_userbyid(m.roleid), 'grantor', pg_catalog.pg_get_userbyid(m.grantor)))
		FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid), '[]'),
	coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
		'role', pg_catalog.pg_get_userbyid(m.member), 'grantor', pg_catalog.pg_get_userbyid(m.grantor)))
		FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid AND m.member <> pg_catalog.to_regrole('circle15_operator')), '[]'),
	EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid AND m.member = pg_catalog.to_regrole('circle15_app')
		AND (pg_catalog.to_jsonb(m) @> '{"inherit_option": true}' OR pg_catalog.to_jsonb(m) @> '{"set_option": false}')),
	s.oid IS NOT NULL,
	coalesce(pg_catalog.pg_get_userbyid(s.nspowner)::text, ''),
	coalesce(pg_catalog.obj_description(s.oid, 'pg_namespace'), '')
FROM unnest($1::text[], $2::text[]) AS w (name, identifier)
LEFT JOIN pg_catalog.pg_roles r ON r.rolname = w.identifier
LEFT JOIN pg_catalog.pg_namespace s ON s.nspname = w.identifier`

// observation reads what exists of the tenants, which need not be known to the control schema.
func (p *Provisioner) observation(ctx context.Context, tx pgx.Tx, names ...tenant.Name) (map[tenant.Name]*Observation, error) {
	plain, identifiers := make([]string, len(names)), make([]string, len(names))
	for i, n := range names {
		plain[i], identifiers[i] = string(n), n.Schema()
	}
	batch := &pgx.Batch{}
	batch.Queue(observeSQL, plain, identifiers)
	batch.Queue(`SELECT `+tenantColumns+` FROM circle15.tenants t WHERE t.name = ANY ($1)`, plain)
	batch.Queue(policyStatesSQL, identifiers)
	results := tx.SendBatch(ctx, batch)
	found, err := p.collectObservations(results)
	if closeErr := results.Close(); err == nil {
		err = closeErr
	}
	return found, err
}

func (p *Provisioner) collectObservations(results pgx.BatchResults) (map[tenant.Name]*Observation, error) {
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	observations, err := pgx.CollectRows(rows, p.scanObservation)
	if err != nil {
		return nil, err
	}
	found := make(map[tenant.Name]*Observation, len(observations))
	for _, o := range observations {
		found[o.Name] = o
	}
	if rows, err = results.Query(); err != nil {
		return nil, err
	}
	tenants, err := pgx.CollectRows(rows, scanTenant)
	if err != nil {
		return nil, err
	}
	for i := range tenants {
		found[tenants[i].Name].Tenant = &tenants[i]
	}
	if rows, err = results.Query(); err != nil {
		return nil, err
	}
	states, err := collectPolicyStates(rows)
	for _, o := range observations {
		o.Policies = states[o.Name.Schema()]
	}
	return found, err
}

func (p *Provisioner) scanObservation(row pgx.CollectableRow) (*Observation, error) {
	o := &Observation{}
	var roleMark, schemaMark string
	err := row.Scan(&o.Name, &o.RoleExists, &roleMark, &o.roleAlter, &o.RoleGroups, &o.RoleMembers, &o.AppInherits,
		&o.SchemaExists, &o.SchemaOwner, &schemaMark)
	o.RolePlain = o.RoleExists && len(o.roleAlter) == 0
	o.RoleOwned = parseMark(roleMark).Installation == p.installation
	o.schemaMark = parseMark(schemaMark)
	o.SchemaOwned = o.schemaMark.Installation == p.installation
	return o, err
}

// The mark is JSON in a comment, under one key, so that a person reading \dn+ sees whose the schema is.
type markComment struct {
	Mark *mark `json:"circle15"`
}

func (m mark) comment() string {
	text, err := json.Marshal(markComment{&m})
	if err != nil {
		panic(err) // uuids and an integer
	}
	return string(text)
}

// parseMark returns the zero mark, which no installation has, for any other comment.
func parseMark(comment string) mark {
	var c markComment
	if json.Unmarshal([]byte(comment), &c) != nil || c.Mark == nil || c.Mark.Installation == uuid.Nil {
		return mark{}
	}
	return *c.Mark
}

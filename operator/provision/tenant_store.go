package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/tenant"
)

// State is where a tenant stands. Services serve only active ones.
type State string

// The states.
const (
	StateProvisioning State = "provisioning" // seen only where creation was interrupted; Create goes on
	StateActive       State = "active"
	StateSuspended    State = "suspended" // its role is taken from the services
	StateDeleting     State = "deleting"  // being dropped; Delete goes on
	StateRetained     State = "retained"  // put away with its data
)

// Tenant is a row of the control schema.
type Tenant struct {
	Name           tenant.Name    `json:"name"`
	ID             uuid.UUID      `json:"id"`
	DisplayNameZh  string         `json:"displayNameZh"`
	DisplayNameEn  string         `json:"displayNameEn"`
	Level          Level          `json:"level"`
	Parent         tenant.Name    `json:"parent,omitempty"`
	DivisionCode   string         `json:"divisionCode"`
	Cluster        string         `json:"cluster"`
	Schema         string         `json:"schema"`
	Role           string         `json:"role"`
	State          State          `json:"state"`
	SchemaVersion  int            `json:"schemaVersion"`
	DeletionPolicy DeletionPolicy `json:"deletionPolicy"`
	StandardsPack  string         `json:"standardsPack,omitempty"`
	Quotas         Quotas         `json:"quotas"`
	Policy         Policy         `json:"policy"`
	StationGrants  []StationGrant `json:"stationGrants,omitempty"` // as last made by EnsureStationGrants; nil where it was not called
	CreatedAt      time.Time      `json:"createdAt"`
	UpdatedAt      time.Time      `json:"updatedAt"`

	policyDigest string
}

// spec is the Spec that the row records.
func (t *Tenant) spec() Spec {
	return Spec{
		Name: t.Name, DisplayNameZh: t.DisplayNameZh, DisplayNameEn: t.DisplayNameEn, Level: t.Level, Parent: t.Parent,
		DivisionCode: t.DivisionCode, Cluster: t.Cluster, Quotas: t.Quotas, StandardsPack: t.StandardsPack,
		DeletionPolicy: t.DeletionPolicy, Policy: t.Policy,
	}
}

const tenantColumns = `t.name, t.id, t.display_name_zh, t.display_name_en, t.level, coalesce(t.parent, ''), t.division_code, t.cluster,
	t.schema_name, t.role_name, t.state, t.schema_version, t.deletion_policy, t.standards_pack,
	t.max_stations, t.max_staff, t.max_residents, t.requests_per_second, t.policy, t.created_at, t.updated_at, t.policy_digest,
	t.station_grants`

func scanTenant(row pgx.CollectableRow) (Tenant, error) {
	var t Tenant
	var policy []byte
	err := row.Scan(&t.Name, &t.ID, &t.DisplayNameZh, &t.DisplayNameEn, &t.Level, &t.Parent, &t.DivisionCode, &t.Cluster,
		&t.Schema, &t.Role, &t.State, &t.SchemaVersion, &t.DeletionPolicy, &t.StandardsPack,
		&t.Quotas.Stations, &t.Quotas.Staff, &t.Quotas.Residents, &t.Quotas.RequestsPerSecond, &policy,
		&t.CreatedAt, &t.UpdatedAt, &t.policyDigest, &t.StationGrants)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(policy, &t.Policy); err != nil {
		return t, fmt.Errorf("policy of tenant %s: %w", t.Name, err)
	}
	return t, nil
}

// Filter narrows List; zero fields do not.
type Filter struct {
	Level  Level
	Parent tenant.Name
	State  State
}

// List returns the tenants by name.
func (p *Provisioner) List(ctx context.Context, f Filter) ([]Tenant, error) {
	rows, err := p.pool.Query(ctx, `SELECT `+tenantColumns+` FROM circle15.tenants t
		WHERE ($1 = '' OR t.level = $1) AND ($2 = '' OR t.parent = $2) AND ($3 = '' OR t.state = $3)
		ORDER BY t.name`, string(f.Level), string(f.Parent), string(f.State))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanTenant)
}

// Show returns one tenant; NotFound where there is none.
func (p *Provisioner) Show(ctx context.Context, name tenant.Name) (Tenant, error) {
	rows, err := p.pool.Query(ctx, `SELECT `+tenantColumns+` FROM circle15.tenants t WHERE t.name = $1`, string(name))
	if err != nil {
		return Tenant{}, err
	}
	t, err := pgx.CollectExactlyOneRow(rows, scanTenant)
	if errors.Is(err, pgx.ErrNoRows) {
		return Tenant{}, refuse(NotFound, "there is no tenant %s", name)
	}
	return t, err
}

// MigrationRecord is one line of the ledger.
type MigrationRecord struct {
	Version   int       `json:"version"`
	Name      string    `json:"name"`
	AppliedAt time.Time `json:"appliedAt"`
}

// Ledger lists the migrations of a tenant's schema, oldest first.
func (p *Provisioner) Ledger(ctx context.Context, name tenant.Name) ([]MigrationRecord, error) {
	rows, err := p.pool.Query(ctx, `SELECT l.version, coalesce(m.name, ''), l.applied_at
		FROM circle15.tenant_migrations l LEFT JOIN circle15.migrations m ON m.line = 'tenant' AND m.version = l.version
		WHERE l.tenant = $1 ORDER BY l.version`, string(name))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[MigrationRecord])
}

func insertTenant(s Spec, id uuid.UUID) statement {
	return statement{
		`INSERT INTO circle15.tenants (name, id, display_name_zh, display_name_en, level, parent, division_code, cluster,
		schema_name, role_name, state, deletion_policy, standards_pack, max_stations, max_staff, max_residents, requests_per_second)
		VALUES ($1, $2, $3, $4, $5, nullif($6, ''), $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		[]any{
			string(s.Name), id, s.DisplayNameZh, s.DisplayNameEn, string(s.Level), string(s.Parent), s.DivisionCode, s.Cluster,
			s.Name.Schema(), s.Name.Role(), string(StateProvisioning), string(s.DeletionPolicy), s.StandardsPack,
			s.Quotas.Stations, s.Quotas.Staff, s.Quotas.Residents, s.Quotas.RequestsPerSecond,
		},
	}
}

func updateTenant(s Spec) statement {
	return statement{
		`UPDATE circle15.tenants SET display_name_zh = $2, display_name_en = $3, deletion_policy = $4, standards_pack = $5,
		max_stations = $6, max_staff = $7, max_residents = $8, requests_per_second = $9, updated_at = now() WHERE name = $1`,
		[]any{
			string(s.Name), s.DisplayNameZh, s.DisplayNameEn, string(s.DeletionPolicy), s.StandardsPack,
			s.Quotas.Stations, s.Quotas.Staff, s.Quotas.Residents, s.Quotas.RequestsPerSecond,
		},
	}
}

func setState(name tenant.Name, state State) statement {
	return statement{`UPDATE circle15.tenants SET state = $2, updated_at = now() WHERE name = $1`, []any{string(name), string(state)}}
}

func joinNames(names []tenant.Name) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = string(n)
	}
	return strings.Join(parts, ", ")
}

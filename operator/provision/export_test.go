package provision

import "context"

// OpenAt opens as a release whose tenant line ends at the version.
func OpenAt(ctx context.Context, cfg Config, version int) (*Provisioner, error) {
	tenants, err := loadLine(embedded, "tenant")
	if err != nil {
		return nil, err
	}
	tenants.migrations = tenants.migrations[:version]
	if version < tenants.baseline.version {
		tenants.baseline = migration{}
	}
	return open(ctx, cfg, tenants)
}

// OpenEdited opens as a release in which the first tenant migration was edited after it was published.
func OpenEdited(ctx context.Context, cfg Config) (*Provisioner, error) {
	tenants, err := loadLine(embedded, "tenant")
	if err != nil {
		return nil, err
	}
	tenants.migrations[0].checksum = "edited"
	return open(ctx, cfg, tenants)
}

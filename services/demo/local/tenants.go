package local

import (
	"context"
	"fmt"

	"circle15.dev/internal/tenant"
	"circle15.dev/operator/provision"
	"circle15.dev/services/demo/haikou"
)

// Subjects of the demo's own principals, as "circle15 token" names them. Those of the stations' workers come with the data
// (haikou.Subject).
const (
	importer        = "demo-importer"
	bureauAdmin     = "demo-bureau_admin"
	securityAdmin   = "demo-security_admin"
	provinceAnalyst = "demo-province_analyst"
)

// Tenants are Hainan and Haikou, the province first, with the roles of the demo's own principals.
func Tenants() []provision.Spec {
	return []provision.Spec{
		{
			Name: haikou.Province, DisplayNameZh: "海南省", DisplayNameEn: "Hainan", Level: provision.Province, DivisionCode: haikou.ProvinceCode,
			Policy: provision.Policy{Grants: []provision.Grant{{Subject: provinceAnalyst, Role: "province_analyst"}}},
		},
		{
			Name: haikou.Tenant, DisplayNameZh: "海口市", DisplayNameEn: "Haikou", Level: provision.City, Parent: haikou.Province,
			DivisionCode: haikou.DivisionCode,
			Policy: provision.Policy{Grants: []provision.Grant{
				{Subject: importer, Role: "bureau_admin"},
				{Subject: securityAdmin, Role: "security_admin"},
				{Subject: bureauAdmin, Role: "bureau_admin"},
				{Subject: provinceAnalyst, Role: "province_analyst"},
			}},
		},
	}
}

// provisionTenants makes the tenants on the cluster, or brings them up to date.
func provisionTenants(ctx context.Context, p *provision.Provisioner) error {
	for _, spec := range Tenants() {
		if _, err := p.Create(ctx, spec); err != nil {
			return fmt.Errorf("tenant %s: %w", spec.Name, err)
		}
	}
	return nil
}

// principal is whom a token of the demo is for.
type principal struct {
	subject, name string
	tenants       []tenant.Name
}

var principals = struct{ importer, socialWorker, bureauAdmin, securityAdmin, provinceAnalyst principal }{
	importer:        principal{importer, "演示数据导入", []tenant.Name{haikou.Tenant}},
	socialWorker:    principal{haikou.Subject(haikou.Binjiang, 2), "滨江街道社工", []tenant.Name{haikou.Tenant}},
	bureauAdmin:     principal{bureauAdmin, "海口市民政局管理员", []tenant.Name{haikou.Tenant}},
	securityAdmin:   principal{securityAdmin, "海口市安全管理员", []tenant.Name{haikou.Tenant}},
	provinceAnalyst: principal{provinceAnalyst, "海南省分析员", []tenant.Name{haikou.Province, haikou.Tenant}},
}

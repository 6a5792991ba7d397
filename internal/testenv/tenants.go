package testenv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"circle15.dev/internal/divisions"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/provision"
)

// Platform is a provisioned database of the test process: control schema, roles, and a Provisioner.
type Platform struct {
	provision.Endpoints
	SuperuserURL string // of the same database
	Provisioner  *provision.Provisioner
}

// Database is the name of the database of the Platform.
const Database = "circle15"

// Password is that of the login roles circle15_operator and circle15_app.
const Password = "for-tests-only"

var platform struct {
	once    sync.Once
	value   *Platform
	err     error
	codes   codes
	parents map[string]tenant.Name // by the first two digits of the division code
	mu      sync.Mutex
	count   int
}

// Provisioned is the Platform of this test process, prepared once.
func Provisioned(t testing.TB) *Platform {
	t.Helper()
	server := Postgres(t)
	platform.once.Do(func() {
		platform.value, platform.err = provisioned(server.SuperuserURL("postgres"), server.SuperuserURL(Database))
	})
	if platform.err != nil {
		t.Fatalf("provisioned database for tests: %v", platform.err)
	}
	return platform.value
}

func provisioned(adminURL, superuserURL string) (*Platform, error) {
	ctx := context.Background()
	endpoints, err := provision.Bootstrap(ctx, provision.BootstrapConfig{
		AdminURL: adminURL, Database: Database, OperatorPassword: Password, AppPassword: Password,
	})
	if err != nil {
		return nil, err
	}
	p, err := provision.Open(ctx, provision.Config{OperatorURL: endpoints.OperatorURL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return &Platform{Endpoints: endpoints, SuperuserURL: superuserURL, Provisioner: p}, nil
}

// NewTenant provisions a city with a name and a division of its own, changed by the options, and drops it at the end of
// the test. A parent province is made for it and kept.
func NewTenant(t testing.TB, options ...func(*provision.Spec)) tenant.Name {
	t.Helper()
	p := Provisioned(t).Provisioner
	spec, err := nextSpec(p)
	if err != nil {
		t.Fatal(err)
	}
	code := spec.DivisionCode
	for _, option := range options {
		option(&spec)
	}
	if _, err := p.Create(context.Background(), spec); err != nil {
		t.Fatalf("tenant for tests: %v", err)
	}
	t.Cleanup(func() { drop(t, p, spec.Name, code) })
	return spec.Name
}

// drop gives the division code that was handed out back too. A tenant that the test dropped is fine, and so is one that
// it chose to retain.
func drop(t testing.TB, p *provision.Provisioner, name tenant.Name, code string) {
	err := p.Delete(context.Background(), name)
	switch reason := provision.ReasonOf(err); {
	case reason == provision.PolicyForbids:
	case err == nil, reason == provision.NotFound:
		platform.mu.Lock()
		defer platform.mu.Unlock()
		platform.codes.giveBack(code)
	default:
		t.Errorf("dropping tenant %s: %v", name, err)
	}
}

// NextSpec is the spec of a tenant that no other test of this process has, for tests that provision by themselves.
func NextSpec(t testing.TB) provision.Spec {
	t.Helper()
	spec, err := nextSpec(Provisioned(t).Provisioner)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func nextSpec(p *provision.Provisioner) (provision.Spec, error) {
	platform.mu.Lock()
	defer platform.mu.Unlock()
	platform.count++
	code, err := platform.codes.next()
	if err != nil {
		return provision.Spec{}, err
	}
	parent, err := parentOf(p, code)
	return provision.Spec{
		Name:           tenant.Name(fmt.Sprintf("city-%d", platform.count)),
		DisplayNameZh:  "测试市",
		DisplayNameEn:  "Test City",
		Level:          provision.City,
		Parent:         parent,
		DivisionCode:   code,
		DeletionPolicy: provision.Delete,
	}, err
}

// parentOf makes the province of a division code when it is first needed.
func parentOf(p *provision.Provisioner, code string) (tenant.Name, error) {
	key := code[:2]
	if name, made := platform.parents[key]; made {
		return name, nil
	}
	name := tenant.Name("province-" + key)
	_, err := p.Create(context.Background(), provision.Spec{
		Name: name, DisplayNameZh: "测试省", DisplayNameEn: "Test Province", Level: provision.Province, DivisionCode: key + "0000",
	})
	if err != nil {
		return "", err
	}
	if platform.parents == nil {
		platform.parents = map[string]tenant.Name{}
	}
	platform.parents[key] = name
	return name, nil
}

// codes hands out the codes of the county-level divisions, from the last to the first, so that the places that tests
// name by themselves (Haikou, 4601) come late.
type codes struct {
	all    []string
	loaded bool
}

func (c *codes) giveBack(code string) { c.all = append(c.all, code) }

func (c *codes) next() (string, error) {
	if !c.loaded {
		for d := range divisions.All(divisions.County) {
			c.all = append(c.all, d.Code)
		}
		c.loaded = true
	}
	if len(c.all) == 0 {
		return "", errors.New("no division code is left for a test tenant")
	}
	code := c.all[len(c.all)-1]
	c.all = c.all[:len(c.all)-1]
	return code, nil
}

package authz

import (
	"time"

	"github.com/google/uuid"

	"circle15.dev/internal/tenant"
)

// Any stands in a rule for every resource or every action.
const Any = "*"

// Everyone is the role of every principal of the tenant, granted or not. No tenant can grant it or change its rules.
const Everyone = "*"

// The operator stands in created_by of the grants that a Tenant object asks for, in the whole tenant and at stations. It
// puts them back when they are gone: they are taken back where they were asked for.
const (
	ByOperator          = "circle15:operator"
	ByOperatorAtStation = "circle15:operator:station"
)

// Role is a named set of rules.
type Role struct {
	Name    string `json:"name"` // lower-case letters, digits and underscores
	TitleZH string `json:"titleZh"`
	TitleEN string `json:"titleEn"`
}

// Rule permits the holders of a role an action on a resource, as far as the level reaches.
type Rule struct {
	Role     string `json:"role"`
	Resource string `json:"resource"` // a collection, as in an RPC's authorization rule ("households"), or Any
	Action   string `json:"action"`   // "get", "list", "create", "update", a verb, or Any
	Level    Level  `json:"level"`
}

// Grant gives a subject a role.
type Grant struct {
	Subject string
	Role    string
	Station *uuid.UUID // the station that own and station rules reach; nil for none. Wider rules do not ask
	Expires *time.Time // from this moment on the grant is void; nil for never
}

// active says whether the grant counts at the time.
func (g Grant) active(at time.Time) bool { return g.Expires == nil || at.Before(*g.Expires) }

// Policy is what a tenant's schema says about who may do what.
type Policy struct {
	Tenant  tenant.Name
	Version int64
	Rules   []Rule
	Grants  []Grant
}

// rank orders levels, narrowest first; 0 for an unknown level, which permits nothing.
func (l Level) rank() int {
	switch l {
	case LevelAggregate:
		return 1
	case LevelOwn:
		return 2
	case LevelStation:
		return 3
	case LevelTenant:
		return 4
	default:
		return 0
	}
}

// byStation says whether the level reaches only the stations of the grants.
func (l Level) byStation() bool { return l == LevelOwn || l == LevelStation }

// Valid says whether l is one of the four levels.
func (l Level) Valid() bool { return l.rank() > 0 }

package provision

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"circle15.dev/internal/divisions"
	"circle15.dev/internal/standards"
	"circle15.dev/internal/tenant"
)

// Level is the administrative level of a tenant.
type Level string

// The levels.
const (
	Province Level = "province"
	City     Level = "city"     // prefecture level, or a county-level city directly under a province
	District Level = "district" // county level
)

// DeletionPolicy says what Delete may do with a tenant's rows.
type DeletionPolicy string

// The deletion policies.
const (
	Retain DeletionPolicy = "Retain" // the schema stays, out of use, and a tenant created again adopts it
	Delete DeletionPolicy = "Delete" // the schema is dropped
)

// DefaultCluster is the cluster of a Spec that names none.
const DefaultCluster = "default"

// Quotas bound a tenant; nil is unlimited.
type Quotas struct {
	Stations          *int32 `json:"stations,omitempty"`
	Staff             *int32 `json:"staff,omitempty"`
	Residents         *int32 `json:"residents,omitempty"`
	RequestsPerSecond *int32 `json:"requestsPerSecond,omitempty"`
}

// String lists the quotas that are set: "stations 43, staff 129".
func (q Quotas) String() string {
	var set []string
	for _, quota := range []struct {
		name  string
		limit *int32
	}{{"stations", q.Stations}, {"staff", q.Staff}, {"residents", q.Residents}, {"requests per second", q.RequestsPerSecond}} {
		if quota.limit != nil {
			set = append(set, fmt.Sprintf("%s %d", quota.name, *quota.limit))
		}
	}
	return strings.Join(set, ", ")
}

// Spec is what a tenant should be.
type Spec struct {
	Name           tenant.Name
	DisplayNameZh  string
	DisplayNameEn  string
	Level          Level       // immutable
	Parent         tenant.Name // immutable; empty for a province
	DivisionCode   string      // immutable; six digits of GB/T 2260, unique among the tenants that are not retained
	Cluster        string      // immutable; empty: DefaultCluster
	Quotas         Quotas
	StandardsPack  string // one of standards.Known; empty: the platform's default
	DeletionPolicy DeletionPolicy
	Policy         Policy
	Suspend        *bool // nil: a suspended tenant stays suspended, another becomes active
}

const maxDisplayName = 100

// normalize fills defaults and checks what can be known without the database.
func (s *Spec) normalize() error {
	if _, err := tenant.ParseName(string(s.Name)); err != nil {
		return refuseField(InvalidSpec, "name", "%s", err)
	}
	if s.Cluster == "" {
		s.Cluster = DefaultCluster
	}
	if s.DeletionPolicy == "" {
		s.DeletionPolicy = Retain
	}
	if s.DeletionPolicy != Retain && s.DeletionPolicy != Delete {
		return refuseField(InvalidSpec, "deletionPolicy", "want %s or %s", Retain, Delete)
	}
	if err := s.checkLevel(); err != nil {
		return err
	}
	if err := s.checkDivision(); err != nil { // before the names, which may come from the division
		return err
	}
	if err := checkText("displayNameZh", s.DisplayNameZh, true); err != nil {
		return err
	}
	if err := checkText("displayNameEn", s.DisplayNameEn, false); err != nil {
		return err
	}
	if s.StandardsPack != "" && !slices.Contains(standards.Known(), s.StandardsPack) {
		return refuseField(InvalidSpec, "standardsPack", "there is no pack %q; this release has %s",
			s.StandardsPack, strings.Join(standards.Known(), ", "))
	}
	if err := s.Quotas.check(); err != nil {
		return err
	}
	return s.Policy.check()
}

func checkText(field, text string, required bool) error {
	switch {
	case required && strings.TrimSpace(text) == "":
		return refuseField(InvalidSpec, field, "is required")
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return refuseField(InvalidSpec, field, "is not valid text")
	case utf8.RuneCountInString(text) > maxDisplayName:
		return refuseField(InvalidSpec, field, "is longer than %d characters", maxDisplayName)
	}
	return nil
}

func (q Quotas) check() error {
	for field, value := range map[string]*int32{"quotas.stations": q.Stations, "quotas.staff": q.Staff, "quotas.residents": q.Residents} {
		if value != nil && *value < 0 {
			return refuseField(InvalidSpec, field, "must not be negative")
		}
	}
	if q.RequestsPerSecond != nil && *q.RequestsPerSecond <= 0 {
		return refuseField(InvalidSpec, "quotas.requestsPerSecond", "must be positive")
	}
	return nil
}

func (s *Spec) checkLevel() error {
	switch s.Level {
	case Province:
		if s.Parent != "" {
			return refuseField(WrongParent, "parent", "a province has no parent")
		}
	case City, District:
		if s.Parent == "" {
			return refuseField(WrongParent, "parent", "a %s needs a parent of level %s", s.Level, s.Level.parent())
		}
		if s.Parent == s.Name {
			return refuseField(WrongParent, "parent", "a tenant is not its own parent")
		}
		if _, err := tenant.ParseName(string(s.Parent)); err != nil {
			return refuseField(InvalidSpec, "parent", "%s", err)
		}
	default:
		return refuseField(InvalidSpec, "level", "want %s, %s or %s", Province, City, District)
	}
	return nil
}

// parent is the level that the parent of a tenant of level l has.
func (l Level) parent() Level {
	if l == District {
		return City
	}
	return Province
}

// checkDivision checks the code against the division table. A county-level division may be a city (Qionghai 469002
// lies directly under Hainan), so between city and district only the table's province level is told apart.
func (s *Spec) checkDivision() error {
	if len(s.DivisionCode) != 6 {
		return refuseField(InvalidSpec, "divisionCode", "want the six digits of GB/T 2260")
	}
	if _, known := divisions.Lookup(s.DivisionCode); !known {
		return refuseField(UnknownDivision, "divisionCode", "%q is not a division of the table (GB/T 2260)", s.DivisionCode)
	}
	if isProvince := strings.HasSuffix(s.DivisionCode, "0000"); isProvince != (s.Level == Province) {
		return refuseField(InvalidSpec, "divisionCode", "%s is not a division of level %s", s.DivisionCode, s.Level)
	}
	return nil
}

// checkParent checks the row of the parent, or nil.
func (s *Spec) checkParent(parent *Tenant, maybeElsewhere bool) error {
	if s.Level == Province || parent == nil && maybeElsewhere {
		return nil
	}
	if parent == nil || parent.State == StateRetained || parent.State == StateDeleting {
		return refuseField(UnknownParent, "parent", "there is no tenant %s; create it first", s.Parent)
	}
	if parent.Level != s.Level.parent() {
		return refuseField(WrongParent, "parent", "%s is a %s; the parent of a %s is a %s", s.Parent, parent.Level, s.Level, s.Level.parent())
	}
	if parent.DivisionCode[:2] != s.DivisionCode[:2] {
		return refuseField(WrongParent, "parent", "division %s is not in the province of %s (%s)", s.DivisionCode, s.Parent, parent.DivisionCode)
	}
	if s.Level == District && liesInAnotherCity(s.DivisionCode, parent.DivisionCode) {
		return refuseField(WrongParent, "parent", "division %s is not in %s (%s)", s.DivisionCode, s.Parent, parent.DivisionCode)
	}
	return nil
}

// liesInAnotherCity says whether the table puts the division into a city other than the parent's. What it lists under a
// heading lies in no city, and a parent of county level (a county-level city) has no divisions of that level in it.
func liesInAnotherCity(code, parent string) bool {
	division, _ := divisions.Lookup(code)
	city, _ := divisions.Lookup(division.Parent)
	of, _ := divisions.Lookup(parent)
	return !city.IsHeading() && of.Level == divisions.City && !of.IsHeading() && !divisions.Within(code, parent)
}

// checkUnchanged refuses a spec that would change what is fixed at creation.
func (s *Spec) checkUnchanged(row *Tenant) error {
	for _, field := range []struct{ name, had, wants string }{
		{"level", string(row.Level), string(s.Level)},
		{"parent", string(row.Parent), string(s.Parent)},
		{"divisionCode", row.DivisionCode, s.DivisionCode},
		{"cluster", row.Cluster, s.Cluster},
	} {
		if field.had != field.wants {
			return refuseField(ImmutableField, field.name, "is %q and cannot become %q", field.had, field.wants)
		}
	}
	return nil
}

// mark is the ownership mark: the comment on a tenant's schema and role.
type mark struct {
	Installation uuid.UUID `json:"installation"`
	Tenant       uuid.UUID `json:"tenant"`
	Version      int       `json:"version,omitempty"` // of the schema, so that it can be adopted without its ledger
}

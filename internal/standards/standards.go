// Package standards holds the standards packs: versioned lists of the codes that a tenant's records use, with their
// labels. Labels, tiers, domains and stages differ from place to place and change, so they are data, never code.
package standards

import (
	"context"
	"slices"
	"strings"

	"circle15.dev/internal/apierr"
)

// The lists whose codes the services check.
const (
	Domains         = "domains"         // service domains
	Tiers           = "tiers"           // assistance tiers
	Categories      = "categories"      // categories of residents
	DisabilityTypes = "disabilityTypes" // types of disability
	NeedSources     = "needSources"     // how a need was found
)

// Disabled is the category with which a resident's disability type and degree go (GB/T 26341: degree 1 to 4).
const Disabled = "disabled"

// Code is one code of a list with its labels. The units are those of a measure, empty elsewhere.
type Code struct {
	Code   string `yaml:"code"`
	Zh     string `yaml:"zh"`
	En     string `yaml:"en"`
	UnitZh string `yaml:"unitZh"`
	UnitEn string `yaml:"unitEn"`
}

// List is one list of codes, in the order in which they are shown.
type List struct {
	Name  string
	Codes []Code
}

// Pack is one version of the standards.
type Pack struct {
	Name    string
	Version string
	Lists   []List
}

// ID names the pack and its version, as a tenant asks for it: "china-2021.1".
func (p *Pack) ID() string { return p.Name + "-" + p.Version }

// Known are the ids of the packs that this release has, the default one first.
func Known() []string { return []string{defaultPack().ID()} }

// For is the pack in force for the tenant of the request. There is one pack as yet, and no tenant can ask for another.
func For(context.Context) *Pack { return defaultPack() }

// Check says whether the code in the field of a request is one of the list in force. Errors: Invalid.
func Check(ctx context.Context, field, list, code string) error {
	return CheckAny(ctx, field, code, list)
}

// CheckAny is Check for a code that may come from any of the lists.
func CheckAny(ctx context.Context, field, code string, lists ...string) error {
	pack := For(ctx)
	var known []string
	for _, list := range lists {
		if pack.Has(list, code) {
			return nil
		}
		known = append(known, pack.codes(list)...)
	}
	return apierr.InvalidField(field, "must be one of %s", strings.Join(known, ", "))
}

// Has says whether the list has the code.
func (p *Pack) Has(list, code string) bool { return slices.Contains(p.codes(list), code) }

func (p *Pack) codes(list string) []string {
	var codes []string
	for _, l := range p.Lists {
		if l.Name != list {
			continue
		}
		for _, c := range l.Codes {
			codes = append(codes, c.Code)
		}
	}
	return codes
}

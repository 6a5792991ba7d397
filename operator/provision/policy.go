package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/google/uuid"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/ids"
)

// GrantedBy stands in role_grants.created_by of the grants that come from a Policy, so that dropping one from the
// policy takes it away and a grant made by the tenant's own administrators stays.
const GrantedBy = authz.ByOperator

// Policy is what a tenant has beside the standard roles and rules: roles and rules of its own, and the roles of its
// first administrators. A rule with the role, resource and action of a standard rule replaces its level.
type Policy struct {
	Roles  []authz.Role `json:"roles,omitempty"`
	Rules  []authz.Rule `json:"rules,omitempty"`
	Grants []Grant      `json:"grants,omitempty"`
}

// Grant gives a role in the whole tenant to an OIDC subject.
type Grant struct {
	Subject string `json:"subject"`
	Role    string `json:"role"`
}

func (p Policy) check() error {
	known := map[string]bool{}
	for _, r := range authz.StandardRoles() {
		known[r.Name] = true
	}
	for _, r := range p.Roles {
		if !roleName.MatchString(r.Name) || known[r.Name] {
			return refuseField(InvalidSpec, "policy.roles", "role %q is malformed, standard or named twice", r.Name)
		}
		known[r.Name] = true
	}
	for _, r := range p.Rules {
		switch {
		case !known[r.Role]:
			return refuseField(InvalidSpec, "policy.rules", "there is no role %q", r.Role)
		case !authz.Known(r.Resource, r.Action):
			return refuseField(InvalidSpec, "policy.rules", "there is no permission %s:%s", r.Resource, r.Action)
		case !authz.Sensible(r.Resource, r.Action, r.Level):
			return refuseField(InvalidSpec, "policy.rules", "the level %q means nothing for %s:%s", r.Level, r.Resource, r.Action)
		}
	}
	for _, g := range p.Grants {
		if !known[g.Role] {
			return refuseField(InvalidSpec, "policy.grants", "there is no role %q", g.Role)
		}
		if err := checkSubject("policy.grants", g.Subject); err != nil {
			return err
		}
	}
	return p.checkDuties()
}

// roleName is what a role may be called; authz.Everyone, which everyone has, is no such name.
var roleName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// checkDuties refuses a policy that makes one subject two of the three administrators, who are kept apart (MLPS level 3).
func (p Policy) checkDuties() error {
	held := map[Grant]bool{}
	for _, g := range p.Grants {
		held[g] = true
	}
	for _, g := range p.Grants {
		for _, other := range authz.ApartFrom(g.Role) {
			if held[Grant{g.Subject, other}] {
				return refuseField(InvalidSpec, "policy.grants", "%s and %s are kept apart, and %q is given both", g.Role, other, g.Subject)
			}
		}
	}
	return nil
}

// subject is the form of an OIDC subject in a grant, as in the contract (RoleGrant.subject).
var subject = regexp.MustCompile(`^[^\p{Cc}\p{Z}]([^\p{Cc}]{0,253}[^\p{Cc}\p{Z}])?$`)

const maxSubject = 255 // bytes

func checkSubject(field, text string) error {
	if !utf8.ValidString(text) || len(text) > maxSubject || !subject.MatchString(text) {
		return refuseField(InvalidSpec, field,
			"%q is no subject: want 1 to %d bytes, without control characters, and without a space at either end", text, maxSubject)
	}
	return nil
}

type ruleKey struct{ role, resource, action string }

// effectiveRules are the standard rules and the policy's, which win.
func (p Policy) effectiveRules() map[ruleKey]authz.Level {
	rules := map[ruleKey]authz.Level{}
	for _, list := range [][]authz.Rule{authz.StandardRules(), p.Rules} {
		for _, r := range list {
			rules[ruleKey{r.Role, r.Resource, r.Action}] = r.Level
		}
	}
	return rules
}

// digest tells whether the policy and this release's standard rules are those that were last written.
func (p Policy) digest() string {
	text, err := json.Marshal(struct {
		Policy   Policy
		Standard []authz.Rule
		Roles    []authz.Role
	}{p, authz.StandardRules(), authz.StandardRoles()})
	if err != nil {
		panic(err) // plain strings
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// writePolicy brings roles, rules and grants of a schema to the policy, and records it in the audit trail; before is the
// policy written last, and atStations are the grants at stations made last, nil where none are recorded.
func writePolicy(s Spec, before Policy, atStations []StationGrant) []statement {
	statements := append(addPolicy(s), removeFromPolicy(s, before)...)
	if atStations != nil {
		statements = append(statements, setStationGrants(s.Name.Schema(), atStations)...)
	}
	statements = append(statements, dropRoles(s.Name.Schema(), before, s.Policy)...) // after what may grant them
	return append(statements, recordPolicy(s)...)
}

// writeFirstPolicy is writePolicy in a schema that was made just before: there is nothing to take out of it.
func writeFirstPolicy(s Spec) []statement { return append(addPolicy(s), recordPolicy(s)...) }

// addPolicy writes what the policy wants and the schema lacks.
func addPolicy(s Spec) []statement {
	schema := s.Name.Schema()
	statements := []statement{auditPolicy(schema), upsertRoles(schema, s.Policy), upsertRules(schema, s.Policy)}
	if len(s.Policy.Grants) > 0 {
		statements = append(statements, giveGrants(schema, s.Policy))
	}
	return statements
}

// removeFromPolicy takes away rules and grants that the policy does not want: of the policy written last, of an older
// release, or by someone's hand. What else the tenant made stays.
func removeFromPolicy(s Spec, before Policy) []statement {
	schema := s.Name.Schema()
	statements := []statement{dropAddedRules(schema, s.Policy), takeGrants(schema, s.Policy)}
	if stale := staleRules(before, s.Policy); len(stale) > 0 {
		role, resource, action, _ := ruleColumns(stale)
		statements = append(statements, statement{`DELETE FROM ` + ident(schema, "role_rules") + ` r
			USING unnest($1::text[], $2::text[], $3::text[]) AS old (role, resource, action)
			WHERE (r.role, r.resource, r.action) = (old.role, old.resource, old.action)`, []any{role, resource, action}})
	}
	return statements
}

// recordPolicy keeps in the control schema what was written.
func recordPolicy(s Spec) []statement {
	policy, err := json.Marshal(s.Policy)
	if err != nil {
		panic(err) // plain strings
	}
	return []statement{{
		`UPDATE circle15.tenants SET policy = $2, policy_digest = $3, updated_at = now() WHERE name = $1`,
		[]any{string(s.Name), policy, s.Policy.digest()},
	}, foundAsWritten(s.Name.Schema())}
}

// roleColumns are roles, those in the same place of each column going together.
type roleColumns struct {
	names, zh, en []string
	standard      []bool
}

// roleColumns are the standard roles and the policy's.
func (p Policy) roleColumns() roleColumns {
	var c roleColumns
	add := func(roles []authz.Role, isStandard bool) {
		for _, r := range roles {
			c.names, c.zh, c.en = append(c.names, r.Name), append(c.zh, r.TitleZH), append(c.en, r.TitleEN)
			c.standard = append(c.standard, isStandard)
		}
	}
	add(authz.StandardRoles(), true)
	add(p.Roles, false)
	return c
}

func upsertRoles(schema string, p Policy) statement {
	roles := p.roleColumns()
	table := ident(schema, "roles")
	return statement{
		`INSERT INTO ` + table + ` AS r (name, title_zh, title_en, standard)
		SELECT name, title_zh, title_en, standard
		FROM unnest($1::text[], $2::text[], $3::text[], $4::bool[]) AS want (name, title_zh, title_en, standard)
		ON CONFLICT (name) DO UPDATE SET title_zh = excluded.title_zh, title_en = excluded.title_en, standard = excluded.standard,
			revision = r.revision + 1
		WHERE (r.title_zh, r.title_en, r.standard) IS DISTINCT FROM (excluded.title_zh, excluded.title_en, excluded.standard)`,
		[]any{roles.names, roles.zh, roles.en, roles.standard},
	}
}

func upsertRules(schema string, p Policy) statement {
	role, resource, action, level := ruleColumns(p.effectiveRules())
	return statement{
		`INSERT INTO ` + ident(schema, "role_rules") + ` AS r (role, resource, action, level)
		SELECT role, resource, action, level FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS want (role, resource, action, level)
		ON CONFLICT (role, resource, action) DO UPDATE SET level = excluded.level WHERE r.level <> excluded.level`,
		[]any{role, resource, action, level},
	}
}

// dropAddedRules takes away what a standard role has beside the rules written: of an older release, or by someone's hand.
func dropAddedRules(schema string, p Policy) statement {
	role, resource, action, _ := ruleColumns(p.effectiveRules())
	return statement{
		`DELETE FROM ` + ident(schema, "role_rules") + ` r WHERE r.role = ANY ($1) AND NOT EXISTS (
			SELECT FROM unnest($2::text[], $3::text[], $4::text[]) AS want (role, resource, action)
			WHERE (want.role, want.resource, want.action) = (r.role, r.resource, r.action))`,
		[]any{standardRoleNames(), role, resource, action},
	}
}

func ruleColumns(rules map[ruleKey]authz.Level) (role, resource, action, level []string) {
	for key, l := range rules {
		role, resource, action = append(role, key.role), append(resource, key.resource), append(action, key.action)
		level = append(level, string(l))
	}
	return role, resource, action, level
}

// staleRules are the rules that the old policy added and the new one does not have.
func staleRules(before, now Policy) map[ruleKey]authz.Level {
	stale, wanted := map[ruleKey]authz.Level{}, now.effectiveRules()
	for _, r := range before.Rules {
		key := ruleKey{r.Role, r.Resource, r.Action}
		if _, keep := wanted[key]; !keep {
			stale[key] = r.Level
		}
	}
	return stale
}

func (p Policy) grantColumns() (subjects, roles []string) {
	for _, g := range p.Grants {
		subjects, roles = append(subjects, g.Subject), append(roles, g.Role)
	}
	return subjects, roles
}

func newIDs(n int) []uuid.UUID {
	fresh := make([]uuid.UUID, n)
	for i := range fresh {
		fresh[i] = ids.New()
	}
	return fresh
}

func takeGrants(schema string, p Policy) statement {
	subjects, roles := p.grantColumns()
	return statement{
		audited(schema, GrantedBy, roleTaken, `DELETE FROM `+ident(schema, "role_grants")+` g WHERE g.created_by = $1 AND NOT EXISTS (
			SELECT FROM unnest($2::text[], $3::text[]) AS want (subject, role)
			WHERE (want.subject, want.role) = (g.subject, g.role) AND g.station_id IS NULL)`),
		[]any{GrantedBy, subjects, roles},
	}
}

func giveGrants(schema string, p Policy) statement {
	subjects, roles := p.grantColumns()
	return statement{
		audited(schema, GrantedBy, roleGiven, `INSERT INTO `+ident(schema, "role_grants")+` AS g (id, subject, role, created_by)
			SELECT id, subject, role, $4 FROM unnest($1::uuid[], $2::text[], $3::text[]) AS want (id, subject, role)
			`+keepForGood),
		[]any{newIDs(len(p.Grants)), subjects, roles, GrantedBy},
	}
}

// keepForGood lets a grant stand that is there already, without an end.
const keepForGood = `ON CONFLICT (subject, role, station_id) DO UPDATE SET expires_at = NULL WHERE g.expires_at IS NOT NULL`

// dropRoles removes roles that the old policy added, unless the tenant has granted them meanwhile.
func dropRoles(schema string, before, now Policy) []statement {
	var gone []string
	for _, r := range before.Roles {
		if !slices.ContainsFunc(now.Roles, func(n authz.Role) bool { return n.Name == r.Name }) {
			gone = append(gone, r.Name)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return []statement{{`DELETE FROM ` + ident(schema, "roles") + ` r WHERE r.name = ANY ($1) AND NOT r.standard
		AND NOT EXISTS (SELECT FROM ` + ident(schema, "role_grants") + ` g WHERE g.role = r.name)`, []any{gone}}}
}

package iam

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/taken"
)

// roleRow is a role as read; the columns are those of roleColumnList, by position.
type roleRow struct {
	Name, TitleZh, TitleEn string
	Standard               bool
	Revision               int32
	ruleColumns
}

// ruleColumns are the rules of a role, ordered by resource and action: the n-th of each column is one rule.
type ruleColumns struct {
	Resources, Actions, Levels []string
}

const roleColumnList = `r.name, r.title_zh, r.title_en, r.standard, r.revision,
	ARRAY(SELECT u.resource FROM {tenant}.role_rules u WHERE u.role = r.name ORDER BY u.resource COLLATE "C", u.action COLLATE "C"),
	ARRAY(SELECT u.action FROM {tenant}.role_rules u WHERE u.role = r.name ORDER BY u.resource COLLATE "C", u.action COLLATE "C"),
	ARRAY(SELECT u.level FROM {tenant}.role_rules u WHERE u.role = r.name ORDER BY u.resource COLLATE "C", u.action COLLATE "C")`

var (
	listRoles = tenantdb.SQL(`SELECT ` + roleColumnList + ` FROM {tenant}.roles r
		WHERE r.name COLLATE "C" > $1 ORDER BY r.name COLLATE "C" LIMIT $2`)
	getRole           = tenantdb.SQL(`SELECT ` + roleColumnList + ` FROM {tenant}.roles r WHERE r.name = $1`)
	lockRoleRow       = tenantdb.SQL(`SELECT ` + roleColumnList + ` FROM {tenant}.roles r WHERE r.name = $1 FOR UPDATE OF r`)
	ownRoles          = tenantdb.SQL(`SELECT count(*) FROM {tenant}.roles WHERE NOT standard`)
	insertRoleRow     = tenantdb.SQL(`INSERT INTO {tenant}.roles (name, title_zh, title_en) VALUES ($1, $2, $3)`)
	updateRoleRow     = tenantdb.SQL(`UPDATE {tenant}.roles SET title_zh = $2, title_en = $3, revision = $4 WHERE name = $1`)
	deleteRoleRow     = tenantdb.SQL(`DELETE FROM {tenant}.roles WHERE name = $1`)
	deleteRulesOfRole = tenantdb.SQL(`DELETE FROM {tenant}.role_rules WHERE role = $1`)
	insertRules       = tenantdb.SQL(`INSERT INTO {tenant}.role_rules (role, resource, action, level)
		SELECT $1::text, u.resource, u.action, u.level FROM unnest($2::text[], $3::text[], $4::text[]) AS u (resource, action, level)`)
)

func selectRoles(ctx context.Context, q tenantdb.Querier, after string, limit int32) ([]roleRow, error) {
	return tenantdb.All(ctx, q, pgx.RowToStructByPos[roleRow], listRoles, after, limit)
}

// readRole reads a role; NotFound without.
func readRole(ctx context.Context, q tenantdb.Querier, name string) (roleRow, error) {
	return roleOrMissing(name)(tenantdb.One(ctx, q, pgx.RowToStructByPos[roleRow], getRole, name))
}

// lockRole is readRole, and keeps others from changing or granting the role until the end of the transaction.
func lockRole(ctx context.Context, tx *tenantdb.Tx, name string) (roleRow, error) {
	return roleOrMissing(name)(tenantdb.One(ctx, tx, pgx.RowToStructByPos[roleRow], lockRoleRow, name))
}

func roleOrMissing(name string) func(roleRow, error) (roleRow, error) {
	return func(row roleRow, err error) (roleRow, error) {
		if errors.Is(err, pgx.ErrNoRows) {
			return row, apierr.Missing("role", name)
		}
		return row, err
	}
}

func countOwnRoles(ctx context.Context, tx *tenantdb.Tx) (int64, error) {
	return tenantdb.One(ctx, tx, pgx.RowTo[int64], ownRoles)
}

var roleTaken = taken.Fields{"roles_pkey": {Name: "role.name", Description: "is the name of another role"}}

func insertRole(ctx context.Context, tx *tenantdb.Tx, r roleRow) error {
	_, err := tx.Exec(ctx, insertRoleRow, r.Name, r.TitleZh, r.TitleEn)
	if err != nil {
		return roleTaken.Named(err)
	}
	tx.Queue(insertRules, r.Name, r.Resources, r.Actions, r.Levels)
	return nil
}

func updateRole(ctx context.Context, tx *tenantdb.Tx, r roleRow) error {
	tx.Queue(deleteRulesOfRole, r.Name)
	tx.Queue(insertRules, r.Name, r.Resources, r.Actions, r.Levels)
	_, err := tx.Exec(ctx, updateRoleRow, r.Name, r.TitleZh, r.TitleEn, r.Revision)
	return err
}

// deleteRole deletes the role and, by cascade, its rules.
func deleteRole(ctx context.Context, tx *tenantdb.Tx, name string) error {
	_, err := tx.Exec(ctx, deleteRoleRow, name)
	return err
}

func (r roleRow) cursor() string { return r.Name }

func (r roleRow) toProto() *iamv1.Role {
	out := &iamv1.Role{Name: r.Name, TitleZh: r.TitleZh, TitleEn: r.TitleEn, Standard: r.Standard, Etag: etag.Of(r.Revision)}
	for i := range r.Resources {
		out.Rules = append(out.Rules, &iamv1.Rule{
			Resource: r.Resources[i], Action: r.Actions[i], Level: levelToProto[authz.Level(r.Levels[i])],
		})
	}
	return out
}

// contain says whether the rule is one of the columns'.
func (c ruleColumns) contain(resource, action string, level authz.Level) bool {
	for i := range c.Resources {
		if c.Resources[i] == resource && c.Actions[i] == action && c.Levels[i] == string(level) {
			return true
		}
	}
	return false
}

// reachesStations says whether a rule of the role asks for a station in its grants.
func (r roleRow) reachesStations() bool {
	for _, level := range r.Levels {
		if level == string(authz.LevelOwn) || level == string(authz.LevelStation) {
			return true
		}
	}
	return false
}

// compareRules orders rules as the statements do.
func compareRules(a, b *iamv1.Rule) int {
	return cmp.Or(strings.Compare(a.GetResource(), b.GetResource()), strings.Compare(a.GetAction(), b.GetAction()))
}

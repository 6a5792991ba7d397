package iam

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/taken"
)

// grantRow is a grant as read; the columns are those of grantColumns, by position.
type grantRow struct {
	ID            uuid.UUID
	Subject, Role string
	Station       *uuid.UUID
	Expires       *time.Time
	CreatedBy     string
	CreateTime    time.Time
}

const grantColumns = `g.id, g.subject, g.role, g.station_id, g.expires_at, g.created_by, g.created_at`

var (
	listGrants = tenantdb.SQL(`SELECT ` + grantColumns + ` FROM {tenant}.role_grants g
		WHERE g.id > $1 AND ($2::text = '' OR g.subject = $2) AND ($3::text = '' OR g.role = $3)
			AND ($4::uuid IS NULL OR g.station_id = $4)
		ORDER BY g.id LIMIT $5`)
	activeGrants = tenantdb.SQL(`SELECT ` + grantColumns + ` FROM {tenant}.role_grants g
		WHERE g.subject = $1 AND (g.expires_at IS NULL OR g.expires_at > now()) ORDER BY g.id`)
	activeGrantCount = tenantdb.SQL(`SELECT count(*) FROM {tenant}.role_grants
		WHERE subject = $1 AND (expires_at IS NULL OR expires_at > now())`)
	getGrant       = tenantdb.SQL(`SELECT ` + grantColumns + ` FROM {tenant}.role_grants g WHERE g.id = $1`)
	grantCountOf   = tenantdb.SQL(`SELECT count(*) FROM {tenant}.role_grants WHERE role = $1`)
	subjectHasRole = tenantdb.SQL(`SELECT EXISTS (SELECT FROM {tenant}.role_grants WHERE subject = $1 AND role = $2)`)
	lockSecurity   = tenantdb.SQL(`SELECT name FROM {tenant}.roles WHERE name = 'security_admin' FOR NO KEY UPDATE`)
	activeRoles    = tenantdb.SQL(`SELECT DISTINCT role FROM {tenant}.role_grants
		WHERE subject = $1 AND role = ANY ($2::text[]) AND (expires_at IS NULL OR expires_at > now()) ORDER BY role`)
	deleteGrantRow  = tenantdb.SQL(`DELETE FROM {tenant}.role_grants WHERE id = $1`)
	dropExpiredLike = tenantdb.SQL(`DELETE FROM {tenant}.role_grants
		WHERE subject = $1 AND role = $2 AND station_id IS NOT DISTINCT FROM $3::uuid AND expires_at <= now()`)
	insertGrantRow = tenantdb.SQL(`INSERT INTO {tenant}.role_grants AS g (id, subject, role, station_id, expires_at, created_by)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING ` + grantColumns)
)

func selectGrants(
	ctx context.Context, q tenantdb.Querier, after uuid.UUID, subject, role string, station *uuid.UUID, limit int32,
) ([]grantRow, error) {
	return tenantdb.All(ctx, q, pgx.RowToStructByPos[grantRow], listGrants, after, subject, role, station, limit)
}

func selectActiveGrants(ctx context.Context, q tenantdb.Querier, subject string) ([]grantRow, error) {
	return tenantdb.All(ctx, q, pgx.RowToStructByPos[grantRow], activeGrants, subject)
}

func countActiveGrants(ctx context.Context, q tenantdb.Querier, subject string) (int64, error) {
	return tenantdb.One(ctx, q, pgx.RowTo[int64], activeGrantCount, subject)
}

// readGrant reads a grant; NotFound without.
func readGrant(ctx context.Context, q tenantdb.Querier, id uuid.UUID) (grantRow, error) {
	row, err := tenantdb.One(ctx, q, pgx.RowToStructByPos[grantRow], getGrant, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, apierr.Missing("role grant", id.String())
	}
	return row, err
}

func countGrantsOf(ctx context.Context, q tenantdb.Querier, role string) (int64, error) {
	return tenantdb.One(ctx, q, pgx.RowTo[int64], grantCountOf, role)
}

func holds(ctx context.Context, q tenantdb.Querier, subject, role string) (bool, error) {
	return tenantdb.One(ctx, q, pgx.RowTo[bool], subjectHasRole, subject, role)
}

// lockAdministration keeps others from giving one of the administrators' roles until the end of the transaction: every one
// that would locks the same role's row, which comes before the policy's version, as where the operator writes a policy.
func lockAdministration(ctx context.Context, tx *tenantdb.Tx) error {
	_, err := tenantdb.One(ctx, tx, pgx.RowTo[string], lockSecurity)
	return err
}

// activeRolesAmong returns those of the roles that the subject holds now.
func activeRolesAmong(ctx context.Context, q tenantdb.Querier, subject string, roles []string) ([]string, error) {
	return tenantdb.All(ctx, q, pgx.RowTo[string], activeRoles, subject, roles)
}

// insertGrant stores a grant, in the place of an expired one of the same role and station.
func insertGrant(ctx context.Context, tx *tenantdb.Tx, g grantRow) (grantRow, error) {
	tx.Queue(dropExpiredLike, g.Subject, g.Role, g.Station)
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[grantRow], insertGrantRow,
		g.ID, g.Subject, g.Role, g.Station, g.Expires, g.CreatedBy)
	return row, grantTaken.Named(err)
}

var grantTaken = taken.Fields{"role_grants_pkey": {Name: "roleGrant.id", Description: taken.ID}}

// deleteGrant deletes a grant; NotFound without.
func deleteGrant(ctx context.Context, tx *tenantdb.Tx, id uuid.UUID) error {
	n, err := tx.Exec(ctx, deleteGrantRow, id)
	if err == nil && n == 0 {
		return apierr.Missing("role grant", id.String())
	}
	return err
}

func (g grantRow) cursor() string { return g.ID.String() }

func (g grantRow) toProto() *iamv1.RoleGrant {
	out := &iamv1.RoleGrant{
		Id: g.ID.String(), Subject: g.Subject, Role: g.Role, CreatedBy: g.CreatedBy, CreateTime: timestamppb.New(g.CreateTime),
	}
	if g.Station != nil {
		out.StationId = g.Station.String()
	}
	if g.Expires != nil {
		out.ExpireTime = timestamppb.New(*g.Expires)
	}
	return out
}

func grantsToProto(rows []grantRow) []*iamv1.RoleGrant {
	out := make([]*iamv1.RoleGrant, 0, len(rows))
	for _, row := range rows {
		out = append(out, row.toProto())
	}
	return out
}

package registry

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"circle15.dev/internal/authz"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/page"
	"circle15.dev/internal/patch"
	"circle15.dev/internal/tenantdb"
)

// record is a row of the register that reads as the message M.
type record[M any] interface {
	cursor() string
	toProto() M
}

// find reads the row with the id, in the data scope of the request: one that is absent or outside is NotFound. The
// statement's parameters are the id, the scope's stations and the scope's owner. With a transaction as q and a
// statement FOR UPDATE it locks the row.
func find[R any](ctx context.Context, q tenantdb.Querier, field, what, id string, scan pgx.RowToFunc[R], s *tenantdb.Stmt) (R, error) {
	var none R
	key, err := ids.Parse(field, id)
	if err != nil {
		return none, err
	}
	scope := authz.ScopeFrom(ctx)
	row, err := tenantdb.One(ctx, q, scan, s, key, scope.StationIDs(), scope.Owner())
	return row, tenantdb.OrMissing(err, what, key)
}

// get answers a Get RPC.
func get[R record[M], M any](ctx context.Context, s *Service, what, id string, scan pgx.RowToFunc[R], stmt *tenantdb.Stmt) (M, error) {
	row, err := find(ctx, s.db, "id", what, id, scan, stmt)
	if err != nil {
		var none M
		return none, err
	}
	return row.toProto(), nil
}

// list answers a List RPC: the messages and the token of the next page. The statement's first parameters are the id
// after which the page begins, the row limit, the stations of the scope (and of the station filter, where it is
// given) and the scope's owner; the filters follow.
func list[R record[M], M any](
	ctx context.Context, s *Service, req page.Request, station string, scan pgx.RowToFunc[R], stmt *tenantdb.Stmt, filters ...any,
) ([]M, string, error) {
	p, after, err := s.pages.StartAtID(ctx, req)
	if err != nil {
		return nil, "", err
	}
	stations, err := stationsOf(ctx, station)
	if err != nil {
		return nil, "", err
	}
	args := append([]any{after, p.Fetch(), stations, authz.ScopeFrom(ctx).Owner()}, filters...)
	rows, err := tenantdb.All(ctx, s.db, scan, stmt, args...)
	if err != nil {
		return nil, "", err
	}
	messages, next := page.Answer(ctx, s.pages, req, p, rows, R.cursor, R.toProto)
	return messages, next, nil
}

// stationsOf is the station parameter of a list: the scope's stations, narrowed to the one of the filter. A station
// outside the scope leaves none.
func stationsOf(ctx context.Context, filter string) ([]uuid.UUID, error) {
	scope := authz.ScopeFrom(ctx)
	if filter == "" {
		return scope.StationIDs(), nil
	}
	station, err := ids.Parse("stationId", filter)
	if err != nil {
		return nil, err
	}
	if !scope.Covers(station) {
		return []uuid.UUID{}, nil
	}
	return []uuid.UUID{station}, nil
}

// optionalText is a filter parameter: nil, which matches everything, for the empty string.
func optionalText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// tagged is a message with an etag.
type tagged interface {
	proto.Message
	GetEtag() string
}

// change applies an update to the current message, which holds the locked row: it checks the precondition, then what
// results against the rules of the contract. field is the message's JSON name in the request.
func change[M tagged](ctx context.Context, field string, current, update M, mask *fieldmaskpb.FieldMask, revision int32) error {
	if err := etag.Match(ctx, field+".etag", update.GetEtag(), revision); err != nil {
		return err
	}
	return patch.Apply(field, current, update, mask)
}

// caller is the subject that the rows are recorded by.
func caller(ctx context.Context) string { return authz.ScopeFrom(ctx).Subject }

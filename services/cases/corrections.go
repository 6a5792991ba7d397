package cases

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
)

// history is what every row has that belongs to a case and can be corrected, by position the last columns.
type history struct {
	VoidReason             string // not empty: taken back
	Revision               int32
	CreateTime, UpdateTime time.Time
}

func (h history) now() history { return h }

// notVoid refuses to change what was taken back.
func (h history) notVoid() error {
	if h.VoidReason != "" {
		return apierr.New(apierr.Conflict, "the record is void")
	}
	return nil
}

// correctable is a row of what belongs to a case and can be corrected, which reads as the message M.
type correctable[M any] interface {
	belonging[M]
	now() history
}

// target is which record a correction is about, and at which revision, with the names of both fields in the request.
type target struct {
	what           string // in English, for NotFound
	idField, id    string
	etagField, tag string
}

// correct changes what belongs to a case, under the lock of the case. The statement get reads the row: its parameters
// are the case, the scope's stations and recorder, and the row's id. Errors besides those of do: NotFound, StaleETag,
// Conflict where the row or its case is void.
func correct[R correctable[M], M proto.Message](ctx context.Context, s *Service, req workRequest, at target, get *tenantdb.Stmt,
	do func(ctx context.Context, tx *tenantdb.Tx, of lockedCase, was R) (R, error),
) (none M, err error) {
	id, err := ids.Parse(at.idField, at.id)
	if err != nil {
		return none, err
	}
	return onCase(ctx, s, req, func(ctx context.Context, tx *tenantdb.Tx, of lockedCase, _ string) (M, error) {
		was, err := read[R](ctx, tx, get, at.what, of.ID, id)
		if err != nil {
			return none, err
		}
		if err := etag.Match(ctx, at.etagField, at.tag, was.now().Revision); err != nil {
			return none, err
		}
		if err := of.notVoid(); err != nil {
			return none, err
		}
		if err := was.now().notVoid(); err != nil {
			return none, err
		}
		row, err := do(ctx, tx, of, was)
		if err != nil {
			return none, err
		}
		return row.toProto(), nil
	})
}

// getRequest is a request for one record of what belongs to a case.
type getRequest interface {
	GetCaseId() string
	GetId() string
}

// getOf answers with one record of what belongs to a case, in one statement.
func getOf[R belonging[M], M any](ctx context.Context, s *Service, req getRequest, get *tenantdb.Stmt, what string) (none M, err error) {
	of, err := ids.Parse("caseId", req.GetCaseId())
	if err != nil {
		return none, err
	}
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return none, err
	}
	row, err := read[R](ctx, s.db, get, what, of, id)
	if err != nil {
		return none, err
	}
	return row.toProto(), nil
}

// read reads a row of what belongs to a case of the data scope by the statement get, as correct does; NotFound without.
func read[R any](ctx context.Context, q tenantdb.Querier, get *tenantdb.Stmt, what string, of, id uuid.UUID) (R, error) {
	scope := authz.ScopeFrom(ctx)
	row, err := tenantdb.One(ctx, q, pgx.RowToStructByPos[R], get, of, scope.StationIDs(), scope.Owner(), id)
	return row, tenantdb.OrMissing(err, what, id)
}

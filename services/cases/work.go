package cases

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/page"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/write"
)

// workRequest is a request to record work on a case: a session, a referral, a follow-up.
type workRequest interface {
	proto.Message
	GetCaseId() string
}

// onCase runs a write under the lock of a case, which serializes all work on it. The case need not be the caller's
// own: who may record the work records it on any case of the stations.
func onCase[T proto.Message](ctx context.Context, s *Service, req workRequest,
	do func(ctx context.Context, tx *tenantdb.Tx, of lockedCase, by string) (T, error),
) (none T, err error) {
	id, err := ids.Parse("caseId", req.GetCaseId())
	if err != nil {
		return none, err
	}
	by, err := authn.Subject(ctx)
	if err != nil {
		return none, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (T, error) {
		of, err := lock(ctx, tx, id, nil)
		if err != nil {
			return none, err
		}
		return do(ctx, tx, of, by)
	})
}

// checkWorkday refuses a day of work on which the case was not open: one before its opening, or one between a closing
// and the reopening.
func checkWorkday(ctx context.Context, tx *tenantdb.Tx, of lockedCase, field string, day time.Time) error {
	if err := of.sinceOpened(field, day); err != nil {
		return err
	}
	closed, err := tenantdb.One(ctx, tx, pgx.RowTo[*time.Time], closedBefore, of.ID, day)
	if err == nil && closed != nil {
		err = apierr.InvalidField(field, "must be a day on which the case was open; it was closed on %s", civildate.Format(*closed))
	}
	return err
}

// listRequest is a request for a page of what belongs to a case.
type listRequest interface {
	page.Request
	GetCaseId() string
}

// belonging is a row of what belongs to a case, which reads as the message M.
type belonging[M any] interface {
	cursor() string
	toProto() M
}

// listOf answers with a page of what belongs to a case, and the token of the next. The statement's parameters are the case,
// the scope's stations and recorder, the id to begin after, and the limit. Nothing found under a case that is absent,
// or that caseOwner (where not nil) did not record, is NotFound.
func listOf[R belonging[M], M any](ctx context.Context, s *Service, req listRequest, list *tenantdb.Stmt, caseOwner *string,
) (messages []M, next string, err error) {
	of, err := ids.Parse("caseId", req.GetCaseId())
	if err != nil {
		return nil, "", err
	}
	p, after, err := s.pages.StartAtID(ctx, req)
	if err != nil {
		return nil, "", err
	}
	scope := authz.ScopeFrom(ctx)
	rows, err := tenantdb.All(ctx, s.db, pgx.RowToStructByPos[R], list, of, scope.StationIDs(), scope.Owner(), after, p.Fetch())
	if err != nil {
		return nil, "", err
	}
	if len(rows) == 0 {
		_, err := tenantdb.One(ctx, s.db, pgx.RowTo[uuid.UUID], findCase, of, scope.StationIDs(), caseOwner)
		return nil, "", tenantdb.OrMissing(err, "case", of)
	}
	messages, next = page.Answer(ctx, s.pages, req, p, rows, R.cursor, R.toProto)
	return messages, next, nil
}

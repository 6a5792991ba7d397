// Package write runs the transaction of a writing RPC. What the RPC changes, the record that its idempotency key has
// been used, and the audit event commit together or not at all.
package write

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
)

// ReplayedHeader is the gRPC header that says "true" of a reply that was stored by an earlier request with the same
// key. (The gateway makes it the HTTP header Idempotent-Replayed.)
const ReplayedHeader = "idempotent-replayed"

// RetryAfterHeader is the gRPC header that says after how many seconds an InFlight request may be sent again. (The
// gateway makes it the HTTP header Retry-After.)
const RetryAfterHeader = "retry-after"

// auditLimit bounds the transaction that records a failed write.
const auditLimit = 2 * time.Second

// Do runs fn in one write transaction of the tenant in ctx and returns its reply. fn may run again (see
// tenantdb.DB.Write), and req must be as it came: its digest stands for the request.
//
// With an idempotency key (the request's field request_id, or the metadata idempotency-key) the reply is stored in the
// same transaction. A later request of the same subject with the same key gets that reply, if it is the same request;
// fn does not run. The key is free again when the transaction fails.
//
// Errors besides those of fn: Invalid (a malformed key; a key that came with another request before), InFlight (the
// first request with this key is still running), Unauthenticated (no principal), and those of the database.
func Do[T proto.Message](
	ctx context.Context, db *tenantdb.DB, req proto.Message, fn func(ctx context.Context, tx *tenantdb.Tx) (T, error),
) (T, error) {
	var none T
	c, err := newCall(ctx, req)
	if err != nil {
		return none, err
	}
	reply, replayed, err := try(ctx, db, c, fn)
	if keyTaken(err) {
		// The first request with this key has committed after this one looked for it: look again.
		reply, replayed, err = try(ctx, db, c, fn)
	}
	if err != nil {
		if apierr.KindOf(err) == apierr.InFlight {
			_ = grpc.SetHeader(ctx, metadata.Pairs(RetryAfterHeader, "1")) // it fails outside a gRPC server only
		}
		auditFailure(ctx, db, c, err)
		return none, err
	}
	if replayed {
		_ = grpc.SetHeader(ctx, metadata.Pairs(ReplayedHeader, "true")) // it fails outside a gRPC server only
	}
	return reply, nil
}

// try is one transaction: claim the key, replay or run, store the reply and the audit event.
func try[T proto.Message](
	ctx context.Context, db *tenantdb.DB, c *call, fn func(ctx context.Context, tx *tenantdb.Tx) (T, error),
) (reply T, replayed bool, err error) {
	err = db.Write(ctx, func(ctx context.Context, tx *tenantdb.Tx) error {
		stored, err := c.claim(ctx, tx)
		if err != nil {
			return err
		}
		if replayed = stored != nil; replayed {
			reply, err = unmarshal[T](*stored)
			return err
		}
		if reply, err = fn(ctx, tx); err != nil {
			return err
		}
		if err := c.store(tx, reply); err != nil {
			return err
		}
		c.audit(tx, resourceID(reply, c.request), "OK")
		return nil
	})
	return reply, replayed, err
}

// unmarshal reads a stored reply.
func unmarshal[T proto.Message](stored []byte) (T, error) {
	var none T
	reply, ok := none.ProtoReflect().New().Interface().(T)
	if !ok {
		return none, apierr.New(apierr.Internal, "internal error").Cause(errors.New("write: a reply of an unknown type"))
	}
	if err := proto.Unmarshal(stored, reply); err != nil {
		return none, apierr.New(apierr.Internal, "internal error").Cause(err)
	}
	return reply, nil
}

// keyTaken says whether the transaction failed because its idempotency key was stored meanwhile.
func keyTaken(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.ConstraintName == "idempotency_keys_pkey"
}

// unrecorded are the failures that are not the request's: nobody has decided about it, or nothing can be written now.
var unrecorded = []apierr.Kind{
	apierr.Canceled, apierr.Timeout, apierr.Unavailable, apierr.Suspended, apierr.RateLimited, apierr.InFlight,
}

// auditFailure records a write that was refused or failed, in a transaction of its own. A failure to record is logged:
// the caller's error is the first one.
func auditFailure(ctx context.Context, db *tenantdb.DB, c *call, cause error) {
	kind := apierr.KindOf(cause)
	if slices.Contains(unrecorded, kind) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditLimit)
	defer cancel()
	err := db.Write(ctx, func(_ context.Context, tx *tenantdb.Tx) error {
		c.audit(tx, resourceID(c.request), string(kind))
		return nil
	})
	if err != nil {
		slog.ErrorContext(ctx, "a failed write could not be recorded", "method", c.method, "error", err)
	}
}

package write

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
)

const (
	// retention is how long a key and its reply, which may hold personal data, are kept for replays.
	retention = 24 * time.Hour
	// Of every purgeEvery writes with a key, one removes up to purgeMost keys older than that. Sweep does the same for
	// tenants that have stopped writing.
	purgeEvery = 64
	purgeMost  = 500
)

type claimRow struct {
	Free    bool // nobody else works under this key now
	Expired bool // it was used longer ago than it is kept
	Method  *string
	Digest  []byte
	Reply   []byte
}

// used says whether the key stands for an earlier request.
func (r claimRow) used() bool { return r.Method != nil && !r.Expired }

// The lock is taken in one round trip with the look-up, after the statement's snapshot; a request that commits in
// between is noticed by the primary key (keyTaken).
var claimKey = tenantdb.SQL(`
	SELECT pg_try_advisory_xact_lock($3), coalesce(k.created_at <= now() - $4::interval, false), k.method, k.request_hash, k.response
	FROM (VALUES (true)) AS one LEFT JOIN {tenant}.idempotency_keys k ON k.subject = $1 AND k.key = $2`)

var insertKey = tenantdb.SQL(`
	INSERT INTO {tenant}.idempotency_keys (subject, key, method, request_hash, response) VALUES ($1, $2, $3, $4, $5)`)

var deleteKey = tenantdb.SQL(`DELETE FROM {tenant}.idempotency_keys WHERE subject = $1 AND key = $2`)

var deleteOldKeys = tenantdb.SQL(`
	DELETE FROM {tenant}.idempotency_keys WHERE (subject, key) IN (
		SELECT subject, key FROM {tenant}.idempotency_keys WHERE created_at < now() - $1::interval
		ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`)

var insertEvent = tenantdb.SQL(`
	INSERT INTO {tenant}.audit_events (subject, method, resource_id, outcome, trace_id) VALUES ($1, $2, $3, $4, $5)`)

// claim takes the key for this transaction, and returns the stored reply of an earlier one; nil if there is none.
func (c *call) claim(ctx context.Context, tx *tenantdb.Tx) (*[]byte, error) {
	if c.key == "" {
		return nil, nil
	}
	row, err := tenantdb.One(ctx, tx, pgx.RowToStructByPos[claimRow], claimKey, c.subject, c.key, c.lockKey(), retention)
	switch {
	case err != nil:
		return nil, err
	case row.used() && (*row.Method != c.method || !bytes.Equal(row.Digest, c.digest)):
		return nil, apierr.InvalidField(c.keyField, "was used with another request, or when you might reach other records")
	case row.used():
		return &row.Reply, nil
	case !row.Free:
		return nil, apierr.New(apierr.InFlight, "the first request with this %s is still running; try again in a second", c.keyField)
	case row.Expired:
		tx.Queue(deleteKey, c.subject, c.key)
	}
	return nil, nil
}

// store has the key and the reply written with the commit.
func (c *call) store(tx *tenantdb.Tx, reply proto.Message) error {
	if c.key == "" {
		return nil
	}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(reply)
	if err != nil {
		return apierr.New(apierr.Internal, "internal error").Cause(err)
	}
	if content == nil {
		content = []byte{}
	}
	if c.digest[0]%purgeEvery == 0 {
		tx.Queue(deleteOldKeys, retention, purgeMost)
	}
	tx.Queue(insertKey, c.subject, c.key, c.method, c.digest, content)
	return nil
}

// audit has an audit event written with the commit.
func (c *call) audit(tx *tenantdb.Tx, resourceID, outcome string) {
	tx.Queue(insertEvent, c.subject, c.method, resourceID, outcome, c.traceID)
}

package iam

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/tenantdb"
)

// eventRow is an entry of the audit trail as read.
type eventRow struct {
	ID                                   int64
	At                                   time.Time
	Subject, Method, ResourceID, Outcome string
	TraceID                              string
}

// eventFilter is what a list asks for; nil and empty ask for all.
type eventFilter struct {
	Before              int64 // only smaller ids
	Subject, ResourceID string
	From, To            *time.Time // [From, To)
}

var listEvents = tenantdb.SQL(`SELECT id, at, subject, method, resource_id, outcome, trace_id FROM {tenant}.audit_events
	WHERE id < $1 AND ($2::text = '' OR subject = $2) AND ($3::text = '' OR resource_id = $3)
		AND ($4::timestamptz IS NULL OR at >= $4) AND ($5::timestamptz IS NULL OR at < $5)
	ORDER BY id DESC LIMIT $6`)

func selectEvents(ctx context.Context, q tenantdb.Querier, f eventFilter, limit int32) ([]eventRow, error) {
	return tenantdb.All(ctx, q, pgx.RowToStructByPos[eventRow], listEvents, f.Before, f.Subject, f.ResourceID, f.From, f.To, limit)
}

func (e eventRow) cursor() string { return strconv.FormatInt(e.ID, 10) }

func (e eventRow) toProto() *iamv1.AuditEvent {
	return &iamv1.AuditEvent{
		Id: strconv.FormatInt(e.ID, 10), EventTime: timestamppb.New(e.At), Subject: e.Subject, Method: e.Method,
		ResourceId: e.ResourceID, Outcome: e.Outcome, TraceId: e.TraceID,
	}
}

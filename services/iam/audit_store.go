package iam

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/tenantdb"
)

// eventRow is an entry of the audit trail as read.
type eventRow struct {
	ID                                   int64
	At                                   time.Time
	Subject, Method, ResourceID, Outcome string
	TraceID                              string
}

// position is that of an event in the trail, which is ordered by time and, within a moment, by id.
type position struct {
	at time.Time
	id int64
}

// cursor is the position as a page token holds it: microseconds since 1970, which is as exact as PostgreSQL is, and id.
func (e eventRow) cursor() string { return fmt.Sprintf("%d:%d", e.At.UnixMicro(), e.ID) }

// parsePosition is the position in a page token, nil for the start of the list. Error: Invalid.
func parsePosition(cursor string) (*position, error) {
	if cursor == "" {
		return nil, nil
	}
	var micros, id int64
	if _, err := fmt.Sscanf(cursor, "%d:%d", &micros, &id); err != nil {
		return nil, apierr.InvalidField("pageToken", "must be a token that this list returned")
	}
	return &position{time.UnixMicro(micros), id}, nil
}

// eventFilter is what a list asks for; nil and empty ask for all.
type eventFilter struct {
	Before              *position // only what comes after it in the list, which is before it in time
	Subject, ResourceID string
	From, To            *time.Time // [From, To)
}

// There is a statement for each choice of filters, so that each finds its rows in order in an index (tenant migration 0004)
// also by a plan that PostgreSQL makes once for all parameters.
const (
	eventColumns = `id, at, subject, method, resource_id, outcome, trace_id`
	inPeriod     = `at >= coalesce($1::timestamptz, '-infinity') AND at < coalesce($2::timestamptz, 'infinity')
		AND (at, id) < (coalesce($3::timestamptz, 'infinity'), $4::bigint)`
	newestFirst = `ORDER BY at DESC, id DESC LIMIT $5`
)

var (
	listEvents = tenantdb.SQL(`SELECT ` + eventColumns + ` FROM {tenant}.audit_events WHERE ` + inPeriod + ` ` + newestFirst)

	listEventsOfSubject = tenantdb.SQL(`SELECT ` + eventColumns + ` FROM {tenant}.audit_events
		WHERE subject = $6 AND ` + inPeriod + ` ` + newestFirst)

	listEventsOfResource = tenantdb.SQL(`SELECT ` + eventColumns + ` FROM {tenant}.audit_events
		WHERE resource_id = $6 AND ` + inPeriod + ` ` + newestFirst)

	listEventsOfBoth = tenantdb.SQL(`SELECT ` + eventColumns + ` FROM {tenant}.audit_events
		WHERE subject = $6 AND resource_id = $7 AND ` + inPeriod + ` ` + newestFirst)
)

func selectEvents(ctx context.Context, q tenantdb.Querier, f eventFilter, limit int32) ([]eventRow, error) {
	var beforeTime *time.Time
	beforeID := int64(math.MaxInt64)
	if f.Before != nil {
		beforeTime, beforeID = &f.Before.at, f.Before.id
	}
	statement, args := listEvents, []any{f.From, f.To, beforeTime, beforeID, limit}
	switch {
	case f.Subject != "" && f.ResourceID != "":
		statement, args = listEventsOfBoth, append(args, f.Subject, f.ResourceID)
	case f.Subject != "":
		statement, args = listEventsOfSubject, append(args, f.Subject)
	case f.ResourceID != "":
		statement, args = listEventsOfResource, append(args, f.ResourceID)
	}
	return tenantdb.All(ctx, q, pgx.RowToStructByPos[eventRow], statement, args...)
}

func (e eventRow) toProto() *iamv1.AuditEvent {
	return &iamv1.AuditEvent{
		Id: strconv.FormatInt(e.ID, 10), EventTime: timestamppb.New(e.At), Subject: e.Subject, Method: e.Method,
		ResourceId: e.ResourceID, Outcome: e.Outcome, TraceId: e.TraceID,
	}
}

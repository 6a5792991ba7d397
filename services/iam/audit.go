package iam

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	iamv1 "circle15.dev/api/iam/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/page"
)

// ListAuditEvents lists who did what, newest first.
func (s *Service) ListAuditEvents(ctx context.Context, req *iamv1.ListAuditEventsRequest) (*iamv1.ListAuditEventsResponse, error) {
	if err := wholeTenant(ctx); err != nil {
		return nil, err
	}
	p, err := s.pages.Start(ctx, req)
	if err != nil {
		return nil, err
	}
	filter := eventFilter{Subject: req.GetSubject(), ResourceID: req.GetResourceId()}
	if filter.Before, err = parsePosition(p.After); err != nil {
		return nil, err
	}
	if filter.From, err = moment("fromTime", req.GetFromTime()); err != nil {
		return nil, err
	}
	if filter.To, err = moment("toTime", req.GetToTime()); err != nil {
		return nil, err
	}
	if filter.From != nil && filter.To != nil && !filter.From.Before(*filter.To) {
		return nil, apierr.InvalidField("toTime", "must be later than fromTime")
	}
	rows, err := selectEvents(ctx, s.db, filter, p.Fetch())
	if err != nil {
		return nil, err
	}
	messages, next := page.Answer(ctx, s.pages, req, p, rows, eventRow.cursor, eventRow.toProto)
	return &iamv1.ListAuditEventsResponse{AuditEvents: messages, NextPageToken: next}, nil
}

func moment(field string, t *timestamppb.Timestamp) (*time.Time, error) {
	if t == nil {
		return nil, nil
	}
	if err := t.CheckValid(); err != nil {
		return nil, apierr.InvalidField(field, "is not a time")
	}
	at := t.AsTime()
	return &at, nil
}

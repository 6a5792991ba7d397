package cases

import (
	"context"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/services/internal/refs"
)

// CreateReferral records that a case was referred to an outside body (转介).
func (s *Service) CreateReferral(ctx context.Context, req *casesv1.CreateReferralRequest) (*casesv1.Referral, error) {
	in := req.GetReferral()
	id, err := ids.OrNew("referral.id", in.GetId())
	if err != nil {
		return nil, err
	}
	on, err := civildate.ParsePast("referral.referralDate", in.GetReferralDate())
	if err != nil {
		return nil, err
	}
	return onCase(ctx, s, req, func(ctx context.Context, tx *tenantdb.Tx, of lockedCase, by string) (*casesv1.Referral, error) {
		if err := of.takesWork(); err != nil {
			return nil, err
		}
		if err := of.sinceOpened("referral.referralDate", on); err != nil {
			return nil, err
		}
		worker, err := refs.StaffOn(ctx, tx, "referral.staffId", in.GetStaffId(), of.StationID, on)
		if err != nil {
			return nil, err
		}
		row, err := insertNewReferral(ctx, tx, referralRow{
			ID: id, StationID: of.StationID, CaseID: of.ID, StaffID: worker, Organization: in.GetOrganization(), Reason: in.GetReason(),
			ReferralDate: on,
		}, by)
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

// ListReferrals lists the referrals of a case, ordered by id.
func (s *Service) ListReferrals(ctx context.Context, req *casesv1.ListReferralsRequest) (*casesv1.ListReferralsResponse, error) {
	messages, next, err := listOf[referralRow](ctx, s, req, listReferrals, nil)
	if err != nil {
		return nil, err
	}
	return &casesv1.ListReferralsResponse{Referrals: messages, NextPageToken: next}, nil
}

// RecordReferralOutcome records what the outside body answered; it may answer after the case closed.
func (s *Service) RecordReferralOutcome(ctx context.Context, req *casesv1.RecordReferralOutcomeRequest) (*casesv1.Referral, error) {
	id, err := ids.Parse("id", req.GetId())
	if err != nil {
		return nil, err
	}
	on, err := civildate.ParsePast("outcomeDate", req.GetOutcomeDate())
	if err != nil {
		return nil, err
	}
	next := answer{
		State: referralStateFromProto[req.GetState()], Outcome: req.GetOutcome(), OutcomeDate: &on, LinkedValueFen: req.GetLinkedValueFen(),
	}
	return onCase(ctx, s, req, func(ctx context.Context, tx *tenantdb.Tx, of lockedCase, _ string) (*casesv1.Referral, error) {
		was, err := readReferral(ctx, tx, of.ID, id)
		if err != nil {
			return nil, err
		}
		if err := etag.Match(ctx, "etag", req.GetEtag(), was.Revision); err != nil {
			return nil, err
		}
		if err := of.notVoid(); err != nil {
			return nil, err
		}
		first := was.ReferralDate
		if was.OutcomeDate != nil {
			first = *was.OutcomeDate
		}
		now, err := was.settle(next, first)
		if err != nil {
			return nil, err
		}
		row, err := storeAnswer(ctx, tx, id, now)
		if err != nil {
			return nil, err
		}
		return row.toProto(), nil
	})
}

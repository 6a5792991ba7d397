package cases

import (
	"context"

	casesv1 "circle15.dev/api/cases/v1"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/patch"
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
		if err := checkWorkday(ctx, tx, of, "referral.referralDate", on); err != nil {
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

// GetReferral returns a referral of a case.
func (s *Service) GetReferral(ctx context.Context, req *casesv1.GetReferralRequest) (*casesv1.Referral, error) {
	return getOf[referralRow](ctx, s, req, getReferral, "referral")
}

// UpdateReferral corrects what the mask names, also after the case has closed. The answer is recorded apart.
func (s *Service) UpdateReferral(ctx context.Context, req *casesv1.UpdateReferralRequest) (*casesv1.Referral, error) {
	in := req.GetReferral()
	at := target{"referral", "referral.id", in.GetId(), "referral.etag", in.GetEtag()}
	do := func(ctx context.Context, tx *tenantdb.Tx, of lockedCase, was referralRow) (referralRow, error) {
		merged := was.toProto()
		if err := patch.Apply("referral", merged, in, req.GetUpdateMask()); err != nil {
			return was, err
		}
		now, err := was.changed(ctx, tx, of, merged)
		if err != nil {
			return was, err
		}
		return now.update(ctx, tx)
	}
	return correct(ctx, s, req, at, getReferral, do)
}

// changed is the referral with the client's fields of merged, checked. The day and the worker are checked together,
// where either changes.
func (r referralRow) changed(ctx context.Context, tx *tenantdb.Tx, of lockedCase, merged *casesv1.Referral) (referralRow, error) {
	now := r
	now.Organization, now.Reason = merged.GetOrganization(), merged.GetReason()
	if merged.GetReferralDate() == civildate.Format(r.ReferralDate) && merged.GetStaffId() == r.StaffID.String() {
		return now, nil
	}
	var err error
	if now.ReferralDate, err = civildate.ParsePast("referral.referralDate", merged.GetReferralDate()); err != nil {
		return now, err
	}
	if err := checkWorkday(ctx, tx, of, "referral.referralDate", now.ReferralDate); err != nil {
		return now, err
	}
	if err := now.notAfterAnswer("referral.referralDate", now.ReferralDate); err != nil {
		return now, err
	}
	now.StaffID, err = refs.StaffOn(ctx, tx, "referral.staffId", merged.GetStaffId(), of.StationID, now.ReferralDate)
	return now, err
}

// RecordReferralOutcome records what the outside body answered; it may answer after the case closed.
func (s *Service) RecordReferralOutcome(ctx context.Context, req *casesv1.RecordReferralOutcomeRequest) (*casesv1.Referral, error) {
	on, err := civildate.ParsePast("outcomeDate", req.GetOutcomeDate())
	if err != nil {
		return nil, err
	}
	next := answer{
		State: referralStateFromProto[req.GetState()], Outcome: req.GetOutcome(), OutcomeDate: &on, LinkedValueFen: req.GetLinkedValueFen(),
	}
	at := target{"referral", "id", req.GetId(), "etag", req.GetEtag()}
	do := func(ctx context.Context, tx *tenantdb.Tx, _ lockedCase, was referralRow) (referralRow, error) {
		first := was.ReferralDate
		if was.OutcomeDate != nil {
			first = *was.OutcomeDate
		}
		var err error
		if was.answer, err = was.settle(next, first); err != nil {
			return was, err
		}
		return was.update(ctx, tx)
	}
	return correct(ctx, s, req, at, getReferral, do)
}

// VoidReferral takes a referral back, with its answer.
func (s *Service) VoidReferral(ctx context.Context, req *casesv1.VoidReferralRequest) (*casesv1.Referral, error) {
	at := target{"referral", "id", req.GetId(), "etag", req.GetEtag()}
	do := func(ctx context.Context, tx *tenantdb.Tx, _ lockedCase, was referralRow) (referralRow, error) {
		was.State, was.VoidReason = voidReferral, req.GetReason()
		return was.update(ctx, tx)
	}
	return correct(ctx, s, req, at, getReferral, do)
}

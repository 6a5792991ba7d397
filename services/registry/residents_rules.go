package registry

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/idnumber"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/standards"
)

const (
	childAge = 14 // years; below, only a guardian can consent (PIPL 31)
	adultAge = 18 // years; from then on one can be a guardian (Civil Code 17, 18)
)

var earliestBirth = time.Date(1900, time.January, 1, 0, 0, 0, 0, time.UTC)

// readResident reads the message and checks what needs no database. Household, station and guardian are resolved by
// the caller.
func readResident(ctx context.Context, id uuid.UUID, m *registryv1.Resident) (*residentRow, error) {
	r := &residentRow{
		ID: id, Name: m.GetName(), Phone: m.GetPhone(), Tier: m.GetAssistanceTier(), Registered: m.GetRegistered(),
		Categories: append([]string{}, m.GetCategories()...), DisabilityType: m.GetDisabilityType(),
		DisabilityDegree: m.GetDisabilityDegree(), LegalBasis: bases.text(m.GetLegalBasis()),
		LegalBasisReference: m.GetLegalBasisReference(),
	}
	for _, rule := range []func() error{
		func() error { return r.readIdentity(m) },
		func() error { return checkCodes(ctx, m) },
		func() error { return checkDisability(ctx, m) },
		func() error { return r.readGuardian(m.GetGuardian()) },
		func() error { return r.readLegalBasis(m) },
	} {
		if err := rule(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// readIdentity reads identity number, sex and birth date. With a number they follow from it, and must agree where
// they are given as well; without one they are required, and so is the reason.
func (r *residentRow) readIdentity(m *registryv1.Resident) error {
	if m.GetIdentityNumber() == "" {
		return r.readWithoutIdentity(m)
	}
	number, err := idnumber.Parse(m.GetIdentityNumber(), civildate.Today())
	if err != nil {
		return apierr.InvalidField("resident.identityNumber", "%v", err)
	}
	whole := number.String()
	r.IdentityNumber, r.BirthDate = &whole, number.BirthDate()
	sex := registryv1.Sex_SEX_FEMALE
	if number.Sex() == idnumber.Male {
		sex = registryv1.Sex_SEX_MALE
	}
	r.Sex = sexes.text(sex)
	if m.GetSex() != registryv1.Sex_SEX_UNSPECIFIED && m.GetSex() != sex {
		return apierr.InvalidField("resident.sex", "must be that of the identity number, or left out")
	}
	if m.GetBirthDate() != "" && m.GetBirthDate() != civildate.Format(r.BirthDate) {
		return apierr.InvalidField("resident.birthDate", "must be that of the identity number, or left out")
	}
	return nil
}

func (r *residentRow) readWithoutIdentity(m *registryv1.Resident) error {
	if m.GetNoIdentityReason() == "" {
		return apierr.InvalidField("resident.noIdentityReason", "is required without an identity number")
	}
	if m.GetSex() == registryv1.Sex_SEX_UNSPECIFIED {
		return apierr.InvalidField("resident.sex", "is required without an identity number")
	}
	if m.GetBirthDate() == "" {
		return apierr.InvalidField("resident.birthDate", "is required without an identity number")
	}
	birth, err := civildate.ParsePast("resident.birthDate", m.GetBirthDate())
	if err != nil {
		return err
	}
	if birth.Before(earliestBirth) {
		return apierr.InvalidField("resident.birthDate", "must not be before %s", civildate.Format(earliestBirth))
	}
	r.NoIdentityReason, r.Sex, r.BirthDate = m.GetNoIdentityReason(), sexes.text(m.GetSex()), birth
	return nil
}

// checkCodes checks tier and categories against the standards pack.
func checkCodes(ctx context.Context, m *registryv1.Resident) error {
	if tier := m.GetAssistanceTier(); tier != "" {
		if err := standards.Check(ctx, "resident.assistanceTier", standards.Tiers, tier); err != nil {
			return err
		}
	}
	for i, category := range m.GetCategories() {
		if err := standards.Check(ctx, item("resident.categories", i), standards.Categories, category); err != nil {
			return err
		}
	}
	return nil
}

// checkDisability asks for type and degree with the category "disabled", and for neither without.
func checkDisability(ctx context.Context, m *registryv1.Resident) error {
	disabled := slices.Contains(m.GetCategories(), standards.Disabled)
	hasType, hasDegree := m.GetDisabilityType() != "", m.GetDisabilityDegree() != 0
	switch {
	case disabled && !hasType:
		return apierr.InvalidField("resident.disabilityType", "is required with the category %q", standards.Disabled)
	case disabled && !hasDegree:
		return apierr.InvalidField("resident.disabilityDegree", "is required, 1 to 4, with the category %q", standards.Disabled)
	case disabled:
		return standards.Check(ctx, "resident.disabilityType", standards.DisabilityTypes, m.GetDisabilityType())
	case hasType:
		return apierr.InvalidField("resident.disabilityType", "needs the category %q", standards.Disabled)
	case hasDegree:
		return apierr.InvalidField("resident.disabilityDegree", "needs the category %q", standards.Disabled)
	}
	return nil
}

// readGuardian reads the guardian: another resident, a person named, or none.
func (r *residentRow) readGuardian(m *registryv1.Guardian) error {
	guardian, err := ids.ParseOptional("resident.guardian.residentId", m.GetResidentId())
	if err != nil {
		return err
	}
	if guardian != nil && *guardian == r.ID {
		return apierr.InvalidField("resident.guardian.residentId", "must name another resident")
	}
	if guardian == nil && m.GetName() == "" && (m.GetRelationship() != "" || m.GetPhone() != "") {
		return apierr.InvalidField("resident.guardian.name", "is required without guardian.residentId")
	}
	r.GuardianResidentID = guardian
	r.GuardianName, r.GuardianRelationship, r.GuardianPhone = m.GetName(), m.GetRelationship(), m.GetPhone()
	return nil
}

// readLegalBasis reads why the data may be processed. On the day of the basis a child under 14 cannot consent: a
// guardian can, and must be known, or a statutory duty stands in (PIPL 13, 31).
func (r *residentRow) readLegalBasis(m *registryv1.Resident) error {
	day, err := civildate.ParsePast("resident.legalBasisDate", m.GetLegalBasisDate())
	if err != nil {
		return err
	}
	if day.Before(r.BirthDate) {
		return apierr.InvalidField("resident.legalBasisDate", "must not be before the birth date")
	}
	r.LegalBasisDate = day
	if !isYounger(childAge, r.BirthDate, day) {
		return nil
	}
	guarded := r.GuardianResidentID != nil || r.GuardianName != ""
	switch basis := m.GetLegalBasis(); {
	case basis == registryv1.LegalBasis_LEGAL_BASIS_CONSENT:
		return apierr.InvalidField("resident.legalBasis", "must not be the consent of a child under %d; a guardian consents (PIPL 31)", childAge)
	case basis == registryv1.LegalBasis_LEGAL_BASIS_GUARDIAN_CONSENT && !guarded:
		return apierr.InvalidField("resident.guardian", "is required with the consent of a guardian for a child under %d", childAge)
	}
	return nil
}

// isYounger says whether someone born on the day is under the age in years on the other; on the birthday one is of that
// age. Who was born on 29 February has the birthday of other years on 1 March.
func isYounger(age int, birth, on time.Time) bool { return on.Before(birth.AddDate(age, 0, 0)) }

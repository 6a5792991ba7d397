package registry

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/etag"
	"circle15.dev/internal/idnumber"
	"circle15.dev/internal/tenantdb"
)

// residentRow is a resident as read; its fields are residentColumns by position.
type residentRow struct {
	ID, StationID, HouseholdID                     uuid.UUID
	Name, Sex                                      string
	BirthDate                                      time.Time
	IdentityNumber                                 *string
	NoIdentityReason, Phone, Tier                  string
	Registered                                     bool
	Categories                                     []string
	DisabilityType                                 string
	DisabilityDegree                               int32
	GuardianResidentID                             *uuid.UUID
	GuardianName, GuardianRelationship             string
	GuardianPhone, LegalBasis, LegalBasisReference string
	LegalBasisDate                                 time.Time
	Revision                                       int32
	CreateTime, UpdateTime                         time.Time
}

const residentColumns = `id, station_id, household_id, name, sex, birth_date, identity_number, no_identity_reason, phone,
	assistance_tier, registered, categories, disability_type, disability_degree, guardian_resident_id, guardian_name,
	guardian_relationship, guardian_phone, legal_basis, legal_basis_reference, legal_basis_date, revision, create_time, update_time`

var (
	selectResident = tenantdb.SQL(`SELECT ` + residentColumns + ` FROM {tenant}.residents WHERE ` + inScope)

	lockResident = tenantdb.SQL(`SELECT ` + residentColumns + ` FROM {tenant}.residents WHERE ` + inScope + ` FOR UPDATE`)

	selectResidents = tenantdb.SQL(`SELECT ` + residentColumns + ` FROM {tenant}.residents
		WHERE ` + pageInScope + ` AND ($5::uuid IS NULL OR household_id = $5) AND ($6::text IS NULL OR assistance_tier = $6)
			AND ($7::text IS NULL OR $7 = ANY(categories)) AND ($8::boolean IS NULL OR registered = $8)
		ORDER BY id LIMIT $2`)

	insertResident = tenantdb.SQL(`INSERT INTO {tenant}.residents (id, station_id, household_id, name, sex, birth_date,
			identity_number, no_identity_reason, phone, assistance_tier, registered, categories, disability_type, disability_degree,
			guardian_resident_id, guardian_name, guardian_relationship, guardian_phone, legal_basis, legal_basis_reference,
			legal_basis_date, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
		RETURNING ` + residentColumns)

	updateResident = tenantdb.SQL(`UPDATE {tenant}.residents SET station_id = $2, household_id = $3, name = $4, sex = $5,
			birth_date = $6, identity_number = $7, no_identity_reason = $8, phone = $9, assistance_tier = $10, registered = $11,
			categories = $12, disability_type = $13, disability_degree = $14, guardian_resident_id = $15, guardian_name = $16,
			guardian_relationship = $17, guardian_phone = $18, legal_basis = $19, legal_basis_reference = $20,
			legal_basis_date = $21, revision = revision + 1, update_time = now()
		WHERE id = $1 RETURNING ` + residentColumns)

	scanResident = pgx.RowToAddrOfStructByPos[residentRow]

	residentUniques = uniques{
		"residents_pkey":                {Name: "resident.id", Description: idTaken},
		"residents_identity_number_key": {Name: "resident.identityNumber", Description: "is that of a registered resident"},
	}
)

func (r *residentRow) cursor() string { return r.ID.String() }

// toProto is the resident as it is returned: with a masked identity number.
func (r *residentRow) toProto() *registryv1.Resident {
	m := &registryv1.Resident{
		Id: r.ID.String(), HouseholdId: r.HouseholdID.String(), StationId: r.StationID.String(), Name: r.Name, Sex: sexes.value(r.Sex),
		BirthDate: civildate.Format(r.BirthDate), NoIdentityReason: r.NoIdentityReason, Phone: r.Phone, AssistanceTier: r.Tier,
		Registered: r.Registered, Categories: r.Categories, DisabilityType: r.DisabilityType, DisabilityDegree: r.DisabilityDegree,
		Guardian: r.guardian(), LegalBasis: bases.value(r.LegalBasis), LegalBasisReference: r.LegalBasisReference,
		LegalBasisDate: civildate.Format(r.LegalBasisDate),
		Etag:           etag.Of(r.Revision), CreateTime: timestamppb.New(r.CreateTime), UpdateTime: timestamppb.New(r.UpdateTime),
	}
	if r.IdentityNumber != nil {
		m.MaskedIdentityNumber = idnumber.Mask(*r.IdentityNumber)
	}
	return m
}

// toWhole is the resident with the identity number, to which an update is applied. It is never returned.
func (r *residentRow) toWhole() *registryv1.Resident {
	m := r.toProto()
	if r.IdentityNumber != nil {
		m.IdentityNumber = *r.IdentityNumber
	}
	return m
}

func (r *residentRow) guardian() *registryv1.Guardian {
	if r.GuardianResidentID == nil && r.GuardianName == "" {
		return nil
	}
	m := &registryv1.Guardian{Name: r.GuardianName, Relationship: r.GuardianRelationship, Phone: r.GuardianPhone}
	if r.GuardianResidentID != nil {
		m.ResidentId = r.GuardianResidentID.String()
	}
	return m
}

func (r *residentRow) insert(ctx context.Context, tx *tenantdb.Tx) (*residentRow, error) {
	row, err := tenantdb.One(ctx, tx, scanResident, insertResident, append(r.values(), caller(ctx))...)
	return row, residentUniques.named(err)
}

func (r *residentRow) update(ctx context.Context, tx *tenantdb.Tx) (*residentRow, error) {
	row, err := tenantdb.One(ctx, tx, scanResident, updateResident, r.values()...)
	return row, residentUniques.named(err)
}

// values are the parameters $1 to $21 of insert and update.
func (r *residentRow) values() []any {
	return []any{
		r.ID, r.StationID, r.HouseholdID, r.Name, r.Sex, r.BirthDate, r.IdentityNumber, r.NoIdentityReason, r.Phone, r.Tier,
		r.Registered, r.Categories, r.DisabilityType, r.DisabilityDegree, r.GuardianResidentID, r.GuardianName,
		r.GuardianRelationship, r.GuardianPhone, r.LegalBasis, r.LegalBasisReference, r.LegalBasisDate,
	}
}

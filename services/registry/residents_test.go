package registry_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	registryv1 "circle15.dev/api/registry/v1"
)

const identity = "11010519491231002X" // the example of GB 11643-1999

func identified(r *registryv1.Resident) {
	r.IdentityNumber, r.NoIdentityReason, r.Sex, r.BirthDate = identity, "", 0, ""
}

func TestAnIdentityNumberIsUniqueAndNeverReturned(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	created := e.resident(p.household, identified)
	if created.GetMaskedIdentityNumber() != "110105***********X" || created.GetBirthDate() != "1949-12-31" ||
		created.GetSex() != registryv1.Sex_SEX_FEMALE {
		t.Errorf("registered as %v", created)
	}
	got := must[*registryv1.Resident](t)(e.GetResident(e.admin(), &registryv1.GetResidentRequest{Id: created.GetId()}))
	listed := must[*registryv1.ListResidentsResponse](t)(e.ListResidents(e.admin(), &registryv1.ListResidentsRequest{}))
	updated := must[*registryv1.Resident](t)(e.UpdateResident(e.admin(), &registryv1.UpdateResidentRequest{
		Resident: &registryv1.Resident{Id: created.GetId(), Phone: "0898-00000000"},
	}))
	for name, reply := range map[string]string{
		"create": protojson.Format(created), "get": protojson.Format(got), "list": protojson.Format(listed),
		"update": protojson.Format(updated),
	} {
		if strings.Contains(reply, identity) || strings.Contains(reply, identity[6:14]) {
			t.Errorf("%s returns the number: %s", name, reply)
		}
	}

	_, err := e.CreateResident(e.admin(), resident(p.household, identified))
	refused(t, "a second person of the number", err, codes.AlreadyExists, "resident.identityNumber")
	if s := status.Convert(err); strings.Contains(s.Message(), identity[6:]) || strings.Contains(s.Message(), "居民") {
		t.Errorf("the error tells %q", s.Message())
	}
	_, err = e.UpdateResident(e.admin(), &registryv1.UpdateResidentRequest{
		Resident:   &registryv1.Resident{Id: p.resident.GetId(), IdentityNumber: identity},
		UpdateMask: mask("identity_number"),
	})
	refused(t, "another's number", err, codes.AlreadyExists, "resident.identityNumber")
}

func TestAnUpdateKeepsTheIdentityNumberUnlessItNamesIt(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	person := e.resident(p.household, identified)
	update := func(r *registryv1.Resident, paths ...string) (*registryv1.Resident, error) {
		r.Id = person.GetId()
		return e.UpdateResident(e.admin(), &registryv1.UpdateResidentRequest{Resident: r, UpdateMask: mask(paths...)})
	}
	must[*registryv1.Resident](t)(update(&registryv1.Resident{Phone: "1"}, "phone"))
	if n := e.count(`SELECT count(*) FROM {tenant}.residents WHERE identity_number = $1`, identity); n != 1 {
		t.Fatal("the number is gone")
	}
	_, err := update(&registryv1.Resident{}, "identity_number")
	refused(t, "cleared without a reason", err, codes.InvalidArgument, "resident.noIdentityReason")
	_, err = update(&registryv1.Resident{BirthDate: "1949-12-30"}, "birth_date")
	refused(t, "another birth date", err, codes.InvalidArgument, "resident.birthDate")
	_, err = update(&registryv1.Resident{IdentityNumber: identity[:17] + "1"}, "identity_number")
	refused(t, "a wrong number", err, codes.InvalidArgument, "resident.identityNumber")
	if s := status.Convert(err); strings.Contains(s.Message(), identity[6:17]) {
		t.Errorf("the error tells %q", s.Message())
	}
	cleared := must[*registryv1.Resident](t)(update(&registryv1.Resident{NoIdentityReason: "withdrawn"}, "identity_number", "no_identity_reason"))
	if cleared.GetMaskedIdentityNumber() != "" || cleared.GetBirthDate() != "1949-12-31" {
		t.Errorf("cleared to %v", cleared)
	}
}

func TestAGuardianIsAResidentOfTheTenantOrNamed(t *testing.T) {
	e := newEnv(t)
	here, there := e.place(township), e.place("460107001")
	child := func(g *registryv1.Guardian) *registryv1.CreateResidentRequest {
		return resident(here.household, func(r *registryv1.Resident) {
			r.BirthDate, r.LegalBasis, r.Guardian = "2014-01-01", registryv1.LegalBasis_LEGAL_BASIS_GUARDIAN_CONSENT, g
		})
	}
	station := e.at(here.station.GetId())
	_, err := e.CreateResident(station, child(nil))
	refused(t, "no guardian", err, codes.InvalidArgument, "resident.guardian")
	_, err = e.CreateResident(station, child(&registryv1.Guardian{ResidentId: newID()}))
	refused(t, "nobody", err, codes.InvalidArgument, "resident.guardian.residentId")
	must[*registryv1.Resident](t)(e.CreateResident(station, child(&registryv1.Guardian{Name: "外婆", Relationship: "grandmother"})))
	created := must[*registryv1.Resident](t)(e.CreateResident(e.admin(), child(&registryv1.Guardian{ResidentId: there.resident.GetId()})))
	if created.GetGuardian().GetResidentId() != there.resident.GetId() {
		t.Errorf("the guardian became %v", created.GetGuardian())
	}
}

func TestAResidentIsStoredAsGiven(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	created := e.resident(p.household, func(r *registryv1.Resident) {
		r.Phone, r.AssistanceTier, r.Registered = "0898-00000000", "minimum_living_allowance", true
		r.Categories, r.DisabilityType, r.DisabilityDegree = []string{"disabled", "living_alone"}, "visual", 1
		r.LegalBasis, r.LegalBasisReference = registryv1.LegalBasis_LEGAL_BASIS_STATUTORY_DUTY, "社会救助暂行办法"
		r.Guardian = &registryv1.Guardian{Name: "某人", Relationship: "sister", Phone: "1"}
	})
	got := must[*registryv1.Resident](t)(e.GetResident(e.admin(), &registryv1.GetResidentRequest{Id: created.GetId()}))
	if protojson.Format(created) != protojson.Format(got) || got.GetGuardian().GetRelationship() != "sister" ||
		len(got.GetCategories()) != 2 || got.GetDisabilityDegree() != 1 || !got.GetRegistered() ||
		got.GetLegalBasisReference() != "社会救助暂行办法" || got.GetAssistanceTier() != "minimum_living_allowance" {
		t.Errorf("stored as %v", got)
	}
}

func TestResidentsAreListedByRegistrationTierAndCategory(t *testing.T) {
	e := newEnv(t)
	p := e.place(township) // with a resident of whom nothing is said
	with := func(registered bool, tier string, categories ...string) *registryv1.Resident {
		return e.resident(p.household, func(r *registryv1.Resident) {
			r.Registered, r.AssistanceTier, r.Categories = registered, tier, categories
		})
	}
	poor := with(true, "minimum_living_allowance", "very_old", "living_alone")
	old := with(true, "", "very_old")
	unregistered := with(false, "minimum_living_allowance", "living_alone")
	yes, no := true, false
	for what, tt := range map[string]struct {
		ask  *registryv1.ListResidentsRequest
		want []*registryv1.Resident
	}{
		"all":            {&registryv1.ListResidentsRequest{}, []*registryv1.Resident{p.resident, poor, old, unregistered}},
		"registered":     {&registryv1.ListResidentsRequest{Registered: &yes}, []*registryv1.Resident{poor, old}},
		"not registered": {&registryv1.ListResidentsRequest{Registered: &no}, []*registryv1.Resident{p.resident, unregistered}},
		"of a tier":      {&registryv1.ListResidentsRequest{AssistanceTier: "minimum_living_allowance"}, []*registryv1.Resident{poor, unregistered}},
		"of a category":  {&registryv1.ListResidentsRequest{Category: "very_old"}, []*registryv1.Resident{poor, old}},
		"of all three": {
			&registryv1.ListResidentsRequest{Registered: &no, AssistanceTier: "minimum_living_allowance", Category: "living_alone"},
			[]*registryv1.Resident{unregistered},
		},
	} {
		ids := func(residents []*registryv1.Resident) (out []string) {
			for _, r := range residents {
				out = append(out, r.GetId())
			}
			return out
		}
		tt.ask.StationId = p.station.GetId()
		reply := must[*registryv1.ListResidentsResponse](t)(e.ListResidents(e.admin(), tt.ask))
		if diff := cmp.Diff(ids(tt.want), ids(reply.GetResidents())); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	first := must[*registryv1.ListResidentsResponse](t)(e.ListResidents(e.admin(), &registryv1.ListResidentsRequest{Registered: &yes, PageSize: 1}))
	_, err := e.ListResidents(e.admin(), &registryv1.ListResidentsRequest{Registered: &no, PageSize: 1, PageToken: first.GetNextPageToken()})
	refused(t, "a page of another filter", err, codes.InvalidArgument, "pageToken")
}

func TestAGuardianIsAnAdultWithinTheDataScope(t *testing.T) {
	e := newEnv(t)
	here, there := e.place(township), e.place("460107001")
	minor := e.resident(here.household, func(r *registryv1.Resident) { r.BirthDate = "2003-06-02" })
	adult := e.resident(here.household, func(r *registryv1.Resident) { r.BirthDate = "2003-06-01" })
	ward := func(guardian *registryv1.Resident) *registryv1.CreateResidentRequest { // on the legal basis of 1 June 2021
		return resident(here.household, func(r *registryv1.Resident) {
			r.BirthDate, r.LegalBasis = "2014-01-01", registryv1.LegalBasis_LEGAL_BASIS_GUARDIAN_CONSENT
			r.Guardian = &registryv1.Guardian{ResidentId: guardian.GetId()}
		})
	}
	const field = "resident.guardian.residentId"
	_, err := e.CreateResident(e.admin(), ward(minor))
	refused(t, "a day under 18", err, codes.InvalidArgument, field)
	child := must[*registryv1.Resident](t)(e.CreateResident(e.admin(), ward(adult)))
	_, err = e.UpdateResident(e.admin(), &registryv1.UpdateResidentRequest{
		Resident: &registryv1.Resident{Id: child.GetId(), LegalBasisDate: "2021-05-31"},
	})
	refused(t, "under 18 on another day of the legal basis", err, codes.InvalidArgument, field)

	_, outside := e.CreateResident(e.at(here.station.GetId()), ward(there.resident))
	refused(t, "of another station", outside, codes.InvalidArgument, field)
	_, nobody := e.CreateResident(e.at(here.station.GetId()), ward(&registryv1.Resident{Id: newID()}))
	if status.Convert(outside).Message() != status.Convert(nobody).Message() {
		t.Errorf("one out of reach is told %q, nobody %q", outside, nobody)
	}
	distant := must[*registryv1.Resident](t)(e.CreateResident(e.admin(), ward(there.resident)))
	must[*registryv1.Resident](t)(e.UpdateResident(e.at(here.station.GetId()), &registryv1.UpdateResidentRequest{
		Resident: &registryv1.Resident{Id: distant.GetId(), LegalBasisDate: "2021-06-02"},
	}))
}

func TestTwoResidentsAreNotEachOthersGuardian(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	name := func(ward, guardian *registryv1.Resident) error {
		_, err := e.UpdateResident(e.admin(), &registryv1.UpdateResidentRequest{Resident: &registryv1.Resident{
			Id: ward.GetId(), Guardian: &registryv1.Guardian{ResidentId: guardian.GetId()},
		}})
		return err
	}
	refused(t, "oneself", name(p.resident, p.resident), codes.InvalidArgument, "resident.guardian.residentId")
	for round := range 10 {
		a, b := e.resident(p.household), e.resident(p.household)
		var racing sync.WaitGroup
		var first, second error
		racing.Go(func() { first = name(a, b) })
		racing.Go(func() { second = name(b, a) })
		racing.Wait()
		if (first == nil) == (second == nil) {
			t.Fatalf("round %d: %v, %v", round, first, second)
		}
		for _, err := range []error{first, second} {
			if err != nil {
				refused(t, "crosswise", err, codes.InvalidArgument, "resident.guardian.residentId")
			}
		}
	}
}

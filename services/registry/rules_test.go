package registry

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
)

func day(s string) time.Time {
	d, err := civildate.Parse("day", s)
	if err != nil {
		panic(err)
	}
	return d
}

func TestAPeriodEndsNoEarlierThanItBegins(t *testing.T) {
	tomorrow := civildate.Format(civildate.Today().AddDate(0, 0, 1))
	for _, tt := range []struct{ first, last, field string }{
		{"2021-05-01", "", ""},
		{"2021-05-01", "2021-05-01", ""},
		{tomorrow, "", ""},
		{"2021-05-01", tomorrow, ""},
		{"2021-05-02", "2021-05-01", "last"},
		{"", "2021-05-01", "first"},
		{"2021-02-30", "", "first"},
		{"2021-05-01", "2021-5-2", "last"},
	} {
		_, err := parsePeriod("first", tt.first, "last", tt.last)
		expectField(t, tt.first+".."+tt.last, err, tt.field)
	}
	_, err := parsePastPeriod("first", tomorrow, "last", "")
	expectField(t, "begins tomorrow", err, "first")
}

func TestAPartEndsNoLaterThanTheWhole(t *testing.T) {
	end, before, after := day("2022-06-30"), day("2022-06-29"), day("2022-07-01")
	for name, tt := range map[string]struct {
		last, end *time.Time
		field     string
	}{
		"neither ends":        {nil, nil, ""},
		"the whole goes on":   {&after, nil, ""},
		"ends before":         {&before, &end, ""},
		"ends the same day":   {&end, &end, ""},
		"ends after":          {&after, &end, "endDate"},
		"goes on for no time": {nil, &end, "endDate"},
	} {
		expectField(t, name, period{day("2021-01-01"), tt.last}.endsWithin(tt.end, "endDate", "station"), tt.field)
	}
}

func TestACommunityCodeBeginsWithTheTownship(t *testing.T) {
	for code, field := range map[string]string{
		"460107003001": "", "460107003999": "",
		"460107003000": "code", "460107004001": "code", "460107003": "code",
	} {
		expectField(t, code, checkCommunityCode("code", code, "460107003"), field)
	}
}

func TestATownshipIsOneOfTheTable(t *testing.T) {
	for code, field := range map[string]string{
		"460107003": "", "460105001": "", "460107999": "code", "460107": "code", "460100": "code", "460107003001": "code", "": "code",
		"441900003": "code", // of Dongguan
	} {
		expectField(t, code, checkTownship("code", code, "460100"), field)
	}
	expectField(t, "of a city without counties", checkTownship("code", "441900003", "441900"), "")
	expectField(t, "of a tenant whose division the table does not have", checkTownship("code", "460107003", "460199"), "code")
}

func TestChildhoodEndsOnTheFourteenthBirthday(t *testing.T) {
	for _, tt := range []struct {
		birth, on string
		child     bool
	}{
		{"2007-09-01", "2021-08-31", true},
		{"2007-09-01", "2021-09-01", false},
		{"2008-02-29", "2022-02-28", true},
		{"2008-02-29", "2022-03-01", false},
		{"2021-09-01", "2021-09-01", true},
	} {
		if got := isYounger(childAge, day(tt.birth), day(tt.on)); got != tt.child {
			t.Errorf("born %s, on %s: child %v", tt.birth, tt.on, got)
		}
	}
}

// adult is a resident whom no rule refuses.
func adult() *registryv1.Resident {
	return &registryv1.Resident{
		Name: "某人", NoIdentityReason: "number not at hand", Sex: registryv1.Sex_SEX_FEMALE, BirthDate: "1949-12-31",
		LegalBasis: registryv1.LegalBasis_LEGAL_BASIS_CONSENT, LegalBasisDate: "2021-06-01",
	}
}

func TestAResidentKeepsTheRules(t *testing.T) {
	const (
		consent  = registryv1.LegalBasis_LEGAL_BASIS_CONSENT
		guardian = registryv1.LegalBasis_LEGAL_BASIS_GUARDIAN_CONSENT
		duty     = registryv1.LegalBasis_LEGAL_BASIS_STATUTORY_DUTY
	)
	tomorrow := civildate.Format(civildate.Today().AddDate(0, 0, 1))
	identified := func(r *registryv1.Resident) {
		r.IdentityNumber, r.NoIdentityReason, r.Sex, r.BirthDate = "11010519491231002X", "", 0, ""
	}
	child := func(basis registryv1.LegalBasis) func(*registryv1.Resident) {
		return func(r *registryv1.Resident) { r.BirthDate, r.LegalBasis = "2014-01-01", basis }
	}
	for name, tt := range map[string]struct {
		change func(*registryv1.Resident)
		field  string
	}{
		"no change":                     {func(*registryv1.Resident) {}, ""},
		"identity number alone":         {identified, ""},
		"neither number nor reason":     {func(r *registryv1.Resident) { r.NoIdentityReason = "" }, "resident.noIdentityReason"},
		"no number, no sex":             {func(r *registryv1.Resident) { r.Sex = 0 }, "resident.sex"},
		"no number, no birth date":      {func(r *registryv1.Resident) { r.BirthDate = "" }, "resident.birthDate"},
		"born tomorrow":                 {func(r *registryv1.Resident) { r.BirthDate = tomorrow }, "resident.birthDate"},
		"born too long ago":             {func(r *registryv1.Resident) { r.BirthDate = "1899-12-31" }, "resident.birthDate"},
		"birth date not of a calendar":  {func(r *registryv1.Resident) { r.BirthDate = "1949-02-30" }, "resident.birthDate"},
		"wrong check digit":             {func(r *registryv1.Resident) { r.IdentityNumber = "110105194912310020" }, "resident.identityNumber"},
		"number and its sex and birth":  {func(r *registryv1.Resident) { r.IdentityNumber = "11010519491231002X" }, ""},
		"number and another sex":        {func(r *registryv1.Resident) { identified(r); r.Sex = registryv1.Sex_SEX_MALE }, "resident.sex"},
		"number and another birth date": {func(r *registryv1.Resident) { identified(r); r.BirthDate = "1949-12-30" }, "resident.birthDate"},
		"a known tier":                  {func(r *registryv1.Resident) { r.AssistanceTier = "minimum_living_allowance" }, ""},
		"an unknown tier":               {func(r *registryv1.Resident) { r.AssistanceTier = "very_old" }, "resident.assistanceTier"},
		"an unknown category":           {func(r *registryv1.Resident) { r.Categories = []string{"very_old", "rich"} }, "resident.categories[1]"},
		"disabled with type and degree": {func(r *registryv1.Resident) {
			r.Categories, r.DisabilityType, r.DisabilityDegree = []string{"disabled"}, "visual", 1
		}, ""},
		"disabled without type": {func(r *registryv1.Resident) {
			r.Categories, r.DisabilityDegree = []string{"disabled"}, 1
		}, "resident.disabilityType"},
		"disabled without degree": {func(r *registryv1.Resident) {
			r.Categories, r.DisabilityType = []string{"disabled"}, "visual"
		}, "resident.disabilityDegree"},
		"disabled of an unknown type": {func(r *registryv1.Resident) {
			r.Categories, r.DisabilityType, r.DisabilityDegree = []string{"disabled"}, "social", 1
		}, "resident.disabilityType"},
		"a type without the category":   {func(r *registryv1.Resident) { r.DisabilityType = "visual" }, "resident.disabilityType"},
		"a degree without the category": {func(r *registryv1.Resident) { r.DisabilityDegree = 2 }, "resident.disabilityDegree"},
		"a guardian named":              {func(r *registryv1.Resident) { r.Guardian = &registryv1.Guardian{Name: "某人"} }, ""},
		"a guardian without a name": {func(r *registryv1.Resident) {
			r.Guardian = &registryv1.Guardian{Relationship: "grandmother"}
		}, "resident.guardian.name"},
		"an empty guardian":           {func(r *registryv1.Resident) { r.Guardian = &registryv1.Guardian{} }, ""},
		"a guardian that is no id":    {func(r *registryv1.Resident) { r.Guardian = &registryv1.Guardian{ResidentId: "x"} }, "resident.guardian.residentId"},
		"a basis in the future":       {func(r *registryv1.Resident) { r.LegalBasisDate = tomorrow }, "resident.legalBasisDate"},
		"a basis before birth":        {func(r *registryv1.Resident) { r.BirthDate = "2021-06-02" }, "resident.legalBasisDate"},
		"a child's own consent":       {child(consent), "resident.legalBasis"},
		"a child's guardian, unnamed": {child(guardian), "resident.guardian"},
		"a child's guardian": {func(r *registryv1.Resident) {
			child(guardian)(r)
			r.Guardian = &registryv1.Guardian{Name: "某人"}
		}, ""},
		"a statutory duty to a child":  {child(duty), ""},
		"a guardian's consent, grown":  {func(r *registryv1.Resident) { r.LegalBasis = guardian }, ""},
		"own consent at fourteen":      {func(r *registryv1.Resident) { r.BirthDate = "2007-06-01" }, ""},
		"own consent the day before":   {func(r *registryv1.Resident) { r.BirthDate = "2007-06-02" }, "resident.legalBasis"},
		"number of a child, consented": {func(r *registryv1.Resident) { identified(r); r.LegalBasisDate = "1950-01-01" }, "resident.legalBasis"},
	} {
		r := adult()
		tt.change(r)
		_, err := readResident(context.Background(), ids.New(), r)
		expectField(t, name, err, tt.field)
	}
}

func TestAnIdentityNumberTellsSexAndBirthDateAndEndsItsReason(t *testing.T) {
	r := adult()
	r.IdentityNumber, r.Sex, r.BirthDate = "11010519491231002x", 0, ""
	row, err := readResident(context.Background(), ids.New(), r)
	if err != nil {
		t.Fatal(err)
	}
	if row.Sex != "FEMALE" || !row.BirthDate.Equal(day("1949-12-31")) || *row.IdentityNumber != "11010519491231002X" || row.NoIdentityReason != "" {
		t.Errorf("read as %+v", row)
	}
}

func TestNobodyIsTheirOwnGuardian(t *testing.T) {
	id := ids.New()
	r := adult()
	r.Guardian = &registryv1.Guardian{ResidentId: id.String()}
	_, err := readResident(context.Background(), id, r)
	expectField(t, "own guardian", err, "resident.guardian.residentId")
}

func TestANeedIsMetExactlyWhileItHasADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		need := &needRow{State: needOpen, RecordedDate: day("2021-06-01")}
		turns := map[string]func() error{
			"meet":      func() error { return need.meet(day("2021-06-01"), "done") },
			"meet late": func() error { return need.meet(day("2021-05-31"), "done") },
			"reopen":    func() error { return need.reopen("not yet") },
			"void":      func() error { return need.void("by mistake") },
		}
		for _, turn := range rapid.SliceOf(rapid.SampledFrom([]string{"meet", "meet late", "reopen", "void"})).Draw(t, "turns") {
			before := *need
			err := turns[turn]()
			if err != nil && before.State != need.State {
				t.Fatalf("%s failed and changed the state to %s", turn, need.State)
			}
			if before.State == needVoid && err == nil {
				t.Fatalf("%s changed a void need", turn)
			}
			if turn == "meet late" && err == nil {
				t.Fatal("was met before it was recorded")
			}
			if need.State == needMet && need.MetDate == nil || need.State == needOpen && (need.MetDate != nil || need.Outcome != "") {
				t.Fatalf("%s left %+v", turn, need)
			}
			counted := 1
			if need.MetDate != nil {
				counted = 2
			}
			if got := len(need.facts()); got != counted {
				t.Fatalf("%s: %d facts, want %d", turn, got, counted)
			}
		}
	})
}

func TestAStockCountsOnItsLastDayAndAddsUpToNothingAfter(t *testing.T) {
	end := day("2022-03-01")
	fs := stock(facts.Fact{Measure: facts.Stations, Station: uuid.Nil}, period{day("2021-05-01"), &end})
	if len(fs) != 2 || fs[0].Amount+fs[1].Amount != 0 || !fs[1].Date.Equal(day("2022-03-02")) {
		t.Errorf("%+v", fs)
	}
	if fs := stock(facts.Fact{}, period{first: day("2021-05-01")}); len(fs) != 1 || fs[0].Amount != 1 {
		t.Errorf("%+v", fs)
	}
}

func TestEnumsKeepTheirTexts(t *testing.T) {
	for value := range registryv1.StaffPosition_name {
		position := registryv1.StaffPosition(value)
		if got := positions.value(positions.text(position)); got != position {
			t.Errorf("%v became %v", position, got)
		}
	}
	if got := positions.text(registryv1.StaffPosition_STAFF_POSITION_HEAD); got != "HEAD" {
		t.Errorf("the head's text is %q", got)
	}
	if sexes.text(99) != "" || sexes.value("OTHER") != registryv1.Sex_SEX_UNSPECIFIED {
		t.Error("an unknown value is not the unspecified one")
	}
}

func TestAResidentIsReturnedWithoutTheIdentityNumber(t *testing.T) {
	number := "11010519491231002X"
	for _, m := range []proto.Message{
		(&residentRow{IdentityNumber: &number}).toProto(),
		(&volunteerRow{IdentityNumber: &number}).toProto(),
	} {
		got := m.(interface {
			GetIdentityNumber() string
			GetMaskedIdentityNumber() string
		})
		if got.GetIdentityNumber() != "" || got.GetMaskedIdentityNumber() != "110105***********X" {
			t.Errorf("returned as %v", m)
		}
	}
}

// expectField wants an Invalid error about the field, or none where it is empty.
func expectField(t *testing.T, name string, err error, field string) {
	t.Helper()
	if field == "" {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	invalid, ok := errors.AsType[*apierr.Error](err)
	if !ok || invalid.Kind != apierr.Invalid || len(invalid.Fields) != 1 || invalid.Fields[0].Name != field {
		t.Errorf("%s: %v, want an invalid %s", name, err, field)
	}
}

package haikou_test

import (
	"regexp"
	"strings"
	"sync"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	casesv1 "circle15.dev/api/cases/v1"
	registryv1 "circle15.dev/api/registry/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/divisions"
	"circle15.dev/services/demo/haikou"
)

func newPlan(t *testing.T, seed uint64) *haikou.Plan {
	t.Helper()
	plan, err := haikou.New(seed)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// thePlan is the demo's, made once; no test changes it.
func thePlan(t *testing.T) *haikou.Plan {
	t.Helper()
	made.Do(func() { made.plan = newPlan(t, haikou.DefaultSeed) })
	return made.plan
}

var made struct {
	sync.Once
	plan *haikou.Plan
}

// theCity is what thePlan makes of the city, made once; no test changes it.
func theCity(t *testing.T) *ledger {
	t.Helper()
	lived.Do(func() { lived.city = carryOut(t, thePlan(t)) })
	return lived.city
}

var lived struct {
	sync.Once
	city *ledger
}

func cityOf(t *testing.T, seed uint64) *ledger {
	t.Helper()
	if seed == haikou.DefaultSeed {
		return theCity(t)
	}
	return carryOut(t, newPlan(t, seed))
}

func eachRequest(plan *haikou.Plan, do func(proto.Message)) {
	for _, phase := range plan.Phases {
		for _, chain := range phase.Chains {
			for _, request := range chain {
				do(request)
			}
		}
	}
}

func TestThePlanCountsWhatThePaperReported(t *testing.T) {
	for _, seed := range []uint64{haikou.DefaultSeed, 1, 42} {
		got := cityOf(t, seed).count("")
		type reported struct{ Stations, HouseholdsVisited, Cases, Activities, VolunteerTeams, Volunteers, PersonTimes int }
		counted := reported{
			got.Stations, got.HouseholdsVisited, got.Cases, got.Activities, got.VolunteerTeams, got.Volunteers, got.PersonTimes,
		}
		if want := (reported{21, 2518, 42, 183, 21, 851, 28332}); counted != want {
			t.Errorf("seed %d: %+v, want %+v", seed, counted, want)
		}
		t.Logf("seed %d: %+v", seed, got)
	}
}

func TestTheTwoStationsOfThePaperHaveItsDetails(t *testing.T) {
	l := theCity(t)
	heads := map[string]string{}
	for _, s := range l.staff {
		if s.GetPosition() == registryv1.StaffPosition_STAFF_POSITION_HEAD {
			heads[s.GetStationId()] = s.GetName()
		}
	}
	for _, s := range l.stations {
		f := l.count(s.GetId())
		t.Logf("%s, opened %s: %+v", s.GetDisplayName(), s.GetOpenedDate(), f)
		switch s.GetDivisionCode() {
		case haikou.Binjiang:
			if f.Needs != 180 || f.Files != 56 || heads[s.GetId()] != "林婵" || s.GetOpenedDate()[:7] != "2021-05" {
				t.Errorf("Binjiang has %d needs, %d files and the head %s", f.Needs, f.Files, heads[s.GetId()])
			}
		case haikou.Guoxing:
			if f.Files <= 350 || heads[s.GetId()] != "伍燕浪" || s.GetOpenedDate()[:7] != "2021-05" {
				t.Errorf("Guoxing has %d files and the head %s", f.Files, heads[s.GetId()])
			}
		}
	}
}

func TestTheSameSeedGivesTheSamePlan(t *testing.T) {
	bytesOf := func(plan *haikou.Plan) string {
		var all strings.Builder
		eachRequest(plan, func(r proto.Message) {
			b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(string(r.ProtoReflect().Descriptor().FullName()))
			all.Write(b)
		})
		return all.String()
	}
	first := bytesOf(thePlan(t))
	if bytesOf(newPlan(t, haikou.DefaultSeed)) != first {
		t.Error("two plans of one seed differ")
	}
	if bytesOf(newPlan(t, haikou.DefaultSeed+1)) == first {
		t.Error("two seeds give the same plan")
	}
}

func TestEveryRequestKeepsTheRulesOfTheContract(t *testing.T) {
	plan := thePlan(t)
	eachRequest(plan, func(r proto.Message) {
		if err := protovalidate.Validate(r); err != nil {
			t.Fatalf("%T: %v\n%v", r, err, r)
		}
	})
	t.Logf("%d requests", plan.Calls())
	for _, phase := range plan.Phases {
		t.Logf("%-26s %6d requests in %5d chains", phase.Name, phase.Calls(), len(phase.Chains))
	}
}

func TestEveryRequestHasAKeyOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	eachRequest(thePlan(t), func(r proto.Message) {
		key := r.ProtoReflect().Get(r.ProtoReflect().Descriptor().Fields().ByName("request_id")).String()
		if key == "" || seen[key] {
			t.Fatalf("%T has the key %q", r, key)
		}
		seen[key] = true
	})
}

func TestEveryIDIsAUUIDOfVersion7(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	eachRequest(thePlan(t), func(r proto.Message) {
		eachString(r.ProtoReflect(), func(field protoreflect.FieldDescriptor, value string) {
			if name := string(field.Name()); (name == "id" || strings.HasSuffix(name, "_id") && name != "request_id") && value != "" && !form.MatchString(value) {
				t.Fatalf("%T: %s is %q", r, field.FullName(), value)
			}
		})
	})
}

func TestEveryDayLiesBetweenTheOpeningAndTheReport(t *testing.T) {
	plan := thePlan(t)
	first := "2021-05-01"
	eachRequest(plan, func(r proto.Message) {
		eachString(r.ProtoReflect(), func(field protoreflect.FieldDescriptor, value string) {
			name := string(field.Name())
			if !strings.HasSuffix(name, "_date") || name == "birth_date" || name == "planned_date" || value == "" {
				return
			}
			if value < first || value > "2021-10-01" {
				t.Errorf("%T: %s is %s", r, field.FullName(), value)
			}
		})
	})
	l := theCity(t)
	opened := func(station string) string { return l.stations[station].GetOpenedDate() }
	check := func(what, station, date string) {
		t.Helper()
		if date != "" && date < opened(station) {
			t.Errorf("%s of %s on %s, before the opening on %s", what, l.stations[station].GetDisplayName(), date, opened(station))
		}
	}
	for _, v := range l.visits {
		check("a visit", v.GetStationId(), v.GetVisitDate())
		check("a planned visit", v.GetStationId(), v.GetPlannedDate())
	}
	for _, n := range l.needs {
		check("a need", n.GetStationId(), n.GetRecordedDate())
	}
	for _, f := range l.files {
		check("a file", f.GetStationId(), f.GetBuiltDate())
	}
	for _, c := range l.cases {
		check("a case", c.GetStationId(), c.GetOpenedDate())
	}
	for _, a := range l.activities {
		check("an activity", a.GetStationId(), a.GetHeldDate()+a.GetPlannedDate())
	}
	for _, g := range l.groups {
		check("a group", g.GetStationId(), g.GetOpenedDate())
	}
	for _, v := range l.volunteers {
		check("a volunteer", v.GetStationId(), v.GetRegisteredDate())
	}
}

func eachString(m protoreflect.Message, do func(protoreflect.FieldDescriptor, string)) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				eachString(value.List().Get(i).Message(), do)
			}
		case field.IsList():
		case field.Message() != nil:
			eachString(value.Message(), do)
		case field.Kind() == protoreflect.StringKind:
			do(field, value.String())
		}
		return true
	})
}

func TestEveryStationAndCommunityIsReal(t *testing.T) {
	l := theCity(t)
	for _, s := range l.stations {
		d, ok := divisions.Lookup(s.GetDivisionCode())
		if !ok || !d.IsStreet() || !divisions.Within(s.GetDivisionCode(), haikou.DivisionCode) || s.GetDisplayName() != d.Name+"社工站" {
			t.Errorf("%s %s is no street of Haikou", s.GetDivisionCode(), s.GetDisplayName())
		}
	}
	served := map[string]int{}
	for _, h := range l.households {
		served[h.GetCommunityId()]++
	}
	for _, c := range l.areas {
		if c.GetDivisionCode()[:9] != l.stations[c.GetStationId()].GetDivisionCode() {
			t.Errorf("%s %s does not lie in its street", c.GetDivisionCode(), c.GetDisplayName())
		}
		if strings.Contains(c.GetDisplayName(), "委") || served[c.GetId()] == 0 {
			t.Errorf("%s %s has %d households", c.GetDivisionCode(), c.GetDisplayName(), served[c.GetId()])
		}
	}
	if len(l.areas) != 159 {
		t.Errorf("%d communities, not the table's 159 of the 21 streets", len(l.areas))
	}
}

func TestEveryStationHasThreeWorkersOneOfThemTheHead(t *testing.T) {
	l := theCity(t)
	workers, heads := map[string]int{}, map[string]int{}
	for _, s := range l.staff {
		workers[s.GetStationId()]++
		heads[s.GetStationId()] += one(s.GetPosition() == registryv1.StaffPosition_STAFF_POSITION_HEAD)
	}
	for id, s := range l.stations {
		if workers[id] != 3 || heads[id] != 1 {
			t.Errorf("%s has %d workers, %d of them heads", s.GetDisplayName(), workers[id], heads[id])
		}
	}
}

func TestEveryWorkerMayWorkAtTheOwnStation(t *testing.T) {
	l := theCity(t)
	for _, s := range l.staff {
		want := "social_worker"
		if s.GetPosition() == registryv1.StaffPosition_STAFF_POSITION_HEAD {
			want = "station_head"
		}
		if g := l.granted[s.GetSubject()]; g.GetRole() != want || g.GetStationId() != s.GetStationId() {
			t.Errorf("%s %s is granted %v", s.GetPosition(), s.GetSubject(), g)
		}
	}
}

func TestEveryIdentityNumberIsValidAndGivenOnce(t *testing.T) {
	l := theCity(t)
	seen := map[string]bool{}
	check := func(number string) {
		t.Helper()
		if !validIdentityNumber(number) || number[:4] != "4601" || seen[number] {
			t.Errorf("identity number %s", number)
		}
		seen[number] = true
	}
	without := 0
	for _, r := range l.residents {
		if r.GetIdentityNumber() == "" {
			without++
			if r.GetNoIdentityReason() == "" {
				t.Errorf("%s has neither a number nor a reason", r.GetName())
			}
			continue
		}
		check(r.GetIdentityNumber())
		if got := r.GetIdentityNumber()[6:10] + "-" + r.GetIdentityNumber()[10:12] + "-" + r.GetIdentityNumber()[12:14]; got != r.GetBirthDate() {
			t.Errorf("born %s with the number %s", r.GetBirthDate(), r.GetIdentityNumber())
		}
		if odd := (r.GetIdentityNumber()[16]-'0')%2 == 1; odd != (r.GetSex() == registryv1.Sex_SEX_MALE) {
			t.Errorf("%s with the number %s", r.GetSex(), r.GetIdentityNumber())
		}
	}
	if without == 0 || without > len(l.residents)/20 {
		t.Errorf("%d of %d residents have no number", without, len(l.residents))
	}
	for _, v := range l.volunteers {
		if v.GetIdentityNumber() != "" {
			check(v.GetIdentityNumber())
		}
	}
}

// validIdentityNumber is GB 11643-1999 by its defining congruence: the sum of a_i × 2^(i-1) from the right, the check
// character counting as a_1, leaves 1 on division by 11.
func validIdentityNumber(number string) bool {
	if len(number) != 18 {
		return false
	}
	sum := 0
	for i, c := range number {
		digit := int(c - '0')
		if c == 'X' && i == 17 {
			digit = 10
		} else if c < '0' || c > '9' {
			return false
		}
		sum += digit * (1 << (17 - i) % 11)
	}
	return sum%11 == 1
}

func TestAChildHasAGuardianAndTheGuardiansConsent(t *testing.T) {
	l := theCity(t)
	children := 0
	for _, r := range l.residents {
		if r.GetBirthDate() > "2007-05-01" {
			children++
			if r.GetGuardian().GetResidentId() == "" || r.GetLegalBasis() != registryv1.LegalBasis_LEGAL_BASIS_GUARDIAN_CONSENT {
				t.Errorf("%s, born %s, has the guardian %v and the basis %s", r.GetName(), r.GetBirthDate(), r.GetGuardian(), r.GetLegalBasis())
			}
		}
	}
	if children < 100 {
		t.Errorf("only %d children", children)
	}
}

func TestBinjiangsNeedsCameThroughTheFourWays(t *testing.T) {
	l := theCity(t)
	ways := map[string]int{}
	for _, n := range l.needs {
		if l.stations[n.GetStationId()].GetDivisionCode() == haikou.Binjiang {
			ways[n.GetSource()]++
		}
	}
	if len(ways) != 4 || ways["community_publicity"] == 0 || ways["home_visit"] == 0 || ways["casework"] == 0 || ways["phone_call"] == 0 {
		t.Errorf("needs by source: %v", ways)
	}
}

func TestTheWorkIsNeitherUniformNorAbsurd(t *testing.T) {
	l := theCity(t)
	months, weekend, all := map[string]int{}, 0, 0
	for _, v := range l.visits {
		if v.GetState() == visitsv1.VisitState_VISIT_STATE_COMPLETED {
			months[v.GetVisitDate()[:7]]++
			all++
			weekend += one(isWeekend(v.GetVisitDate()))
		}
	}
	if weekend*5 > all {
		t.Errorf("%d of %d visits at weekends", weekend, all)
	}
	if months["2021-05"] >= months["2021-06"] || months["2021-08"] >= months["2021-09"] {
		t.Errorf("visits by month: %v", months)
	}
	for _, a := range l.activities {
		if a.GetAttendeeCount() > 450 {
			t.Errorf("%d people came to %s", a.GetAttendeeCount(), a.GetTitle())
		}
	}
	stages := map[string]int{}
	for _, c := range l.cases {
		stages[c.GetStage().String()]++
	}
	if stages["CASE_STAGE_CLOSURE"] < 10 || stages["CASE_STAGE_INTERVENTION"] < 3 || stages["CASE_STAGE_VOID"] == 0 {
		t.Errorf("cases by stage: %v", stages)
	}
	f := l.count("")
	if f.NeedsMet < f.Needs/4 || f.NeedsMet > f.Needs*3/4 {
		t.Errorf("%d of %d needs met", f.NeedsMet, f.Needs)
	}
	t.Logf("visits by month %v, cases by stage %v, %d residents", months, stages, len(l.residents))
}

func TestTongtongsStoryIsComplete(t *testing.T) {
	l := theCity(t)
	var story *casesv1.Case
	for _, c := range l.cases {
		if l.residents[c.GetResidentId()].GetName() == "童童" {
			story = c
		}
	}
	if story == nil {
		t.Fatal("no case of 童童")
	}
	home := l.households[story.GetHouseholdId()]
	if home.GetHeadName() != "卓阿婆" || l.areas[home.GetCommunityId()].GetDisplayName() != "博桂社区" || l.stations[story.GetStationId()].GetDivisionCode() != haikou.Binjiang {
		t.Errorf("the household is %v", home)
	}
	blind := 0
	for _, r := range l.residents {
		blind += one(r.GetHouseholdId() == home.GetId() && r.GetDisabilityType() == "visual" && r.GetDisabilityDegree() == 1)
	}
	need := l.needs[story.GetNeedIds()[0]]
	if blind != 2 || need.GetState() != registryv1.NeedState_NEED_STATE_MET || need.GetMetDate() >= "2021-09-01" {
		t.Errorf("%d parents with visual disability of degree 1; the need %v", blind, need)
	}
	organizations := map[string]bool{}
	for _, r := range l.referrals {
		if r.GetCaseId() == story.GetId() {
			organizations[r.GetOrganization()] = r.GetState() == casesv1.ReferralState_REFERRAL_STATE_COMPLETED
		}
	}
	if len(organizations) != 2 || !organizations["滨江街道办事处"] || !organizations["琼山区残疾人联合会"] {
		t.Errorf("referrals to %v", organizations)
	}
	if story.GetStage() != casesv1.CaseStage_CASE_STAGE_CLOSURE || story.GetEvaluation().GetSummary() == "" || !strings.Contains(story.GetEvaluation().GetReflection(), "夏令营") {
		t.Errorf("the case ended as %v", story)
	}
	var last *casesv1.FollowUp
	for _, f := range l.followUps {
		if f.GetCaseId() == story.GetId() && (last == nil || f.GetFollowUpDate() > last.GetFollowUpDate()) {
			last = f
		}
	}
	if last.GetFollowUpDate() != "2021-10-01" || l.staff[last.GetStaffId()].GetName() != "林婵" {
		t.Errorf("the last follow-up is %v", last)
	}
}

func TestTheLastStepIsWhatThePlanCreatesLast(t *testing.T) {
	plan := thePlan(t)
	var last proto.Message
	eachRequest(plan, func(r proto.Message) { last = r })
	if id := last.(*visitsv1.PlanVisitRequest).GetVisit().GetId(); id == "" || haikou.LastStep(haikou.DefaultSeed).GetId() != id {
		t.Errorf("the last step is %s, not %s", haikou.LastStep(haikou.DefaultSeed).GetId(), id)
	}
}

func isWeekend(date string) bool { return weekdayOf(date) == 0 || weekdayOf(date) == 6 }

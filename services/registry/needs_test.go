package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	registryv1 "circle15.dev/api/registry/v1"
	"circle15.dev/internal/civildate"
)

func (e *env) need(p place, changes ...func(*registryv1.Need)) *registryv1.Need {
	e.t.Helper()
	return must[*registryv1.Need](e.t)(e.CreateNeed(e.admin(), need(p, changes...)))
}

func need(p place, changes ...func(*registryv1.Need)) *registryv1.CreateNeedRequest {
	n := &registryv1.Need{
		HouseholdId: p.household.GetId(), ResidentId: p.resident.GetId(), StaffId: p.worker.GetId(), Domain: "child_welfare",
		Source: "home_visit", Description: "a place at school", RecordedDate: "2021-06-10",
	}
	for _, change := range changes {
		change(n)
	}
	return &registryv1.CreateNeedRequest{Need: n}
}

// counted is a fact of the need, and undone its reversal.
func counted(p place, measure, day, domain string) fact {
	return fact{Measure: measure, Date: day, Station: p.station.GetId(), Staff: p.worker.GetId(), Domain: domain, Amount: 1}
}

func undone(f fact) fact {
	f.Amount, f.Reversal = -f.Amount, true
	return f
}

func TestANeedIsCountedAsItIsMetReopenedAndVoided(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	n := e.need(p)
	recorded, met := counted(p, "need", "2021-06-10", "child_welfare"), counted(p, "need_met", "2021-08-30", "child_welfare")
	want := []fact{recorded}
	check := func(step string, reply *registryv1.Need, state registryv1.NeedState, more ...fact) {
		t.Helper()
		want = append(want, more...)
		if diff := cmp.Diff(want, e.facts(n.GetId())); diff != "" {
			t.Fatalf("%s: %s", step, diff)
		}
		if reply.GetState() != state {
			t.Fatalf("%s: %v", step, reply.GetState())
		}
	}
	check("recorded", n, registryv1.NeedState_NEED_STATE_OPEN)

	meet := &registryv1.MeetNeedRequest{Id: n.GetId(), MetDate: "2021-08-30", Outcome: "琼山第九小学", Etag: n.GetEtag()}
	reply := must[*registryv1.Need](t)(e.MeetNeed(e.admin(), meet))
	check("met", reply, registryv1.NeedState_NEED_STATE_MET, met)
	if reply.GetMetDate() != "2021-08-30" || reply.GetOutcome() != "琼山第九小学" {
		t.Errorf("met as %v", reply)
	}
	meet.Etag = ""
	_, err := e.MeetNeed(e.admin(), meet)
	refused(t, "met again", err, codes.Aborted, "")
	meet.Etag = n.GetEtag()
	_, err = e.MeetNeed(e.admin(), meet)
	refused(t, "met on an old etag", err, codes.FailedPrecondition, "etag")

	reply = must[*registryv1.Need](t)(e.ReopenNeed(e.admin(), &registryv1.ReopenNeedRequest{Id: n.GetId(), Reason: "the place was lost"}))
	check("reopened", reply, registryv1.NeedState_NEED_STATE_OPEN, undone(met))
	if reply.GetMetDate() != "" || reply.GetOutcome() != "" || reply.GetReopenReason() != "the place was lost" {
		t.Errorf("reopened as %v", reply)
	}
	_, err = e.ReopenNeed(e.admin(), &registryv1.ReopenNeedRequest{Id: n.GetId(), Reason: "again"})
	refused(t, "reopened while open", err, codes.Aborted, "")

	must[*registryv1.Need](t)(e.MeetNeed(e.admin(), &registryv1.MeetNeedRequest{Id: n.GetId(), MetDate: "2021-08-30", Outcome: "a place"}))
	reply = must[*registryv1.Need](t)(e.UpdateNeed(e.admin(), &registryv1.UpdateNeedRequest{
		Need: &registryv1.Need{Id: n.GetId(), Domain: "social_assistance", Description: "fees"},
	}))
	recorded2, met2 := recorded, met
	recorded2.Domain, met2.Domain = "social_assistance", "social_assistance"
	check("another domain", reply, registryv1.NeedState_NEED_STATE_MET, met, undone(recorded), undone(met), recorded2, met2)

	reply = must[*registryv1.Need](t)(e.UpdateNeed(e.admin(), &registryv1.UpdateNeedRequest{
		Need: &registryv1.Need{Id: n.GetId(), Description: "school fees"},
	}))
	check("another description", reply, registryv1.NeedState_NEED_STATE_MET)

	reply = must[*registryv1.Need](t)(e.VoidNeed(e.admin(), &registryv1.VoidNeedRequest{Id: n.GetId(), Reason: "recorded twice"}))
	check("void", reply, registryv1.NeedState_NEED_STATE_VOID, undone(recorded2), undone(met2))
	_, err = e.VoidNeed(e.admin(), &registryv1.VoidNeedRequest{Id: n.GetId(), Reason: "again"})
	refused(t, "void again", err, codes.Aborted, "")
	_, err = e.UpdateNeed(e.admin(), &registryv1.UpdateNeedRequest{Need: &registryv1.Need{Id: n.GetId(), Description: "late"}})
	refused(t, "changed while void", err, codes.Aborted, "")
}

func TestANeedNamesWhatBelongsTogether(t *testing.T) {
	e := newEnv(t)
	p, other := e.place(township), e.place("460107001")
	neighbour := e.resident(e.household(p.community))
	tomorrow := civildate.Format(civildate.Today().AddDate(0, 0, 1))
	for name, tt := range map[string]struct {
		change func(*registryv1.Need)
		field  string
	}{
		"no such household":           {func(n *registryv1.Need) { n.HouseholdId = newID() }, "need.householdId"},
		"a resident next door":        {func(n *registryv1.Need) { n.ResidentId = neighbour.GetId() }, "need.residentId"},
		"no such resident":            {func(n *registryv1.Need) { n.ResidentId = newID() }, "need.residentId"},
		"a worker of another station": {func(n *registryv1.Need) { n.StaffId = other.worker.GetId() }, "need.staffId"},
		"no such worker":              {func(n *registryv1.Need) { n.StaffId = newID() }, "need.staffId"},
		"the nil worker":              {func(n *registryv1.Need) { n.StaffId = "00000000-0000-0000-0000-000000000000" }, "need.staffId"},
		"before the worker came":      {func(n *registryv1.Need) { n.RecordedDate = "2021-04-30" }, "need.staffId"},
		"no such visit":               {func(n *registryv1.Need) { n.VisitId = newID() }, "need.visitId"},
		"an unknown domain":           {func(n *registryv1.Need) { n.Domain = "sports" }, "need.domain"},
		"an unknown source":           {func(n *registryv1.Need) { n.Source = "rumour" }, "need.source"},
		"tomorrow":                    {func(n *registryv1.Need) { n.RecordedDate = tomorrow }, "need.recordedDate"},
		"no description":              {func(n *registryv1.Need) { n.Description = "" }, "need.description"},
	} {
		_, err := e.CreateNeed(e.admin(), need(p, tt.change))
		refused(t, name, err, codes.InvalidArgument, tt.field)
	}
	_, err := e.CreateNeed(e.at(other.station.GetId()), need(p))
	refused(t, "a household of another station", err, codes.InvalidArgument, "need.householdId")
	_, err = e.MeetNeed(e.admin(), &registryv1.MeetNeedRequest{Id: e.need(p).GetId(), MetDate: "2021-06-09", Outcome: "done"})
	refused(t, "met before recorded", err, codes.InvalidArgument, "metDate")
	whole := e.need(p, func(n *registryv1.Need) { n.ResidentId = "" })
	if whole.GetResidentId() != "" {
		t.Errorf("a need of the household is that of %s", whole.GetResidentId())
	}
	if n := e.count(`SELECT sum(amount) FROM {tenant}.service_facts WHERE measure = 'need'`); n != 2 {
		t.Errorf("%d needs were counted, want the 2 that were recorded", n)
	}
}

func TestADayOfANeedIsCorrectedAndItsFigureMoves(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	n := e.need(p)
	recordOn := func(day string) error {
		_, err := e.UpdateNeed(e.admin(), &registryv1.UpdateNeedRequest{Need: &registryv1.Need{Id: n.GetId(), RecordedDate: day}})
		return err
	}
	must[*registryv1.Need](t)(e.MeetNeed(e.admin(), &registryv1.MeetNeedRequest{Id: n.GetId(), MetDate: "2021-08-30", Outcome: "done"}))
	recorded, met := counted(p, "need", "2021-06-10", "child_welfare"), counted(p, "need_met", "2021-08-30", "child_welfare")
	refused(t, "after it was met", recordOn("2021-08-31"), codes.InvalidArgument, "need.recordedDate")
	refused(t, "before the worker came", recordOn("2021-04-30"), codes.InvalidArgument, "need.staffId")
	refused(t, "tomorrow", recordOn(civildate.Format(civildate.Today().AddDate(0, 0, 1))), codes.InvalidArgument, "need.recordedDate")
	if err := recordOn("2021-05-10"); err != nil {
		t.Fatal(err)
	}
	right := recorded
	right.Date = "2021-05-10"
	want := []fact{recorded, met, undone(recorded), undone(met), right, met}
	if diff := cmp.Diff(want, e.facts(n.GetId())); diff != "" {
		t.Error(diff)
	}
}

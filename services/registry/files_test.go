package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	registryv1 "circle15.dev/api/registry/v1"
)

func file(p place, category string) *registryv1.CreateServiceFileRequest {
	return &registryv1.CreateServiceFileRequest{ServiceFile: &registryv1.ServiceFile{
		ResidentId: p.resident.GetId(), StaffId: p.worker.GetId(), Category: category, Domain: "elderly_services", BuiltDate: "2021-07-01",
	}}
}

func TestAResidentHasOneActiveFileOfACategory(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	first := must[*registryv1.ServiceFile](t)(e.CreateServiceFile(e.admin(), file(p, "very_old")))
	if first.GetHouseholdId() != p.household.GetId() || first.GetStationId() != p.station.GetId() {
		t.Errorf("built as %v", first)
	}
	_, err := e.CreateServiceFile(e.admin(), file(p, "very_old"))
	refused(t, "a second", err, codes.AlreadyExists, "serviceFile.category")
	second := must[*registryv1.ServiceFile](t)(e.CreateServiceFile(e.admin(), file(p, "minimum_living_allowance")))
	_, err = e.UpdateServiceFile(e.admin(), &registryv1.UpdateServiceFileRequest{
		ServiceFile: &registryv1.ServiceFile{Id: second.GetId(), Category: "very_old"},
	})
	refused(t, "classified as a second", err, codes.AlreadyExists, "serviceFile.category")
	must[*registryv1.ServiceFile](t)(e.VoidServiceFile(e.admin(), &registryv1.VoidServiceFileRequest{Id: first.GetId(), Reason: "twice"}))
	must[*registryv1.ServiceFile](t)(e.CreateServiceFile(e.admin(), file(p, "very_old")))
	_, err = e.CreateServiceFile(e.admin(), file(p, "child_welfare"))
	refused(t, "a domain for a category", err, codes.InvalidArgument, "serviceFile.category")
}

func TestAFileIsCountedUntilItIsVoid(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	f := must[*registryv1.ServiceFile](t)(e.CreateServiceFile(e.admin(), file(p, "very_old")))
	built := counted(p, "file", "2021-07-01", "elderly_services")
	want := []fact{built}
	check := func(step string, more ...fact) {
		t.Helper()
		want = append(want, more...)
		if diff := cmp.Diff(want, e.facts(f.GetId())); diff != "" {
			t.Fatalf("%s: %s", step, diff)
		}
	}
	check("built")

	colleague := e.worker(p.station)
	update := func(change *registryv1.ServiceFile) {
		t.Helper()
		change.Id = f.GetId()
		must[*registryv1.ServiceFile](t)(e.UpdateServiceFile(e.admin(), &registryv1.UpdateServiceFileRequest{ServiceFile: change}))
	}
	update(&registryv1.ServiceFile{Summary: "lives alone"})
	check("another summary")
	update(&registryv1.ServiceFile{StaffId: colleague.GetId()})
	theirs := built
	theirs.Staff = colleague.GetId()
	check("another worker", undone(built), theirs)

	void := &registryv1.VoidServiceFileRequest{Id: f.GetId(), Reason: "by mistake"}
	reply := must[*registryv1.ServiceFile](t)(e.VoidServiceFile(e.admin(), void))
	check("void", undone(theirs))
	if reply.GetState() != registryv1.ServiceFileState_SERVICE_FILE_STATE_VOID || reply.GetVoidReason() != "by mistake" {
		t.Errorf("void as %v", reply)
	}
	_, err := e.VoidServiceFile(e.admin(), void)
	refused(t, "void again", err, codes.Aborted, "")
	_, err = e.UpdateServiceFile(e.admin(), &registryv1.UpdateServiceFileRequest{
		ServiceFile: &registryv1.ServiceFile{Id: f.GetId(), Summary: "late"},
	})
	refused(t, "changed while void", err, codes.Aborted, "")
}

func TestADayOfAFileIsCorrectedAndItsFigureMoves(t *testing.T) {
	e := newEnv(t)
	p := e.place(township)
	f := must[*registryv1.ServiceFile](t)(e.CreateServiceFile(e.admin(), file(p, "very_old")))
	buildOn := func(day string) error {
		_, err := e.UpdateServiceFile(e.admin(), &registryv1.UpdateServiceFileRequest{
			ServiceFile: &registryv1.ServiceFile{Id: f.GetId(), BuiltDate: day},
		})
		return err
	}
	refused(t, "before the worker came", buildOn("2021-04-30"), codes.InvalidArgument, "serviceFile.staffId")
	refused(t, "no day", buildOn("2021-02-30"), codes.InvalidArgument, "serviceFile.builtDate")
	if err := buildOn("2021-06-01"); err != nil {
		t.Fatal(err)
	}
	built := counted(p, "file", "2021-07-01", "elderly_services")
	right := built
	right.Date = "2021-06-01"
	if diff := cmp.Diff([]fact{built, undone(built), right}, e.facts(f.GetId())); diff != "" {
		t.Error(diff)
	}
}

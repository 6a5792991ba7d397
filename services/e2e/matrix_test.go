package e2e_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	visitsv1 "circle15.dev/api/visits/v1"
)

// TestEveryRoleReachesWhatItShould calls every RPC as every standard role about records of the own station, of another
// station and of another tenant, and in another tenant. What must come out is in testdata/authorization.txt.
func TestEveryRoleReachesWhatItShould(t *testing.T) {
	table := readAuthorization(t)
	w := newWorld(t)
	w.employ(t, subjectOf, table.roles, table.stationRoles())
	m := &matrix{
		w: w, table: table, reader: readerOf(t, w.tenant, w.stranger), callers: w.callersOf(t, table.roles), promises: readPromises(t),
	}

	names := map[string]bool{}
	for _, name := range rpcNames() {
		names[name] = true
		t.Run(name, func(t *testing.T) { m.check(t, name) })
	}
	for name := range table.levels {
		if !names[name] {
			t.Errorf("authorization.txt has a row for %s, which is no RPC", name)
		}
	}
}

func subjectOf(role string) string { return "some-" + role }

// rpcNames are all RPCs of the linked services, as registry.GetStation.
func rpcNames() []string {
	found := rpcs()
	names := make([]string, 0, len(found))
	for _, rpc := range found {
		names = append(names, nameOf(rpc))
	}
	return names
}

func rpcs() []protoreflect.MethodDescriptor {
	var found []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(file.Package()), "circle15.") {
			for i := range file.Services().Len() {
				methods := file.Services().Get(i).Methods()
				for j := range methods.Len() {
					found = append(found, methods.Get(j))
				}
			}
		}
		return true
	})
	// In the order of their files: a record is deleted after it was read.
	slices.SortStableFunc(found, func(a, b protoreflect.MethodDescriptor) int {
		return strings.Compare(string(a.Parent().FullName()), string(b.Parent().FullName()))
	})
	return found
}

func nameOf(rpc protoreflect.MethodDescriptor) string {
	return strings.Split(string(rpc.FullName()), ".")[1] + "." + string(rpc.Name())
}

// level is how far a role reaches, as authorization.txt writes it.
type level string

const (
	theTenant    level = "T"
	theStations  level = "S"
	ownRecords   level = "O"
	sums         level = "A"
	nothing      level = "."
	forEveryone  level = "E"
	tableOfRoles       = "testdata/authorization.txt"
)

// authorization is what authorization.txt says.
type authorization struct {
	roles  []string
	levels map[string][]level // by RPC, in the order of the roles
}

var (
	roleLine = regexp.MustCompile(`^[ |]*\+ ([a-z_]+)$`)
	rpcLine  = regexp.MustCompile(`^([a-z]+\.[A-Za-z]+) +((?:[TSOA.E] )*[TSOA.E])$`)
)

func readAuthorization(t *testing.T) authorization {
	t.Helper()
	text, err := os.ReadFile(tableOfRoles)
	if err != nil {
		t.Fatal(err)
	}
	table := authorization{levels: map[string][]level{}}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if role := roleLine.FindStringSubmatch(line); role != nil {
			table.roles = append(table.roles, role[1])
			continue
		}
		row := rpcLine.FindStringSubmatch(line)
		if row == nil {
			t.Fatalf("authorization.txt: %q", line)
		}
		for cell := range strings.SplitSeq(row[2], " ") {
			table.levels[row[1]] = append(table.levels[row[1]], level(cell))
		}
	}
	return table
}

// stationRoles are the roles that are granted for a station.
func (a authorization) stationRoles() map[string]bool {
	found := map[string]bool{}
	for _, levels := range a.levels {
		for i, l := range levels {
			if l == theStations || l == ownRecords {
				found[a.roles[i]] = true
			}
		}
	}
	return found
}

// where a request goes, seen from the caller.
type where string

const (
	ownRecord     where = "a record of its own"
	ownStation    where = "a record of its station"
	otherStation  where = "a record of another station"
	foreignRecord where = "a record of another tenant"
	foreignTenant where = "a record of another tenant, in that tenant"
)

// outcome is what a caller sees of it.
type outcome string

const (
	allowed outcome = "allowed" // it was done, or cannot be in the record's state
	hidden  outcome = "hidden"  // as if the record were not there
	denied  outcome = "denied"
)

// wanted is the outcome for a level. A request about no record meets none that is hidden.
func (l level) wanted(at where, anywhere bool) outcome {
	switch {
	case l == forEveryone:
		return allowed
	case l == nothing, at == foreignTenant:
		return denied
	case anywhere:
		return allowed
	case at == foreignRecord:
		return hidden
	case l == theTenant, l == sums, at == ownRecord:
		return allowed
	case at == otherStation, l == ownRecords:
		return hidden
	default:
		return allowed
	}
}

// principal is a subject at both doors, in its tenant and in the other.
type principal struct{ home, homeREST, abroad caller }

func (w *world) callersOf(t *testing.T, roles []string) map[string]principal {
	t.Helper()
	callers := map[string]principal{}
	for _, role := range roles {
		callers[role] = principal{
			home: overGRPC(t, w.p, subjectOf(role), w.tenant), homeREST: overREST(t, w.p, subjectOf(role), w.tenant),
			// The token names both tenants, so that it is the missing role that counts.
			abroad: overGRPC(t, w.p, subjectOf(role), w.stranger, w.tenant),
		}
	}
	return callers
}

type matrix struct {
	w       *world
	table   authorization
	reader  *contentReader
	callers map[string]principal
	cells   int
	promises
}

// cell is one call of the matrix.
type cell struct {
	role    string
	at      where
	want    outcome
	caller  caller
	request proto.Message
	holds   string
}

const restEvery = 5 // every fifth call goes through the REST door, the others through gRPC's

func (m *matrix) check(t *testing.T, rpc string) {
	levels, ok := m.table.levels[rpc]
	if !ok || len(levels) != len(m.table.roles) {
		t.Fatalf("testdata/authorization.txt has %d cells for %s, and there are %d roles", len(levels), rpc, len(m.table.roles))
	}
	example, ok := samples[rpc]
	if !ok {
		t.Fatalf("samples has no request for %s", rpc)
	}
	cells := m.cellsOf(t, rpc, example, levels)
	before := m.reader.read(t)
	for _, c := range cells {
		if c.want != allowed {
			m.try(t, rpc, c)
		}
	}
	if changed := m.reader.changed(t, before); len(changed) > 0 {
		t.Errorf("refused calls changed %s", strings.Join(changed, "; "))
	}
	done := false
	for _, c := range cells {
		if c.want == allowed {
			done = m.try(t, rpc, c) == nil || done
		}
	}
	if !done {
		t.Error("no call succeeded: the sample is not a good one, or nobody can do this")
	}
}

func (m *matrix) cellsOf(t *testing.T, rpc string, example sample, levels []level) []cell {
	t.Helper()
	var cells []cell
	for i, l := range levels {
		who := m.callers[m.table.roles[i]]
		places := map[where]*place{
			ownStation: m.w.own, otherStation: m.w.other, foreignRecord: m.w.foreign, foreignTenant: m.w.foreign,
		}
		if l == ownRecords {
			own := *m.w.own
			if mine[rpc] == nil {
				t.Fatalf("mine says nothing about %s", rpc)
			}
			mine[rpc](t, &own, who.home)
			places[ownRecord] = &own
		}
		for _, at := range []where{ownRecord, ownStation, otherStation, foreignRecord, foreignTenant} {
			if places[at] == nil {
				continue
			}
			c := cell{role: m.table.roles[i], at: at, want: l.wanted(at, example.anywhere), request: example.about(places[at])}
			if example.holds != nil {
				c.holds = example.holds(places[at])
			}
			c.caller = who.home
			if m.cells++; m.cells%restEvery == 0 {
				c.caller = who.homeREST
			}
			if at == foreignTenant {
				c.caller = who.abroad
			}
			cells = append(cells, c)
		}
	}
	return cells
}

// try makes the call and compares its outcome.
func (m *matrix) try(t *testing.T, rpc string, c cell) error {
	t.Helper()
	reply := replyTo(t, c.request)
	err := c.caller.call(t.Context(), c.request, reply)
	if kind, _ := refusalOf(err); kind != "" {
		m.keep(t, rpc, c.role+", "+string(c.at), kind)
	}
	if got := outcomeOf(c, reply, err); got != c.want {
		t.Errorf("%s, %s: is %s, want %s (%v)", c.role, c.at, got, c.want, err)
	}
	return err
}

func outcomeOf(c cell, reply proto.Message, err error) outcome {
	if err == nil {
		return seen(c, reply)
	}
	kind, fields := refusalOf(err)
	return outcomeOfRefusal(kind, fields)
}

func outcomeOfRefusal(kind, fields string) outcome {
	switch {
	case kind == "PERMISSION_DENIED":
		return denied
	case kind == "NOT_FOUND", kind == "INVALID_ARGUMENT" && references(fields):
		return hidden
	case kind == "CONFLICT", kind == "ALREADY_EXISTS":
		return allowed
	default:
		return outcome("refused as " + kind + " " + fields)
	}
}

// references says whether all the fields name other records.
func references(fields string) bool {
	for field := range strings.FieldsSeq(fields) {
		if !strings.HasSuffix(field, "Id") {
			return false
		}
	}
	return fields != ""
}

// seen is the outcome of a call that succeeded: a list may have left the records out, a batch may have refused them.
func seen(c cell, reply proto.Message) outcome {
	if sync, ok := reply.(*visitsv1.SyncVisitsResponse); ok {
		failure := sync.GetResults()[0].GetError()
		if failure == nil {
			return allowed
		}
		fields := ""
		for _, f := range failure.GetFields() {
			fields += f.GetField() + " "
		}
		return outcomeOfRefusal(failure.GetReason(), fields)
	}
	if c.holds == "" || holds(reply.ProtoReflect(), c.holds) {
		return allowed
	}
	return hidden
}

// holds says whether the text is a value of the message or of one within it.
func holds(m protoreflect.Message, text string) bool {
	found := false
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if !field.IsList() {
			found = isOrHolds(field, value, text)
			return !found
		}
		for i := range value.List().Len() {
			found = found || isOrHolds(field, value.List().Get(i), text)
		}
		return !found
	})
	return found
}

func isOrHolds(field protoreflect.FieldDescriptor, value protoreflect.Value, text string) bool {
	if field.Kind() == protoreflect.MessageKind {
		return holds(value.Message(), text)
	}
	return field.Kind() == protoreflect.StringKind && value.String() == text
}

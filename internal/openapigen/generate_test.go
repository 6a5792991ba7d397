package main

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "circle15.dev/api/options/v1"
	registryv1 "circle15.dev/api/registry/v1"
)

// getNeed is the operation of GetNeed with the comment.
func getNeed(comment, resource, action string) *operation {
	rpc := registryv1.File_circle15_registry_v1_registry_proto.Services().Get(0).Methods().ByName("GetNeed")
	return &operation{
		rpc: rpc, rule: &optionsv1.Authorization{Resource: resource, Action: action}, verb: "get", path: "/v1/needs/{id}",
		node: object("summary", comment), reads: true,
	}
}

func TestACommentBecomesADescriptionThatNamesThePermission(t *testing.T) {
	got, err := getNeed("Returns a need.\nErrors: NOT_FOUND (absent\nor elsewhere), CONFLICT.\nPermission: needs:get.", "needs", "get").prose()
	if err != nil {
		t.Fatal(err)
	}
	if got.summary != "Get need" || got.description != "Returns a need.\n\nPermission: `needs:get`.\n\nErrors: NOT_FOUND (absent or elsewhere), CONFLICT." {
		t.Errorf("%+v", got)
	}
	if strings.Join(got.kinds, " ") != "NOT_FOUND CONFLICT" {
		t.Errorf("kinds %v", got.kinds)
	}
}

func TestACommentThatContradictsTheRuleIsRefused(t *testing.T) {
	if _, err := getNeed("Returns a need.\nPermission: needs:list.", "needs", "get").prose(); err == nil {
		t.Error("the comment says needs:list, the rule needs:get")
	}
}

func TestAnErrorThatTheAPIDoesNotHaveIsRefused(t *testing.T) {
	o := getNeed("", "needs", "get")
	set(o.node, "responses", object("200", object("content", object("application/json", object()))))
	if err := o.finishResponses([]string{"NO_SUCH_KIND"}); err == nil {
		t.Error("NO_SUCH_KIND was taken")
	}
}

func TestEveryExampleOfARequestPassesTheValidation(t *testing.T) {
	examples := 0
	for _, service := range services() {
		methods := service.Methods()
		for i := range methods.Len() {
			o := &operation{rpc: methods.Get(i), body: "*", verb: "post"}
			if o.rpc.Input().Fields().ByName(protoreflect.Name("page_size")) != nil {
				continue // a list has no body
			}
			if _, err := o.bodyExample(); err != nil {
				t.Errorf("%s: %v", o.rpc.FullName(), err)
			}
			examples++
		}
	}
	if examples < 40 {
		t.Errorf("%d examples", examples)
	}
}

func TestAnExamplesIDIsAUUIDv7AndAlwaysTheSame(t *testing.T) {
	if a, b := idOf("station"), idOf("station"); a != b || len(a) != 36 || a[14] != '7' || a == idOf("case") {
		t.Errorf("%s, %s", a, b)
	}
}

// Package patch applies the field mask of an update (AIP-134) to a resource.
package patch

import (
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/validate"
)

// Apply copies the fields that the mask names from update to current. An empty mask or "*" names every field that
// update sets. Fields that only the server sets (OUTPUT_ONLY, id, etag) are passed over, as AIP-203 asks; an
// IMMUTABLE field that would change (not only in the spelling of an id), and a path that names no field, are Invalid. Only
// whole top-level fields are replaced; a path into a message replaces the leaf alone. field is the resource's JSON path in
// the request, which goes before the names of its fields in an error.
//
// What results is checked against the rules of the contract, as a created resource would be.
func Apply[T proto.Message](field string, current, update T, mask *fieldmaskpb.FieldMask) error {
	paths := mask.GetPaths()
	if len(paths) == 0 || (len(paths) == 1 && paths[0] == "*") {
		paths = nil
		update.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			paths = append(paths, string(f.Name()))
			return true
		})
	}
	for _, path := range paths {
		if !(&fieldmaskpb.FieldMask{Paths: []string{path}}).IsValid(current) {
			return apierr.InvalidField("updateMask", "names no field: %q", path)
		}
		if err := copyPath(field, current.ProtoReflect(), update.ProtoReflect(), path); err != nil {
			return err
		}
	}
	return validate.Message(field, current)
}

func copyPath(at string, to, from protoreflect.Message, path string) error {
	name, rest, _ := strings.Cut(path, ".")
	field := to.Descriptor().Fields().ByName(protoreflect.Name(name))
	behavior := behaviorOf(field)
	switch {
	case name == "id", name == "etag", behavior[annotations.FieldBehavior_OUTPUT_ONLY], sameID(field, to, from):
		return nil
	case behavior[annotations.FieldBehavior_IMMUTABLE] && !to.Get(field).Equal(from.Get(field)):
		return apierr.InvalidField(at+"."+field.JSONName(), "cannot be changed after creation")
	case rest != "" && (from.Has(field) || to.Has(field)):
		return copyPath(at+"."+field.JSONName(), to.Mutable(field).Message(), from.Get(field).Message(), rest)
	case rest != "":
		return nil
	case from.Has(field):
		to.Set(field, from.Get(field))
	default:
		to.Clear(field)
	}
	return nil
}

// sameID says whether the field holds one id in both messages, in whichever spelling: RFC 9562 reads capitals as well.
func sameID(field protoreflect.FieldDescriptor, a, b protoreflect.Message) bool {
	if field.Kind() != protoreflect.StringKind || field.IsList() {
		return false
	}
	x, err := ids.Parse(field.JSONName(), a.Get(field).String())
	if err != nil {
		return false
	}
	y, err := ids.Parse(field.JSONName(), b.Get(field).String())
	return err == nil && x == y
}

func behaviorOf(field protoreflect.FieldDescriptor) map[annotations.FieldBehavior]bool {
	options, ok := field.Options().(*descriptorpb.FieldOptions)
	if !ok {
		return nil
	}
	set := map[annotations.FieldBehavior]bool{}
	for _, b := range proto.GetExtension(options, annotations.E_FieldBehavior).([]annotations.FieldBehavior) {
		set[b] = true
	}
	return set
}

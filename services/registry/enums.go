package registry

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	registryv1 "circle15.dev/api/registry/v1"
)

// enumText turns values of an enum of the contract into the texts of the database and back: STAFF_POSITION_HEAD is
// HEAD. The unspecified value is the empty text.
type enumText[E interface {
	~int32
	protoreflect.Enum
}] struct{ prefix string }

var (
	positions  = enumText[registryv1.StaffPosition]{"STAFF_POSITION_"}
	sexes      = enumText[registryv1.Sex]{"SEX_"}
	bases      = enumText[registryv1.LegalBasis]{"LEGAL_BASIS_"}
	needStates = enumText[registryv1.NeedState]{"NEED_STATE_"}
	fileStates = enumText[registryv1.ServiceFileState]{"SERVICE_FILE_STATE_"}
	teamStates = enumText[registryv1.VolunteerTeamState]{"VOLUNTEER_TEAM_STATE_"}

	volunteerStates = enumText[registryv1.VolunteerState]{"VOLUNTEER_STATE_"}
)

func (t enumText[E]) text(value E) string {
	known := value.Descriptor().Values().ByNumber(protoreflect.EnumNumber(value))
	if value == 0 || known == nil {
		return ""
	}
	return strings.TrimPrefix(string(known.Name()), t.prefix)
}

func (t enumText[E]) value(text string) E {
	known := E(0).Descriptor().Values().ByName(protoreflect.Name(t.prefix + text))
	if known == nil {
		return 0
	}
	return E(known.Number())
}

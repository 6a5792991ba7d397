package main

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// sampleTime is when everything happens in the examples.
var sampleTime = time.Date(2021, 5, 12, 1, 30, 0, 0, time.UTC).Unix()

// texts are the values of string fields in the examples, by message and field or by field alone. The people are made
// up, like the identity number, whose check digit is right (GB 11643).
var texts = map[string]string{
	"Station.display_name":       "滨江街道社工站",
	"Staff.name":                 "李晓燕",
	"Staff.title":                "助理社会工作师",
	"Community.display_name":     "滨江社区",
	"Volunteer.name":             "符志强",
	"VolunteerTeam.display_name": "滨江银龄互助队",
	"Resident.name":              "陈阿婆",
	"Guardian.name":              "陈国华",
	"Guardian.relationship":      "父亲",
	"Activity.title":             "端午敬老活动",
	"Group.title":                "银龄手机课堂",
	"Role.name":                  "station_reader",
	"RoleGrant.role":             "social_worker",
	"Permission.resource":        "households",
	"Permission.action":          "list",
	"Rule.resource":              "households",
	"Rule.action":                "list",
	"GetRoleRequest.name":        "station_reader",
	"DeleteRoleRequest.name":     "station_reader",
	"Community.division_code":    "460107003001",
	"StandardList.name":          "domains",
	"StandardCode.code":          "elderly",
	"StandardCode.label_zh":      "老年人服务",
	"StandardCode.label_en":      "Services for the elderly",
	"AuditEvent.method":          "/circle15.registry.v1.RegistryService/CreateNeed",
	"AuditEvent.outcome":         "OK",
	"AuditEvent.resource":        "needs",
	"AuditEvent.action":          "create",
	"SourceRow.source_type":      "visits",
	"Standards.version":          "1",
	"SyncFieldError.field":       "visitDate",

	"ListCommunitiesRequest.division_code": "460107003001",
	"WorkGroup.division_code":              "460107003",

	"address":                "滨江街道滨江路 12 号",
	"assessment":             "独居，腿脚不便，子女在外地。",
	"assistance_tier":        "minimum_living",
	"categories":             "elderly_alone",
	"category":               "elderly_alone",
	"closure_reason":         "目标达成",
	"created_by":             "worker-1",
	"description":            "希望有人定期陪同就医。",
	"disability_type":        "physical",
	"display_name":           "滨江",
	"division_code":          "460107003",
	"domain":                 "elderly",
	"etag":                   `"3"`,
	"finding":                "精神尚好，血压偏高。",
	"findings":               "精神尚好，血压偏高。",
	"goal_attainment":        "完全达成",
	"goals":                  "建立邻里支持，定期就医。",
	"head_name":              "王桂英",
	"identity_number":        "460100194512030027",
	"label_en":               "Elderly",
	"label_zh":               "老年人",
	"legal_basis_reference":  "社会救助暂行办法",
	"location":               "滨江社区活动室",
	"masked_identity_number": "460100********0027",
	"measure":                "homeVisits",
	"message":                "is required",
	"month":                  "2021-05",
	"name":                   "王桂英",
	"next_steps":             "下周陪同就医。",
	"no_identity_reason":     "证件补办中",
	"note":                   "家中有一只小狗。",
	"organization":           "海口市人民医院",
	"outcome":                "已联系志愿者，每周陪同一次。",
	"pack":                   "cn-2021",
	"position_since":         "2021-05-12",
	"phone":                  "0898-60000000",
	"plan":                   "每月探访一次，联系志愿者结对。",
	"presenting_problem":     "独居老人就医困难。",
	"purpose":                "了解近况",
	"reason":                 "录入有误",
	"record":                 "与服务对象面谈四十分钟，商定探访安排。",
	"reflection":             "邻里资源仍可进一步挖掘。",
	"relationship":           "邻居",
	"reopen_reason":          "情况有变",
	"resource":               "households",
	"role":                   "social_worker",
	"skills":                 "急救",
	"source":                 "home_visit",
	"source_path":            "/v1/visits/" + idOf("visit"),
	"station_name":           "滨江街道社工站",
	"subject":                "worker-1",
	"summary":                "服务目标达成，老人生活得到改善。",
	"tenant":                 "haikou",
	"theme":                  "端午",
	"title":                  "端午敬老活动",
	"title_en":               "Social worker",
	"title_zh":               "社会工作者",
	"trace_id":               "4bf92f3577b34da6a3ce929d0e0e4736",
	"unit_en":                "visits",
	"unit_zh":                "户次",
	"version":                "1",
	"void_reason":            "",
	"next_page_token":        "",
	"from":                   "2021-05-01",
	"to":                     "2021-10-01",
	"birth_date":             "1945-12-03",
	"group_by":               "station",
	"opened_date":            "2021-05-01",
	"closed_date":            "",
	"dissolved_date":         "",
	"withdrawn_date":         "",
	"ended_date":             "",
	"end_date":               "",
	"follow_up_of":           "",
	"planned_on_or_before":   "2021-05-31",
}

// unusual are the fields that the examples leave out: those that stand for a special case or exclude another field.
var unusual = []string{
	"Resident.no_identity_reason", "Resident.disability_type", "Resident.disability_degree", "Resident.guardian",
	"Need.void_reason", "Need.reopen_reason", "ServiceFile.void_reason", "VolunteerTeam.void_reason", "Volunteer.void_reason",
	"Visit.void_reason", "Visit.follow_up_of", "Case.void_reason", "Activity.void_reason",
	"SyncResult.error",
}

// sample is the example's value of a field that is no message; false where an example does without.
func sample(field protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	switch field.Kind() {
	case protoreflect.StringKind:
		s, ok := sampleText(field)
		return protoreflect.ValueOfString(s), ok && s != ""
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(field.Enum().Values().Get(min(1, field.Enum().Values().Len()-1)).Number()), true
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(field.Name() != "reversal"), true
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(sampleNumber(field)), true
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(120000), true
	default:
		return protoreflect.Value{}, false
	}
}

var numbers = map[protoreflect.Name]int32{
	"duration_minutes": 40, "persons_served": 2, "attendee_count": 36, "page_size": 50, "amount": 1, "number": 1,
	"stations": 21, "households_visited": 61, "home_visits": 82, "cases": 4, "case_sessions": 11, "activities": 6,
	"groups": 2, "volunteer_teams": 3, "volunteers": 45, "person_times": 310, "needs": 27, "needs_met": 19, "files": 14,
}

func sampleNumber(field protoreflect.FieldDescriptor) int32 {
	if n, ok := numbers[field.Name()]; ok {
		return n
	}
	return 1
}

// sampleText is the example's value of a string field: from the table, or made of its rules.
func sampleText(field protoreflect.FieldDescriptor) (string, bool) {
	for _, key := range []string{string(field.Parent().Name()) + "." + string(field.Name()), string(field.Name())} {
		if s, ok := texts[key]; ok {
			return s, true
		}
	}
	rules, err := protovalidate.ResolveFieldRules(field)
	if err != nil {
		return "", false
	}
	str := rules.GetString()
	if field.IsList() {
		str = rules.GetRepeated().GetItems().GetString()
	}
	name := string(field.Name())
	switch {
	case str.GetUuid() || name == "id" || strings.HasSuffix(name, "_id") || strings.HasSuffix(name, "_ids"):
		return idOf(resourceOf(field)), true
	case str.GetPattern() == datePattern || strings.HasSuffix(name, "_date"):
		return "2021-05-12", true
	case len(str.GetIn()) > 0:
		return str.GetIn()[0], true
	default:
		return "", false
	}
}

// resourceOf is the resource that an id field names: "station" for station_id, and for the id of a Station or of a
// GetStationRequest.
func resourceOf(field protoreflect.FieldDescriptor) string {
	name := string(field.Name())
	if name != "id" {
		return strings.TrimSuffix(strings.TrimSuffix(name, "s"), "_id")
	}
	message := strings.TrimSuffix(string(field.Parent().Name()), "Request")
	for _, verb := range []string{
		"Get", "Meet", "Reopen", "Void", "Advance", "Evaluate", "Complete", "Cancel", "Hold", "Delete", "PlanFollowUp",
	} {
		message = strings.TrimPrefix(message, verb)
	}
	return snake(message)
}

func snake(camel string) string {
	var out strings.Builder
	for i, r := range camel {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				out.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		out.WriteRune(r)
	}
	return out.String()
}

// idOf is a UUIDv7 of the examples' day, always the same for one resource.
func idOf(resource string) string {
	sum := sha256.Sum256([]byte(resource))
	x := hex.EncodeToString(sum[:])
	return "01795e8a-" + x[:4] + "-7" + x[4:7] + "-a" + x[7:10] + "-" + x[10:22]
}

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	optionsv1 "circle15.dev/api/options/v1"
)

// operation is one route of one RPC.
type operation struct {
	rpc    protoreflect.MethodDescriptor
	rule   *optionsv1.Authorization
	verb   string // "get"
	path   string // with the parameters' names as in the proto: "/v1/needs/{need.id}"
	body   string // as in the HTTP rule
	node   *yaml.Node
	reads  bool
	tagged bool // the answer has an etag
}

// finishOperations makes every operation whole, and returns the tags, one for each resource, and their groups, one for
// each service.
func (d *document) finishOperations() (tags, groups *yaml.Node, err error) {
	tags, groups = list(), list()
	for _, service := range services() {
		group := list()
		for i := range service.Methods().Len() {
			rpc := service.Methods().Get(i)
			o, err := d.operationOf(rpc)
			if err != nil {
				return nil, nil, err
			}
			if err := o.finish(d.schemas); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", rpc.FullName(), err)
			}
			if tag := o.rule.GetResource(); !slices.ContainsFunc(group.Content, func(n *yaml.Node) bool { return n.Value == tag }) {
				group.Content = append(group.Content, text(tag))
				tags.Content = append(tags.Content, d.tag(tag, rpc))
			}
		}
		groups.Content = append(groups.Content, object("name", serviceTitle(service), "tags", group))
	}
	return tags, groups, d.simplifyPaths()
}

// tag describes a resource by the message that its first method answers with, or lists.
func (d *document) tag(name string, rpc protoreflect.MethodDescriptor) *yaml.Node {
	message := rpc.Output()
	fields := message.Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.IsList() && strings.HasPrefix(string(message.Name()), "List") {
			message = f.Message()
			break
		}
	}
	description := valueOf(get(get(d.schemas, string(message.FullName())), "description"))
	return object("name", name, "x-displayName", humanize(name), "description", description)
}

func serviceTitle(service protoreflect.ServiceDescriptor) string {
	if name := strings.TrimSuffix(string(service.Name()), "Service"); name != "Iam" {
		return name
	}
	return "Identity and access"
}

// services are the platform's services in the order of the document.
func services() []protoreflect.ServiceDescriptor {
	var found []protoreflect.ServiceDescriptor
	for _, name := range serviceOrder {
		protoregistry.GlobalFiles.RangeFilesByPackage(protoreflect.FullName("circle15."+name+".v1"), func(f protoreflect.FileDescriptor) bool {
			for i := range f.Services().Len() {
				found = append(found, f.Services().Get(i))
			}
			return true
		})
	}
	return found
}

func (d *document) operationOf(rpc protoreflect.MethodDescriptor) (*operation, error) {
	http, _ := proto.GetExtension(rpc.Options(), annotations.E_Http).(*annotations.HttpRule)
	rule, _ := proto.GetExtension(rpc.Options(), optionsv1.E_Authorization).(*optionsv1.Authorization)
	o := &operation{rpc: rpc, rule: rule, body: http.GetBody()}
	switch pattern := http.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		o.verb, o.path, o.reads = "get", pattern.Get, true
	case *annotations.HttpRule_Post:
		o.verb, o.path = "post", pattern.Post
	case *annotations.HttpRule_Patch:
		o.verb, o.path = "patch", pattern.Patch
	case *annotations.HttpRule_Put:
		o.verb, o.path = "put", pattern.Put
	case *annotations.HttpRule_Delete:
		o.verb, o.path = "delete", pattern.Delete
	}
	o.tagged = rpc.Output().Fields().ByName("etag") != nil
	if o.node = get(get(d.paths, o.path), o.verb); o.node == nil {
		return nil, fmt.Errorf("%s: protoc-gen-openapiv3 wrote no operation for %s %s", rpc.FullName(), o.verb, o.path)
	}
	return o, nil
}

func (o *operation) finish(schemas *yaml.Node) error {
	prose, err := o.prose()
	if err != nil {
		return err
	}
	if err := o.finishParameters(); err != nil {
		return err
	}
	if err := o.finishBody(schemas); err != nil {
		return err
	}
	if err := o.finishResponses(prose.kinds); err != nil {
		return err
	}
	set(o.node, "operationId", text(string(o.rpc.Name())))
	set(o.node, "summary", text(prose.summary))
	set(o.node, "description", text(prose.description))
	set(o.node, "tags", list(text(o.rule.GetResource())))
	sample, err := o.curl()
	if err != nil {
		return err
	}
	set(o.node, "x-codeSamples", list(object("lang", "Shell", "label", "curl", "source", sample)))
	order(o.node, "operationId", "summary", "description", "tags", "parameters", "requestBody", "responses")
	return nil
}

// prose is what an RPC's comment says.
type prose struct {
	summary, description string
	kinds                []string // the kinds of errors that it names
}

var (
	errorsPattern = regexp.MustCompile(`(?s)\bErrors: (.*?)\s*Permission:`)
	kindPattern   = regexp.MustCompile(`\b(?:[A-Z]+(?:_[A-Z]+)+|CONFLICT)\b`)
)

// prose makes the method's name the summary and the comment the description; the permission must be that of the rule.
func (o *operation) prose() (prose, error) {
	comment := valueOf(get(o.node, "summary")) + "\n" + valueOf(get(o.node, "description"))
	permission := o.rule.GetResource() + ":" + o.rule.GetAction()
	if !strings.Contains(comment, "Permission: "+permission) {
		return prose{}, fmt.Errorf("the comment does not say \"Permission: %s\", which its rule requires", permission)
	}
	errorsText := ""
	if m := errorsPattern.FindStringSubmatch(comment); m != nil {
		errorsText = strings.Join(strings.Fields(m[1]), " ")
	}
	what, _, _ := strings.Cut(comment, "Errors: ")
	what = strings.Join(strings.Fields(what), " ")
	p := prose{
		summary:     humanize(string(o.rpc.Name())),
		description: what + "\n\nPermission: `" + permission + "`.",
		kinds:       kindPattern.FindAllString(errorsText, -1),
	}
	if errorsText != "" {
		p.description += "\n\nErrors: " + errorsText
	}
	return p, nil
}

// finishParameters gives the parameters their rules and examples, and adds the headers.
func (o *operation) finishParameters() error {
	parameters := get(o.node, "parameters")
	if parameters == nil {
		parameters = list()
	}
	var kept []*yaml.Node
	for _, p := range parameters.Content {
		name := valueOf(get(p, "name"))
		if name == "requestId" {
			continue // a header in REST
		}
		field := fieldOf(o.rpc.Input(), name)
		if field == nil {
			return fmt.Errorf("parameter %s is not a field of %s", name, o.rpc.Input().Name())
		}
		if err := finishParameter(p, field); err != nil {
			return err
		}
		kept = append(kept, p)
	}
	for _, header := range o.headers() {
		kept = append(kept, ref("parameters/"+header))
	}
	set(o.node, "parameters", list(kept...))
	return nil
}

func finishParameter(p *yaml.Node, field protoreflect.FieldDescriptor) error {
	schema := get(p, "schema")
	if err := applyFieldRules(schema, field); err != nil {
		return err
	}
	switch field.Name() {
	case "update_mask":
		set(p, "description", text("The fields to change, comma-separated; by default those in the body."))
	case "page_token", "etag":
	default:
		if sample, ok := sampleText(field); ok && valueOf(get(p, "in")) == "path" {
			set(p, "example", text(sample))
		}
	}
	order(p, "name", "in", "required", "description", "schema")
	return nil
}

// fieldOf finds a field by a parameter's name: "pageSize", "need.id".
func fieldOf(message protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	first, rest, nested := strings.Cut(path, ".")
	field := message.Fields().ByJSONName(first)
	if field == nil {
		field = message.Fields().ByName(protoreflect.Name(first))
	}
	if !nested || field == nil {
		return field
	}
	return fieldOf(field.Message(), rest)
}

func (o *operation) headers() []string {
	headers := []string{"Circle15-Tenant"}
	switch {
	case !o.reads:
		headers = append(headers, "Idempotency-Key")
		if o.verb == "patch" || o.rpc.Input().Fields().ByName("etag") != nil {
			headers = append(headers, "If-Match")
		}
	case o.tagged:
		headers = append(headers, "If-None-Match")
	}
	return headers
}

func (o *operation) finishBody(schemas *yaml.Node) error {
	media := get(get(get(o.node, "requestBody"), "content"), "application/json")
	if media == nil {
		return nil
	}
	schema := get(media, "schema")
	switch target := get(schema, "$ref"); {
	case target == nil:
		remove(get(schema, "properties"), "requestId")
		if err := applyMessageRules(schema, o.rpc.Input()); err != nil {
			return err
		}
	case o.verb == "patch":
		target.Value = changeSchema(schemas, target.Value)
	}
	example, err := o.bodyExample()
	if err != nil {
		return err
	}
	node, err := parse(example)
	if err != nil {
		return err
	}
	set(media, "example", node)
	return nil
}

// changeSchema adds the schema of a change to a resource, which need not hold what the resource must, and returns its
// reference.
func changeSchema(schemas *yaml.Node, target string) string {
	name := strings.TrimPrefix(target, "#/components/schemas/")
	change := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	each(get(schemas, name), func(key string, value *yaml.Node) {
		if key != "required" {
			set(change, key, value)
		}
	})
	set(change, "description", text("What to change. "+valueOf(get(change, "description"))))
	set(schemas, name+"Change", change)
	return target + "Change"
}

// statusOf maps the kinds that comments name to the responses that the document describes.
var statusOf = map[string]string{
	"INVALID_ARGUMENT":  "400",
	"PERMISSION_DENIED": "403",
	"NOT_FOUND":         "404",
	"ALREADY_EXISTS":    "409",
	"CONFLICT":          "409",
	"QUOTA_EXCEEDED":    "409",
	"ETAG_MISMATCH":     "412",
}

func (o *operation) finishResponses(kinds []string) error {
	old := get(o.node, "responses")
	ok := get(old, "200")
	if err := o.finishOK(ok); err != nil {
		return err
	}
	statuses := []string{"400", "401", "403", "423", "429"}
	for _, kind := range kinds {
		status, known := statusOf[kind]
		if !known {
			return fmt.Errorf("the comment names an error %s, which is none of the API's", kind)
		}
		statuses = append(statuses, status)
	}
	if !o.reads {
		statuses = append(statuses, "409") // the same Idempotency-Key in flight, or with another body
	}
	slices.Sort(statuses)
	responses := object("200", ok)
	if o.reads && o.tagged {
		set(responses, "304", object("description", "Not changed since the revision in If-None-Match."))
	}
	for _, status := range slices.Compact(statuses) {
		set(responses, status, ref("responses/"+problemNames[status]))
	}
	set(responses, "default", ref("responses/Problem"))
	set(o.node, "responses", responses)
	return nil
}

func (o *operation) finishOK(ok *yaml.Node) error {
	headers := object()
	if o.tagged {
		set(headers, "ETag", ref("headers/ETag"))
	}
	if !o.reads {
		set(headers, "Idempotent-Replayed", ref("headers/Idempotent-Replayed"))
	}
	if len(headers.Content) > 0 {
		set(ok, "headers", headers)
	}
	media := get(get(ok, "content"), "application/json")
	example, err := responseExample(o.rpc.Output())
	if err != nil {
		return err
	}
	node, err := parse(example)
	if err != nil {
		return err
	}
	set(media, "example", node)
	order(ok, "description", "headers", "content")
	return nil
}

var dottedParam = regexp.MustCompile(`\{[a-z_]+\.([a-z_]+)\}`)

// simplifyPaths gives nested path parameters simple names ({need.id} becomes {id}) and joins the paths that become one.
func (d *document) simplifyPaths() error {
	paths := object()
	var err error
	each(d.paths, func(path string, item *yaml.Node) {
		simple := dottedParam.ReplaceAllString(path, "{$1}")
		each(item, func(_ string, op *yaml.Node) { renameParameters(op) })
		into := get(paths, simple)
		if into == nil {
			set(paths, simple, item)
			return
		}
		if e := adopt(into, item, simple); e != nil {
			err = e
		}
	})
	d.paths = paths
	return err
}

func renameParameters(op *yaml.Node) {
	for _, p := range get(op, "parameters").Content {
		if valueOf(get(p, "in")) == "path" {
			name := get(p, "name")
			name.Value = name.Value[strings.LastIndexByte(name.Value, '.')+1:]
		}
	}
}

// humanize turns "serviceFiles" into "Service files".
func humanize(camel string) string {
	var out strings.Builder
	for i, r := range camel {
		switch upper := r >= 'A' && r <= 'Z'; {
		case i == 0:
			out.WriteString(strings.ToUpper(string(r)))
		case upper:
			out.WriteString(" " + strings.ToLower(string(r)))
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// curl is a command line that calls the operation on the platform at $API: the document is the same wherever it is served.
func (o *operation) curl() (string, error) {
	path := pathParam.ReplaceAllStringFunc(o.path, func(param string) string {
		sample, _ := sampleText(fieldOf(o.rpc.Input(), strings.Trim(param, "{}")))
		return sample
	})
	line := "curl -H \"Authorization: Bearer $TOKEN\""
	if o.verb != "get" && o.verb != "post" {
		line += " -X " + strings.ToUpper(o.verb)
	}
	if !o.reads {
		line += " \\\n  -H \"Idempotency-Key: $(uuidgen)\""
	}
	query := o.requiredQuery()
	target := "$API" + path + query
	if o.body == "" {
		return line + " \\\n  " + strconv.Quote(target), nil
	}
	example, err := o.bodyExample()
	if err != nil {
		return "", err
	}
	if strings.Contains(string(example), "'") {
		return "", fmt.Errorf("the example of the body holds a quote, which the shell would take")
	}
	return line + " \\\n  -H \"Content-Type: application/json\" \\\n  " + strconv.Quote(target) + " \\\n  -d '" + string(example) + "'", nil
}

var pathParam = regexp.MustCompile(`\{[^}]+\}`)

// requiredQuery are the query parameters that the operation cannot do without.
func (o *operation) requiredQuery() string {
	var pairs []string
	for _, p := range get(o.node, "parameters").Content {
		if valueOf(get(p, "in")) != "query" || valueOf(get(p, "required")) != "true" {
			continue
		}
		name := valueOf(get(p, "name"))
		sample, _ := sampleText(fieldOf(o.rpc.Input(), name))
		pairs = append(pairs, name+"="+sample)
	}
	if len(pairs) == 0 {
		return ""
	}
	return "?" + strings.Join(pairs, "&")
}

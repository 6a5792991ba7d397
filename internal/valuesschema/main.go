// Command valuesschema writes a chart's values.schema.json from its values.yaml.
//
// The type of every value is that of its default; an object admits no other keys, so that a misspelt value fails at
// `helm install`. A comment line `# @schema {…}` above a key lays JSON Schema keywords over what is inferred, for
// example `# @schema {enum: [single, perService]}`; `# -- text` (the form of helm-docs) becomes the description.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

func main() {
	values := flag.String("values", "charts/circle15/values.yaml", "the chart's values")
	out := flag.String("out", "charts/circle15/values.schema.json", "the schema to write")
	flag.Parse()
	if err := run(*values, *out); err != nil {
		fmt.Fprintln(os.Stderr, "valuesschema:", err)
		os.Exit(1)
	}
}

func run(values, out string) error {
	source, err := os.ReadFile(values)
	if err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		return fmt.Errorf("%s: %w", values, err)
	}
	schema, err := schemaOf(document.Content[0])
	if err != nil {
		return fmt.Errorf("%s: %w", values, err)
	}
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema["title"] = "Values of the circle15 chart"
	// Helm adds "global" for a parent chart's values.
	schema["properties"].(map[string]any)["global"] = map[string]any{"type": "object"}
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(text, '\n'), 0o644) //nolint:gosec // a source file that everyone may read
}

func schemaOf(node *yaml.Node) (map[string]any, error) {
	switch node.Kind {
	case yaml.MappingNode:
		return objectSchema(node)
	case yaml.SequenceNode:
		return map[string]any{"type": "array"}, nil
	default:
		return scalarSchema(node), nil
	}
}

func objectSchema(node *yaml.Node) (map[string]any, error) {
	properties := map[string]any{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		property, err := schemaOf(value)
		if err != nil {
			return nil, err
		}
		if err := overlay(property, key.HeadComment); err != nil {
			return nil, fmt.Errorf("line %d: %w", key.Line, err)
		}
		properties[key.Value] = property
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(properties) == 0 {
		// An empty object is a place for the user's own keys: labels, annotations, selectors.
		delete(schema, "additionalProperties")
	}
	return schema, nil
}

func scalarSchema(node *yaml.Node) map[string]any {
	types := map[string]string{"!!str": "string", "!!int": "integer", "!!float": "number", "!!bool": "boolean"}
	if t, ok := types[node.Tag]; ok {
		return map[string]any{"type": t}
	}
	return map[string]any{}
}

func overlay(schema map[string]any, comment string) error {
	var description []string
	for line := range strings.Lines(comment) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#"))
		keywords, isSchema := strings.CutPrefix(line, "@schema ")
		switch {
		case isSchema:
			var extra map[string]any
			if err := yaml.Unmarshal([]byte(keywords), &extra); err != nil {
				return fmt.Errorf("@schema: %w", err)
			}
			maps.Copy(schema, extra)
		default:
			description = append(description, strings.TrimPrefix(line, "-- "))
		}
	}
	if len(description) > 0 {
		schema["description"] = strings.TrimSpace(strings.Join(description, " "))
	}
	return nil
}

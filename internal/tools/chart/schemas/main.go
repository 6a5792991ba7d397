// Command schemas writes JSON schemas for kubeconform from the OpenAPI document of a Kubernetes release, so that the
// chart is judged without the network: _definitions.json, and a file for every kind that refers to it; and a file for
// every version of the custom resources that are defined in the YAML files.
//
//	schemas SWAGGER.json FOLDER [DEFINITIONS.yaml ...]
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

type groupVersionKind struct{ Group, Version, Kind string }

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: schemas SWAGGER.json FOLDER [DEFINITIONS.yaml ...]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(swagger, folder string, definitions []string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // schemas are public
		return err
	}
	for _, path := range definitions {
		if err := writeCustom(path, folder); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return writeBuiltin(swagger, folder)
}

func writeBuiltin(swagger, folder string) error {
	text, err := os.ReadFile(swagger)
	if err != nil {
		return err
	}
	var document struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	for name, definition := range document.Definitions {
		for _, kind := range kindsOf(definition) {
			schema := map[string]any{"$ref": "_definitions.json#/definitions/" + name}
			if err := write(filepath.Join(folder, fileName(kind)), schema); err != nil {
				return err
			}
		}
		strict(definition)
	}
	return write(filepath.Join(folder, "_definitions.json"), map[string]any{"definitions": document.Definitions})
}

// fileName is kubeconform's {{.ResourceKind}}{{.KindSuffix}}: deployment-apps-v1.json.
func fileName(k groupVersionKind) string {
	parts := []string{k.Kind}
	if k.Group != "" {
		parts = append(parts, strings.Split(k.Group, ".")[0])
	}
	return strings.ToLower(strings.Join(append(parts, k.Version), "-")) + ".json"
}

func kindsOf(definition map[string]any) []groupVersionKind {
	text, err := json.Marshal(definition["x-kubernetes-group-version-kind"])
	if err != nil {
		return nil
	}
	var kinds []groupVersionKind
	_ = json.Unmarshal(text, &kinds) // definitions without a kind have null here
	return kinds
}

// strict admits no unknown field, and lets a port be a number or a name.
func strict(schema map[string]any) {
	if _, has := schema["properties"]; has {
		schema["additionalProperties"] = false
	}
	if schema["format"] == "int-or-string" {
		delete(schema, "type")
		delete(schema, "format")
		schema["oneOf"] = []any{map[string]any{"type": "string"}, map[string]any{"type": "integer"}}
	}
	for _, value := range schema {
		walk(value)
	}
}

func walk(value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			walk(inner)
		}
		if v["type"] == "string" && v["format"] == "int-or-string" {
			strict(v)
		}
	case []any:
		for _, inner := range v {
			walk(inner)
		}
	}
}

func write(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644) //nolint:gosec // schemas are public
}

package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// definition is what matters of a CustomResourceDefinition.
type definition struct {
	Kind string `yaml:"kind"`
	Spec struct {
		Group string `yaml:"group"`
		Names struct {
			Kind string `yaml:"kind"`
		} `yaml:"names"`
		Versions []struct {
			Name   string `yaml:"name"`
			Schema struct {
				OpenAPI map[string]any `yaml:"openAPIV3Schema"`
			} `yaml:"schema"`
		} `yaml:"versions"`
	} `yaml:"spec"`
}

// writeCustom writes the schemas of the custom resources that a YAML file defines.
func writeCustom(path, folder string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for documents := yaml.NewDecoder(file); ; {
		var d definition
		if err := documents.Decode(&d); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if d.Kind != "CustomResourceDefinition" {
			continue
		}
		for _, version := range d.Spec.Versions {
			closeObjects(version.Schema.OpenAPI)
			kind := groupVersionKind{Group: d.Spec.Group, Version: version.Name, Kind: d.Spec.Names.Kind}
			if err := write(filepath.Join(folder, fileName(kind)), version.Schema.OpenAPI); err != nil {
				return err
			}
		}
	}
}

// closeObjects admits no unknown field where the API server would drop it.
func closeObjects(schema map[string]any) {
	_, has := schema["properties"]
	if open, _ := schema["x-kubernetes-preserve-unknown-fields"].(bool); has && !open {
		schema["additionalProperties"] = false
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, ok := schema[key].(map[string]any); ok {
			closeObjects(inner)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, property := range properties {
		closeObjects(property.(map[string]any))
	}
}

// Command openapigen makes api/openapi/circle15.yaml of what protoc-gen-openapiv3 wrote for each proto: one document,
// with the validation rules of the protos in the schemas, the headers, problems and permissions of every operation, and
// examples that pass the validation. `make generate` runs it at the root of the repository.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	// The descriptors of the services.
	_ "circle15.dev/api/activities/v1"
	_ "circle15.dev/api/cases/v1"
	_ "circle15.dev/api/iam/v1"
	_ "circle15.dev/api/registry/v1"
	_ "circle15.dev/api/reporting/v1"
	_ "circle15.dev/api/visits/v1"
)

const (
	inputs = ".cache/openapi/circle15/*/v1/*.openapi.json"
	output = "api/openapi/circle15.yaml"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "openapigen:", err)
		os.Exit(1)
	}
}

func run() error {
	paths, err := filepath.Glob(inputs)
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("no file matches %s: run it by `make generate`", inputs)
	}
	slices.SortFunc(paths, byService)
	doc, err := merge(paths)
	if err != nil {
		return err
	}
	if err := doc.finish(); err != nil {
		return err
	}
	text, err := doc.encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil { //nolint:gosec // a folder of the repository
		return err
	}
	return os.WriteFile(output, text, 0o644) //nolint:gosec // a file of the repository
}

// serviceOrder is the order of the services in the document: that of the work.
var serviceOrder = []string{"registry", "visits", "cases", "activities", "reporting", "iam"}

func byService(a, b string) int { return rankOf(a) - rankOf(b) }

func rankOf(path string) int {
	service := filepath.Base(filepath.Dir(filepath.Dir(path)))
	if i := slices.Index(serviceOrder, service); i >= 0 {
		return i
	}
	return len(serviceOrder)
}

// Package openapi holds the OpenAPI description of the REST API, generated from the protos.
package openapi

import _ "embed"

// YAML is the description (OpenAPI 3.1).
//
//go:embed circle15.yaml
var YAML []byte

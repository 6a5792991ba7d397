//go:build tools

// Package definitions pins the custom resources of others that the chart can make: HTTPRoute and ServiceMonitor. Their
// modules hold the definitions as YAML, against which `make check-chart` judges what is rendered.
package definitions

import (
	_ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil"
	_ "sigs.k8s.io/gateway-api/pkg/consts"
)

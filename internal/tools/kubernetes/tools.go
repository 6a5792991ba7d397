//go:build tools

// Package kubernetes pins the API server, etcd and kubectl against which the operator is tested; `make test` builds
// them once from Go modules.
package kubernetes

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)

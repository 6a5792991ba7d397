// Package v1alpha1 holds the Kubernetes types with which a province onboards cities: Tenant and DatabaseCluster.
//
// +kubebuilder:object:generate=true
// +groupName=circle15.dev
package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/scheme"
)

// GroupVersion is circle15.dev/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: "circle15.dev", Version: "v1alpha1"}

var builder = &scheme.Builder{GroupVersion: GroupVersion}

// AddToScheme registers the types of this package.
var AddToScheme = builder.AddToScheme

func init() {
	builder.Register(&Tenant{}, &TenantList{}, &DatabaseCluster{}, &DatabaseClusterList{})
}

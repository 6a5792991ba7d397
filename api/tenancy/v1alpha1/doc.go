// Package v1alpha1 holds the Kubernetes types with which a province onboards cities: Tenant and DatabaseCluster.
//
// +kubebuilder:object:generate=true
// +groupName=circle15.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is circle15.dev/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: "circle15.dev", Version: "v1alpha1"}

// AddToScheme registers the types of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Tenant{}, &TenantList{}, &DatabaseCluster{}, &DatabaseClusterList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

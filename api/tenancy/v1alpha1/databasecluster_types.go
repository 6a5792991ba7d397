package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterFinalizer keeps a DatabaseCluster while Tenants are placed on it.
const ClusterFinalizer = "circle15.dev/database-cluster"

// DatabaseClusterSpec says how to reach a PostgreSQL and how many tenants it may hold.
type DatabaseClusterSpec struct {
	// ConnectionSecret names the Secret, in the operator's namespace, that holds the connection URL of the role
	// circle15_operator, for example {name: circle15-database, key: operator-url}.
	ConnectionSecret SecretKey `json:"connectionSecret"`

	// Class groups clusters among which a tenant may be placed, for example "large".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Class string `json:"class,omitempty"`

	// Capacity is the most tenants that the cluster holds; about 1,000 is sensible.
	//
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=0
	Capacity int32 `json:"capacity,omitempty"`

	// Connections bounds the operator's connections to the cluster.
	//
	// +optional
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	Connections int32 `json:"connections,omitempty"`
}

// SecretKey names a key of a Secret in the operator's namespace.
type SecretKey struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// +optional
	// +kubebuilder:default=url
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// Condition types of a DatabaseCluster.
const (
	ConditionReachable = "Reachable" // the operator could log in and the server's version is supported
	ConditionPrepared  = "Prepared"  // roles and control schema are in place
	ConditionInUse     = "InUse"     // it was deleted, and Tenants that are placed on it keep it; the message names them
)

// DatabaseClusterStatus is what the operator found.
type DatabaseClusterStatus struct {
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Version is the server's version, for example "15.18".
	//
	// +optional
	Version string `json:"version,omitempty"`
	// Tenants is how many tenants the cluster holds.
	//
	// +optional
	Tenants int32 `json:"tenants"`
}

// DatabaseCluster is a PostgreSQL server (15 to 18) on which tenants are placed. One that is deleted takes no new tenants,
// and is kept until those on it are deleted. For example:
//
//	apiVersion: circle15.dev/v1alpha1
//	kind: DatabaseCluster
//	metadata: {name: east}
//	spec:
//	  connectionSecret: {name: circle15-database, key: operator-url}
//	  class: large
//	  capacity: 1000
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=dbc,categories=circle15
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.spec.class`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Tenants",type=integer,JSONPath=`.status.tenants`
// +kubebuilder:printcolumn:name="Capacity",type=integer,JSONPath=`.spec.capacity`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Prepared")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DatabaseCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec DatabaseClusterSpec `json:"spec"`
	// +optional
	Status DatabaseClusterStatus `json:"status,omitzero"`
}

// DatabaseClusterList is a list of database clusters.
//
// +kubebuilder:object:root=true
type DatabaseClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DatabaseCluster `json:"items"`
}

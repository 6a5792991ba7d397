package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Finalizer keeps a Tenant until its deletion policy was carried out.
const Finalizer = "circle15.dev/tenant"

// Level is the administrative level of a tenant.
//
// +kubebuilder:validation:Enum=province;city;district
type Level string

// The levels, widest first.
const (
	LevelProvince Level = "province"
	LevelCity     Level = "city"
	LevelDistrict Level = "district"
)

// DeletionPolicy says what becomes of a tenant's data when its object is deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type DeletionPolicy string

// The deletion policies.
const (
	// DeletionRetain leaves the schema, takes away the use of the role, and lets a Tenant of the same name adopt it.
	DeletionRetain DeletionPolicy = "Retain"
	// DeletionDelete drops schema and role after the grace period.
	DeletionDelete DeletionPolicy = "Delete"
)

// StationSource says which stations a new tenant is given.
//
// +kubebuilder:validation:Enum=streets;townships;none
type StationSource string

// The sources of stations.
const (
	StationsFromStreets   StationSource = "streets"   // one for each street (街道) of the division table
	StationsFromTownships StationSource = "townships" // one for each street, town and township
	StationsNone          StationSource = "none"
)

// TenantSpec is what the province asks for.
//
// +kubebuilder:validation:XValidation:rule="self.level == 'province' ? !has(self.parent) : has(self.parent)",message="a province has no parent; a city needs its province and a district its city as parent"
// +kubebuilder:validation:XValidation:rule="(self.level == 'province') == self.divisionCode.endsWith('0000')",message="the division code must be of the level: NN0000 for a province, another code for a city or district"
// +kubebuilder:validation:XValidation:rule="self.level != 'district' || !self.divisionCode.endsWith('00')",message="the division code of a district is one of county level: it does not end in 00"
// +kubebuilder:validation:XValidation:rule="!has(self.database) || !(has(self.database.cluster) && has(self.database.class))",message="name a database cluster or a class, not both"
type TenantSpec struct {
	// DisplayName is shown to people, for example {zh: 海口市, en: Haikou}.
	DisplayName DisplayName `json:"displayName"`

	// Level is province, city (prefecture level, or a county-level city directly under a province) or district. It
	// cannot change.
	//
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the level cannot change"
	Level Level `json:"level"`

	// Parent is the name of the Tenant above: the province of a city ("hainan"), the city of a district. It may be created
	// after this one, which then waits for it. It cannot change once the tenant was Ready.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9-]{0,38}[a-z0-9]$`
	Parent string `json:"parent,omitempty"`

	// DivisionCode is the six-digit code of GB/T 2260, for example "460100". No two tenants share one. It cannot change once
	// the tenant was Ready.
	//
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{5}$`
	// +kubebuilder:validation:MaxLength=6
	DivisionCode string `json:"divisionCode"`

	// Database says where the tenant's schema is placed, for example {cluster: east} or {class: large}; the cluster with
	// most free capacity by default. It cannot change once the tenant was Ready.
	//
	// +optional
	Database *Placement `json:"database,omitempty"`

	// Stations says which stations are created with the tenant, for example {fromDivisions: streets}.
	//
	// +optional
	// +kubebuilder:default={fromDivisions: none}
	Stations StationsSpec `json:"stations,omitzero"`

	// StandardsPack is the versioned pack of labels, tiers and domains whose codes the tenant's records use; china-2021.1
	// where it is absent. This release has no other.
	//
	// +optional
	// +kubebuilder:validation:Enum=china-2021.1
	StandardsPack string `json:"standardsPack,omitempty"`

	// Policy is laid over the standard roles, for example {grants: [{subject: zhang.wei, role: bureau_admin}]}.
	//
	// +optional
	Policy PolicyOverlay `json:"policy,omitzero"`

	// Quotas bound what the tenant may use, for example {stations: 43, staff: 129, requestsPerSecond: 200}; absent is
	// unlimited. The services refuse what goes beyond within a second of a change; what is there already stays.
	//
	// +optional
	Quotas Quotas `json:"quotas,omitzero"`

	// Suspend refuses every request of the tenant (423 Locked) and takes the role's use away in the database.
	//
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// DeletionPolicy is Retain unless Delete is asked for.
	//
	// +optional
	// +kubebuilder:default=Retain
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// DeletionGrace is how long a deleted Tenant with policy Delete waits before its data is dropped, for example
	// "72h". Putting the policy back to Retain in that time keeps the data.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^([0-9]{1,5}(\.[0-9]{1,9})?(h|m|s|ms|us|µs|ns))+$`
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:default="24h"
	DeletionGrace metav1.Duration `json:"deletionGrace,omitzero"`
}

// DisplayName is a name in Chinese and in English.
type DisplayName struct {
	// Zh is the Chinese name, for example "海口市".
	//
	// +kubebuilder:validation:Pattern=`\S`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	Zh string `json:"zh"`
	// En is the English name, for example "Haikou".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=100
	En string `json:"en,omitempty"`
}

// Placement names a DatabaseCluster, or a class of them.
type Placement struct {
	// Cluster is the name of a DatabaseCluster, for example "east".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Cluster string `json:"cluster,omitempty"`
	// Class is the spec.class of DatabaseClusters, of which the one with most free capacity is taken, for example "large".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Class string `json:"class,omitempty"`
}

// StationsSpec says which stations are created with a tenant.
type StationsSpec struct {
	// FromDivisions creates a station for each street (streets), or for each street, town and township (townships), of the
	// real division table: 21 and 46 for Haikou (460100).
	//
	// +optional
	// +kubebuilder:default=none
	FromDivisions StationSource `json:"fromDivisions,omitempty"`
}

// PolicyOverlay is laid over the standard roles and rules.
type PolicyOverlay struct {
	// Roles are roles of the tenant's own beside the standard ones, for rules and grants to name.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=50
	Roles []Role `json:"roles,omitempty"`

	// Grants give roles to the first administrators.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Grants []RoleGrant `json:"grants,omitempty"`

	// Rules are added to the standard ones.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=200
	Rules []Rule `json:"rules,omitempty"`
}

// Role is a role of the tenant's own, for example {name: street_office, displayName: {zh: 街道办, en: Street office}}.
type Role struct {
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9_]{0,62}$`
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// DisplayName is shown to people.
	DisplayName DisplayName `json:"displayName"`
}

// RoleGrant gives a role to an OIDC subject.
type RoleGrant struct {
	// Subject is the "sub" claim of the person's token.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Subject string `json:"subject"`
	// Role is a standard role, for example "bureau_admin", or one of policy.roles.
	//
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9_]{0,62}$`
	// +kubebuilder:validation:MaxLength=63
	Role string `json:"role"`
	// Station is the nine-digit division code of an open station, for example "460107003", for roles that reach one
	// station (station_head, social_worker, volunteer_coordinator).
	//
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9]{9}$`
	// +kubebuilder:validation:MaxLength=9
	Station string `json:"station,omitempty"`
}

// Rule permits a role an action on a resource, for example {role: auditor, resource: stations, action: list, level:
// tenant}. A rule with the role, resource and action of a standard one replaces its level.
type Rule struct {
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9_]{0,62}$`
	// +kubebuilder:validation:MaxLength=63
	Role string `json:"role"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Resource string `json:"resource"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Action string `json:"action"`
	// Level is how far the rule reaches.
	//
	// +kubebuilder:validation:Enum=aggregate;own;station;tenant
	Level string `json:"level"`
}

// Quotas bound what a tenant may use.
type Quotas struct {
	// Stations in operation. Those of spec.stations count: more than the quota are not created.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Stations *int32 `json:"stations,omitempty"`
	// Staff are the workers in service.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Staff *int32 `json:"staff,omitempty"`
	// Residents that are registered, over all households.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Residents *int32 `json:"residents,omitempty"`
	// RequestsPerSecond is per replica of the services.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	RequestsPerSecond *int32 `json:"requestsPerSecond,omitempty"`
}

// Phase is the one-word state of a tenant.
//
// +kubebuilder:validation:Enum=Pending;Provisioning;Ready;Suspended;Stalled;Deleting
type Phase string

// The phases.
const (
	PhasePending      Phase = "Pending"      // not yet placed
	PhaseProvisioning Phase = "Provisioning" // placed; a step is not done
	PhaseReady        Phase = "Ready"
	PhaseSuspended    Phase = "Suspended"
	PhaseStalled      Phase = "Stalled" // the spec must change
	PhaseDeleting     Phase = "Deleting"
)

// Condition types of a Tenant.
const (
	ConditionReady           = "Ready"           // every step is done and the services may serve the tenant
	ConditionRoleReady       = "RoleReady"       // the role exists with exactly its attributes and memberships
	ConditionSchemaReady     = "SchemaReady"     // the schema exists and carries our ownership mark
	ConditionMigrated        = "Migrated"        // the schema is at the operator's version, with all tables, indexes and grants
	ConditionPoliciesReady   = "PoliciesReady"   // standard roles, overlay and stations are in place
	ConditionIsolationProven = "IsolationProven" // the tenant's role was shown to reach no other schema
	ConditionSuspended       = "Suspended"       // the tenant is suspended in the control schema and the database
)

// TenantStatus is what the operator found.
type TenantStatus struct {
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Cluster is the DatabaseCluster that holds the schema.
	//
	// +optional
	Cluster string `json:"cluster,omitempty"`
	// Schema is the tenant's PostgreSQL schema, for example "t_haikou".
	//
	// +optional
	Schema string `json:"schema,omitempty"`
	// Role is the tenant's PostgreSQL role, of the same name.
	//
	// +optional
	Role string `json:"role,omitempty"`
	// SchemaVersion counts the migrations that the schema has.
	//
	// +optional
	SchemaVersion int32 `json:"schemaVersion,omitempty"`
	// PolicyVersion is the version of roles, rules and grants in the schema, as last observed: every change of them, by
	// the operator or over REST, makes the next.
	//
	// +optional
	PolicyVersion int64 `json:"policyVersion,omitempty"`
	// Acknowledged names the live replicas of the services, by Pod, that decide by policyVersion and by no older one:
	// for every request that they have begun since. A replica that is missing here has not heard of the version yet, or
	// cannot be reached. As last observed: at once after a change of the spec, else with each look for drift.
	//
	// +optional
	// +listType=set
	Acknowledged []string `json:"acknowledged,omitempty"`
	// Counts are counted when the tenant was made or changed, and with each proof of isolation.
	//
	// +optional
	Counts *TenantCounts `json:"counts,omitempty"`
	// ReadyTime is when the tenant was first Ready; placement and division code are fixed from then on.
	//
	// +optional
	ReadyTime *metav1.Time `json:"readyTime,omitempty"`
	// IsolationProvenTime is when isolation was last proven.
	//
	// +optional
	IsolationProvenTime *metav1.Time `json:"isolationProvenTime,omitempty"`
	// DropTime is when the data of a deleted tenant will be dropped.
	//
	// +optional
	DropTime *metav1.Time `json:"dropTime,omitempty"`
}

// TenantCounts are the rows that quotas bound, as last observed.
type TenantCounts struct {
	Stations  int32 `json:"stations"`
	Staff     int32 `json:"staff"`
	Residents int32 `json:"residents"`
}

// Tenant is a province, city or district on the platform: its own PostgreSQL schema, role and policies. For example:
//
//	apiVersion: circle15.dev/v1alpha1
//	kind: Tenant
//	metadata: {name: haikou}
//	spec:
//	  displayName: {zh: 海口市, en: Haikou}
//	  level: city
//	  parent: hainan
//	  divisionCode: "460100"
//	  stations: {fromDivisions: streets}
//	  policy: {grants: [{subject: zhang.wei, role: bureau_admin}]}
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=tn,categories=circle15
// +kubebuilder:printcolumn:name="Name",type=string,JSONPath=`.spec.displayName.zh`
// +kubebuilder:printcolumn:name="Level",type=string,JSONPath=`.spec.level`
// +kubebuilder:printcolumn:name="Parent",type=string,JSONPath=`.spec.parent`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Schema",type=integer,JSONPath=`.status.schemaVersion`
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.status.cluster`,priority=1
// +kubebuilder:printcolumn:name="Code",type=string,JSONPath=`.spec.divisionCode`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z][a-z0-9-]{0,38}[a-z0-9]$')",message="the name must be 2 to 40 lower-case letters, digits and hyphens, starting with a letter, because it names the schema"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.readyTime) || self.spec.divisionCode == oldSelf.spec.divisionCode",message="the division code cannot change once the tenant was Ready"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.readyTime) || (has(self.spec.database) == has(oldSelf.spec.database) && (!has(self.spec.database) || self.spec.database == oldSelf.spec.database))",message="the database placement cannot change once the tenant was Ready"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.readyTime) || (has(self.spec.parent) == has(oldSelf.spec.parent) && (!has(self.spec.parent) || self.spec.parent == oldSelf.spec.parent))",message="the parent cannot change once the tenant was Ready"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.parent) || self.spec.parent != self.metadata.name",message="a tenant cannot be its own parent"
type Tenant struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec TenantSpec `json:"spec"`
	// +optional
	Status TenantStatus `json:"status,omitzero"`
}

// TenantList is a list of tenants.
//
// +kubebuilder:object:root=true
type TenantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Tenant `json:"items"`
}

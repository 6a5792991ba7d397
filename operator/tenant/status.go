package tenant

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/provision"
)

func (s *scope) set(kind string, ok metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&s.tenant.Status.Conditions, metav1.Condition{
		Type: kind, Status: ok, Reason: reason, Message: message, ObservedGeneration: s.tenant.Generation,
	})
}

// setProvisioned sets RoleReady, SchemaReady, Migrated and PoliciesReady from what was observed after provisioning, or
// to the failure.
func setProvisioned(s *scope, have *provision.Observation, err error) {
	if err != nil {
		reason, message := describe(err)
		for _, kind := range []string{
			v1alpha1.ConditionRoleReady, v1alpha1.ConditionSchemaReady, v1alpha1.ConditionMigrated, v1alpha1.ConditionPoliciesReady,
		} {
			// What was true stays true until it is observed otherwise; what never was is told.
			if !meta.IsStatusConditionTrue(s.tenant.Status.Conditions, kind) {
				s.set(kind, metav1.ConditionFalse, reason, message)
			}
		}
		return
	}
	setRoleReady(s, have)
	setSchemaReady(s, have)
	setMigrated(s, have)
	setPoliciesReady(s, have)
	st := &s.tenant.Status
	st.Schema, st.Role, st.SchemaVersion = have.Tenant.Schema, have.Tenant.Role, int32(have.Tenant.SchemaVersion)
}

func setRoleReady(s *scope, have *provision.Observation) {
	if have.RoleExists && have.RoleOwned && have.RolePlain {
		s.set(v1alpha1.ConditionRoleReady, metav1.ConditionTrue, "AsSpecified", "the role has exactly its attributes")
		return
	}
	s.set(v1alpha1.ConditionRoleReady, metav1.ConditionFalse, "Altered", "the role is missing or has other attributes")
}

func setSchemaReady(s *scope, have *provision.Observation) {
	if have.SchemaExists && have.SchemaOwned {
		s.set(v1alpha1.ConditionSchemaReady, metav1.ConditionTrue, "Owned", "the schema bears this installation's mark")
		return
	}
	s.set(v1alpha1.ConditionSchemaReady, metav1.ConditionFalse, "NotOwned", "the schema is missing or bears no mark of this installation")
}

func setMigrated(s *scope, have *provision.Observation) {
	if have.Stalled == nil && len(have.Missing) == 0 && len(have.WrongGrants) == 0 {
		s.set(v1alpha1.ConditionMigrated, metav1.ConditionTrue, "Current", "the schema is at the operator's version")
		return
	}
	s.set(v1alpha1.ConditionMigrated, metav1.ConditionFalse, "Differs", "the schema differs from the operator's version")
}

func setPoliciesReady(s *scope, have *provision.Observation) {
	if slices.Contains(have.Drift, "policies") {
		s.set(v1alpha1.ConditionPoliciesReady, metav1.ConditionFalse, "Differs", "roles or rules differ from the specified ones")
		return
	}
	s.set(v1alpha1.ConditionPoliciesReady, metav1.ConditionTrue, "Written", written(have.Policies))
}

func written(p provision.PolicyState) string {
	if p.Replicas == 0 {
		return fmt.Sprintf("version %d is written; no replica of the services runs", p.Version)
	}
	return fmt.Sprintf("version %d is written; acknowledged by %d of %d replicas", p.Version, len(p.Acknowledged), p.Replicas)
}

// setAcknowledged tells the policy's version with the replicas that decide by it; both are of one moment.
func setAcknowledged(s *scope, p provision.PolicyState) {
	s.tenant.Status.PolicyVersion, s.tenant.Status.Acknowledged = p.Version, p.Acknowledged
	if meta.IsStatusConditionTrue(s.tenant.Status.Conditions, v1alpha1.ConditionPoliciesReady) {
		s.set(v1alpha1.ConditionPoliciesReady, metav1.ConditionTrue, "Written", written(p))
	}
}

// setPoliciesFailed takes PoliciesReady back where stations or grants at them could not be made.
func setPoliciesFailed(s *scope, err error) {
	if err != nil {
		reason, message := describe(err)
		s.set(v1alpha1.ConditionPoliciesReady, metav1.ConditionFalse, reason, message)
	}
}

func setIsolationProven(s *scope, now time.Time, err error) {
	if err != nil {
		reason, message := describe(err)
		s.set(v1alpha1.ConditionIsolationProven, metav1.ConditionFalse, reason, message)
		return
	}
	s.tenant.Status.IsolationProvenTime = &metav1.Time{Time: now}
	s.set(v1alpha1.ConditionIsolationProven, metav1.ConditionTrue, "Proven", "the tenant's role reaches no other schema")
}

func setSuspended(s *scope) {
	if s.tenant.Spec.Suspend {
		s.set(v1alpha1.ConditionSuspended, metav1.ConditionTrue, "Asked", "services and database refuse the tenant")
		return
	}
	s.set(v1alpha1.ConditionSuspended, metav1.ConditionFalse, "Active", "the tenant is served")
}

// sumUp ends a reconciliation that came to something.
func (r *Reconciler) sumUp(s *scope, err error) {
	setReady(s, r.Now(), err)
	if _, _, permanent := reasonOf(err); err == nil || permanent {
		r.places.giveBack(s.tenant.Name) // it is counted by the cluster, or does not come
	}
	if s.before.ReadyTime == nil && s.tenant.Status.ReadyTime != nil {
		r.tellf(s, "Normal", "Ready", "the tenant is on database cluster %s, schema %s", s.tenant.Status.Cluster, s.tenant.Status.Schema)
	}
}

// setReady sums the reconciliation up: Ready, phase, and the time of the first Ready.
func setReady(s *scope, now time.Time, err error) {
	st := &s.tenant.Status
	if !s.tenant.DeletionTimestamp.IsZero() {
		st.Phase = v1alpha1.PhaseDeleting
		reason, message := "Deleting", "the deletion policy is being carried out"
		if err != nil {
			reason, message = describe(err)
		} else if st.DropTime != nil {
			reason, message = "Waiting", "the data will be dropped at "+st.DropTime.UTC().Format(time.RFC3339)
		}
		s.set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
		return
	}
	if err != nil {
		st.Phase = phaseOf(st, err)
		reason, message := describe(err)
		s.set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
		return
	}
	if s.tenant.Spec.Suspend {
		st.Phase = v1alpha1.PhaseSuspended
		s.set(v1alpha1.ConditionReady, metav1.ConditionFalse, "Suspended", "the tenant is suspended")
	} else {
		st.Phase = v1alpha1.PhaseReady
		s.set(v1alpha1.ConditionReady, metav1.ConditionTrue, "Ready", "the services may serve the tenant")
	}
	if st.ReadyTime == nil {
		st.ReadyTime = &metav1.Time{Time: now}
	}
}

func phaseOf(st *v1alpha1.TenantStatus, err error) v1alpha1.Phase {
	reason, _, permanent := reasonOf(err)
	switch {
	case reason == "ParentNotReady" || reason == "ClusterNotPrepared":
		return v1alpha1.PhasePending
	case permanent:
		return v1alpha1.PhaseStalled
	case st.Cluster == "":
		return v1alpha1.PhasePending
	default:
		return v1alpha1.PhaseProvisioning
	}
}

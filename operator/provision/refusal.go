package provision

import (
	"errors"
	"fmt"
)

// Reason classes a refusal; it is stable, for conditions of Kubernetes objects and for tests.
type Reason string

// The reasons.
const (
	InvalidSpec      Reason = "InvalidSpec"      // a field breaks a rule
	UnknownDivision  Reason = "UnknownDivision"  // the division code is not in the table
	DivisionTaken    Reason = "DivisionTaken"    // a live tenant has the division code
	UnknownParent    Reason = "UnknownParent"    // no such live tenant
	WrongParent      Reason = "WrongParent"      // the parent is of the wrong level or another province
	ImmutableField   Reason = "ImmutableField"   // a field that cannot change after creation would
	ForeignSchema    Reason = "ForeignSchema"    // the schema lacks this installation's ownership mark
	ForeignRole      Reason = "ForeignRole"      // the role lacks this installation's ownership mark
	SchemaTooNew     Reason = "SchemaTooNew"     // a newer release has migrated the schema
	MigrationChanged Reason = "MigrationChanged" // a migration that was applied differs from this release's
	DataLost         Reason = "DataLost"         // a table, column or schema is gone; only a backup brings it back
	QuotaExceeded    Reason = "QuotaExceeded"    // it would make more than the tenant may have
	NotReady         Reason = "NotReady"         // the tenant is neither active nor suspended
	PermissionDenied Reason = "PermissionDenied" // the server refuses the operator's role; an administrator must act
	BeingDeleted     Reason = "BeingDeleted"     // the tenant is on its way out
	NotFound         Reason = "NotFound"         // no such tenant
	HasChildren      Reason = "HasChildren"      // live tenants have it as their parent
	PolicyForbids    Reason = "PolicyForbids"    // the tenant's deletion policy forbids dropping
	RoleInUse        Reason = "RoleInUse"        // the tenant's role has something in another database
	Unsupported      Reason = "Unsupported"      // the server's version is out of range, or it is not set up
)

// Refusal is an error that trying again does not cure: something must be changed first, and Message says what.
// Every other error of this package is worth a retry.
type Refusal struct { //nolint:errname // callers read it as a word: a refusal, with its reason
	Reason  Reason
	Field   string // of the Spec, for InvalidSpec and its like; may be empty
	Message string // one sentence for a person
}

func (r *Refusal) Error() string { return r.Message }

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func refuseField(reason Reason, field, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Field: field, Message: field + ": " + fmt.Sprintf(format, args...)}
}

// ReasonOf is the reason of a refusal in err, or "".
func ReasonOf(err error) Reason {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Reason
	}
	return ""
}

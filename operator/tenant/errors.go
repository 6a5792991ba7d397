package tenant

import (
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"circle15.dev/operator/provision"
	"circle15.dev/operator/status"
)

// stalled is a failure that trying again does not cure; its message says what to change.
type stalled struct{ reason, message string }

func (e *stalled) Error() string { return e.message }

func stall(reason, format string, args ...any) error {
	return &stalled{reason, fmt.Sprintf(format, args...)}
}

// reasonOf is the reason and message of a failure that needs a change of the spec or of the world, if err is one.
func reasonOf(err error) (reason, message string, ok bool) {
	if e, is := errors.AsType[*stalled](err); is {
		return e.reason, e.message, true
	}
	if e, is := errors.AsType[*provision.Refusal](err); is {
		return string(e.Reason), e.Message, true
	}
	return "", "", false
}

// describe gives the reason and message of any failure, without what a driver's error holds.
func describe(err error) (reason, message string) {
	if reason, message, ok := reasonOf(err); ok {
		return reason, message
	}
	return "Retrying", status.Public(err) + "; the operator tries again"
}

// conclude keeps the queue from retrying what only a change cures: the change itself queues the tenant again.
func conclude(err error) error {
	if _, _, ok := reasonOf(err); ok {
		return reconcile.TerminalError(err)
	}
	return err
}

package platform_test

import (
	"context"
	"slices"
	"testing"

	"circle15.dev/internal/testenv"
	"circle15.dev/services/platform"
)

func TestAPlatformWithANameAcknowledgesPoliciesUntilItStops(t *testing.T) {
	name := administered(t)
	provisioner := testenv.Provisioned(t).Provisioner
	listed := func() bool {
		state, err := provisioner.PolicyState(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(state.Acknowledged, "pod-1")
	}
	o := options(t)
	o.Replica = "pod-1"
	p, err := platform.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	testenv.Await(t, "the platform among those that decide by the policy", listed)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if listed() {
		t.Error("a platform that has stopped is still listed")
	}
}

//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// everyPodAcknowledgesAPolicy reads from the status of Haikou which Pods decide by its policy, and by the next one.
func everyPodAcknowledgesAPolicy(i *installation) {
	i.t.Helper()
	pods := strings.Fields(kubectl(i.t, "-n", namespace, "get", "pods", "-l", "circle15.dev/services=true", "-o", "jsonpath={.items[*].metadata.name}"))
	slices.Sort(pods)
	if len(pods) != 2 {
		i.t.Errorf("the services run in %v, want two Pods", pods)
	}
	before := awaitAcknowledged(i, pods, 1)
	kubectl(i.t, "patch", "tenant", "haikou", "--type=merge", "-p",
		`{"spec":{"policy":{"grants":[{"subject":"haikou-bureau","role":"bureau_admin"},{"subject":"haikou-auditor","role":"auditor"}]}}}`)
	after := awaitAcknowledged(i, pods, before+1)
	i.t.Logf("policy versions %d and %d of Haikou were acknowledged by %v", before, after, pods)
	i.expect(200, "GET", "/v1/auditEvents", i.token("haikou-auditor", "haikou"), nil)
}

// awaitAcknowledged returns the version, not below the least, that the Pods have acknowledged.
func awaitAcknowledged(i *installation, pods []string, least int64) int64 {
	i.t.Helper()
	var status struct {
		PolicyVersion int64    `json:"policyVersion"`
		Acknowledged  []string `json:"acknowledged"`
	}
	i.eventually("acknowledgement by every Pod", func() error {
		text, err := try("", "kubectl", "get", "tenant", "haikou", "-o", "jsonpath={.status}")
		if err == nil {
			err = json.Unmarshal([]byte(text), &status)
		}
		if err != nil || status.PolicyVersion < least || !slices.Equal(status.Acknowledged, pods) {
			return fmt.Errorf("version %d is acknowledged by %v: %w", status.PolicyVersion, status.Acknowledged, errors.Join(err, errNotYet))
		}
		return nil
	})
	return status.PolicyVersion
}

package authz

import (
	"testing"
	"time"
)

func TestASnapshotIsTrustedForASecondInDoubtAndForAMinuteWithout(t *testing.T) {
	const gap = 100 * time.Second
	p := &Policies{}
	p.gap.Store(int64(gap))
	for name, tc := range map[string]struct {
		checked, now time.Duration
		want         bool
	}{
		"read since the request began":             {gap + time.Second, gap + time.Second, true},
		"read before the gap":                      {gap - 1, gap + time.Millisecond, false},
		"read just after the gap":                  {gap, gap + time.Millisecond, true},
		"in doubt, nearly a second old":            {gap + time.Second, gap + 1900*time.Millisecond, false},
		"in doubt, half a second old":              {gap + time.Second, gap + 1500*time.Millisecond, true},
		"long after the gap, many seconds old":     {gap + time.Second, gap + 50*time.Second, true},
		"long after the gap, more than a minute":   {gap + time.Second, gap + 62*time.Second, false},
		"a request that began before the last gap": {gap + 1, gap, true},
	} {
		if got := p.trusted(&loaded{checked: tc.checked}, tc.now); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

package provision_test

import (
	"testing"

	"circle15.dev/internal/testenv"
	"circle15.dev/operator/provision"
)

// BenchmarkCreate is the time to provision one tenant on one connection, as the operator does it.
func BenchmarkCreate(b *testing.B) {
	p := testenv.Provisioned(b).Provisioner
	var specs []provision.Spec
	for range b.N {
		specs = append(specs, testenv.NextSpec(b))
	}
	b.ResetTimer()
	for _, spec := range specs {
		if _, err := p.Create(b.Context(), spec); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/tenant")
}

package tenant

import (
	"context"
	"errors"
	"log/slog"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/cluster"
)

// Scanner is what all have that look at every cluster now and then, for tenants that want another look. They run on the
// leader.
type Scanner struct {
	Client   client.Reader
	Clusters *cluster.Pool
	Drifted  chan<- event.TypedGenericEvent[*v1alpha1.Tenant]
}

// NeedLeaderElection keeps the scans on the leader.
func (*Scanner) NeedLeaderElection() bool { return true }

// eachCluster scans the prepared clusters; the failure of one, which is logged, does not keep the others from it.
func (s *Scanner) eachCluster(ctx context.Context, failure string, scan func(context.Context, string, *cluster.Handle) error) {
	for _, name := range s.Clusters.Names() {
		handle, err := s.Clusters.Get(name)
		if errors.Is(err, cluster.ErrUnknown) { // removed meanwhile
			continue
		}
		if err == nil {
			err = scan(ctx, name, handle)
		}
		if err != nil && ctx.Err() == nil {
			slog.ErrorContext(ctx, failure, "cluster", name, "error", err)
		}
	}
}

// lookAgainAt has a tenant looked at, behind new ones.
func (s *Scanner) lookAgainAt(ctx context.Context, name string) error {
	select {
	case s.Drifted <- event.TypedGenericEvent[*v1alpha1.Tenant]{Object: &v1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name}}}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

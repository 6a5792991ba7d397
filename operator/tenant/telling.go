package tenant

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/authz"
)

// Metrics beside controller-runtime's own; no tenant in a label.
var (
	phaseFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "circle15_tenant_phase_failures_total", Help: "Failed phases of tenant reconciliations.",
	}, []string{"phase", "permanent"})
	driftFound = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "circle15_tenant_drift_total", Help: "Tenants in which a drift scan found something to repair.",
	}, []string{"cluster"})
	scanSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "circle15_drift_scan_seconds", Help: "Duration of a drift scan of one cluster.",
		Buckets: prometheus.ExponentialBuckets(0.05, 2, 12),
	}, []string{"cluster"})
)

func init() { metrics.Registry.MustRegister(phaseFailures, driftFound, scanSeconds) }

// tellf writes an event on the tenant.
func (r *Reconciler) tellf(s *scope, kind, reason, format string, args ...any) {
	r.Recorder.Eventf(s.tenant, nil, kind, reason, "Reconcile", format, args...)
}

func (r *Reconciler) tellFailure(s *scope, label string, err error) {
	reason, message, permanent := reasonOf(err)
	if !permanent {
		phaseFailures.WithLabelValues(label, "false").Inc()
		return // the queue tries again, and the log has the error
	}
	phaseFailures.WithLabelValues(label, "true").Inc()
	r.tellf(s, "Warning", reason, "%s", message)
}

func provisionRules(rules []v1alpha1.Rule) []authz.Rule {
	converted := make([]authz.Rule, len(rules))
	for i, rule := range rules {
		converted[i] = authz.Rule{Role: rule.Role, Resource: rule.Resource, Action: rule.Action, Level: authz.Level(rule.Level)}
	}
	return converted
}

package tenant

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"circle15.dev/api/tenancy/v1alpha1"
)

// Metrics beside controller-runtime's own; no tenant in a label.
var (
	phaseFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "circle15_tenant_phase_failures_total", Help: "Failed phases of tenant reconciliations.",
	}, []string{"phase", "permanent"})
	driftFound = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "circle15_tenant_drift_total", Help: "Tenants in which a drift scan found something to repair.",
	}, []string{"cluster"})
	tenantsByPhase = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "circle15_tenants", Help: "Tenants by phase, as of the last drift scan.",
	}, []string{"phase"})
	scanSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "circle15_drift_scan_seconds", Help: "Duration of a drift scan of one cluster.",
		Buckets: prometheus.ExponentialBuckets(0.05, 2, 12),
	}, []string{"cluster"})
)

func init() { metrics.Registry.MustRegister(phaseFailures, driftFound, tenantsByPhase, scanSeconds) }

// tracer is of whatever OpenTelemetry provider the program has set; without one it costs nothing.
var tracer = otel.Tracer("circle15.dev/operator/tenant")

// tellf writes an event on the tenant.
func (r *Reconciler) tellf(s *scope, kind, reason, format string, args ...any) {
	r.Recorder.Eventf(s.tenant, nil, kind, reason, "Reconcile", format, args...)
}

// tellFailure writes an event when the failure is another than before: a tenant that is tried again and again, or looked
// at now and then while it is stalled, says so once.
func (r *Reconciler) tellFailure(s *scope, label string, err error) {
	_, _, permanent := reasonOf(err)
	phaseFailures.WithLabelValues(label, map[bool]string{true: "true", false: "false"}[permanent]).Inc()
	reason, message := describe(err)
	known := meta.FindStatusCondition(s.before.Conditions, v1alpha1.ConditionReady)
	if known == nil || known.Reason != reason || known.Message != message {
		r.tellf(s, "Warning", reason, "%s", message)
	}
}

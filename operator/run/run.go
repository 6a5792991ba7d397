// Package run is the operator as a program: flags, manager, controllers. End-to-end tests start it in-process.
package run

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/operator/cluster"
	"circle15.dev/operator/status"
	operatortenant "circle15.dev/operator/tenant"
)

// Options are the operator's settings; every one is a flag.
type Options struct {
	Namespace      string
	MetricsAddress string
	HealthAddress  string
	PprofAddress   string
	LeaderElect    bool
	Workers        int
	DriftEvery     time.Duration
	PoliciesEvery  time.Duration
	IsolationEvery time.Duration
	DumpFolder     string
	LogLevel       string

	// For tests.
	AfterPhase         func(label string) error
	AfterStep          func(ctx context.Context, label string) error
	Now                func() time.Time
	SkipNameValidation bool // several operators in one process register controllers of one name
}

// ParseFlags reads the command line; an unknown flag is an error.
func ParseFlags(args []string) (Options, error) {
	o := Options{Now: time.Now}
	flags := pflag.NewFlagSet("circle15-operator", pflag.ContinueOnError)
	flags.StringVar(&o.Namespace, "namespace", os.Getenv("POD_NAMESPACE"), "namespace of the connection Secrets and of the leader's lease")
	flags.StringVar(&o.MetricsAddress, "metrics-address", "127.0.0.1:8080", "address of the Prometheus metrics; 0 for none")
	flags.StringVar(&o.HealthAddress, "health-address", "127.0.0.1:8081", "address of /healthz and /readyz; 0 for none")
	flags.StringVar(&o.PprofAddress, "pprof-address", "", "address of /debug/pprof/, for profiles of CPU and memory; empty for none")
	flags.BoolVar(&o.LeaderElect, "leader-elect", false, "work only while holding the lease, so that replicas do not get in each other's way")
	flags.IntVar(&o.Workers, "workers", 8, "tenants worked on at a time")
	flags.DurationVar(&o.DriftEvery, "drift-every", 5*time.Minute, "how often each cluster's catalogs are compared with what should be there")
	flags.DurationVar(&o.PoliciesEvery, "policies-every", 10*time.Second, "how often policies' versions are compared with the Tenants' status")
	flags.DurationVar(&o.IsolationEvery, "isolation-every", 6*time.Hour, "how often isolation is proven again without a change")
	flags.StringVar(&o.DumpFolder, "dump-folder", "", "folder for the final dump of a tenant that is dropped; empty for none")
	flags.StringVar(&o.LogLevel, "log-level", "info", "debug, info, warn or error")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.Workers < 1 || o.DriftEvery <= 0 || o.PoliciesEvery <= 0 || o.IsolationEvery <= 0 {
		return o, errors.New("--workers, --drift-every, --policies-every and --isolation-every must be positive")
	}
	return o, nil
}

// Scheme knows the types that the operator works with.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// Operator runs until the context ends; it finishes what it is doing within a bound.
func Operator(ctx context.Context, config *rest.Config, o Options) error {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 200, 400 // the API server's own fairness bounds us
	grace := 20 * time.Second
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: Scheme(),
		// Who set which field is for people; thousands of objects are kept without it.
		Cache:                         cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Metrics:                       server.Options{BindAddress: o.MetricsAddress},
		HealthProbeBindAddress:        o.HealthAddress,
		PprofBindAddress:              o.PprofAddress,
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              "circle15-operator",
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &grace,
		Controller:                    ctrlconfig.Controller{SkipNameValidation: &o.SkipNameValidation},
	})
	if err != nil {
		return err
	}
	clusters := cluster.NewPool()
	defer clusters.Close()
	if err := register(ctx, mgr, clusters, o); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// objects is where one controller reads what it reconciles, and writes its status.
func objects(mgr ctrl.Manager) *status.Store {
	return status.NewStore(mgr.GetClient(), mgr.GetAPIReader())
}

func register(ctx context.Context, mgr ctrl.Manager, clusters *cluster.Pool, o Options) error {
	for field, index := range map[string]client.IndexerFunc{
		operatortenant.ParentIndex: operatortenant.IndexParent, operatortenant.DivisionIndex: operatortenant.IndexDivision,
	} {
		if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.Tenant{}, field, index); err != nil {
			return err
		}
	}
	opened := make(chan event.TypedGenericEvent[*v1alpha1.DatabaseCluster])
	databases := &cluster.Reconciler{
		Client: mgr.GetClient(), Uncached: mgr.GetAPIReader(), Objects: objects(mgr),
		Recorder: mgr.GetEventRecorder("circle15-operator"), Pool: clusters, Namespace: o.Namespace, Opened: opened, AfterStep: o.AfterStep,
	}
	if err := databases.SetupWithManager(mgr); err != nil {
		return err
	}
	drifted := make(chan event.TypedGenericEvent[*v1alpha1.Tenant])
	tenants := &operatortenant.Reconciler{
		Client: mgr.GetClient(), Objects: objects(mgr), Clusters: clusters, Recorder: mgr.GetEventRecorder("circle15-operator"), Now: o.Now,
		Workers: o.Workers, IsolationEvery: o.IsolationEvery, Dump: dumpInto(o.DumpFolder, clusters),
		AfterPhase: o.AfterPhase, Opened: opened, Drifted: drifted,
	}
	if err := tenants.SetupWithManager(mgr); err != nil {
		return err
	}
	scanner := operatortenant.Scanner{Client: mgr.GetClient(), Clusters: clusters, Drifted: drifted}
	for _, background := range []manager.Runnable{
		&operatortenant.DriftScan{Scanner: scanner, Every: o.DriftEvery},
		&operatortenant.PolicyWatch{Scanner: scanner, Every: o.PoliciesEvery},
	} {
		if err := mgr.Add(background); err != nil {
			return err
		}
	}
	if err := mgr.AddHealthzCheck("alive", healthz.Ping); err != nil {
		return err
	}
	return mgr.AddReadyzCheck("alive", healthz.Ping)
}

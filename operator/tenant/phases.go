package tenant

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/divisions"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/provision"
)

// phases of a living tenant, in order.
func (r *Reconciler) phases() []phase {
	return []phase{
		{"parent", r.checkParent},
		{"place", r.place},
		{"provision", r.provision},
		{"stations", r.stations},
		{"suspend", r.suspend},
		{"isolation", r.isolation},
		{"count", r.count},
	}
}

// Phases are the labels of the phases of a living tenant, in order.
func Phases() []string { return labels((&Reconciler{}).phases()) }

func labels(phases []phase) []string {
	l := make([]string, len(phases))
	for i, p := range phases {
		l[i] = p.label
	}
	return l
}

// checkParent waits for a parent that is on its way, and stalls on one that cannot be.
func (r *Reconciler) checkParent(ctx context.Context, s *scope) error {
	spec := &s.tenant.Spec
	if spec.Parent == "" {
		return nil
	}
	var parent v1alpha1.Tenant
	err := r.Client.Get(ctx, client.ObjectKey{Name: spec.Parent}, &parent)
	switch {
	case apierrors.IsNotFound(err):
		// Its creation queues this tenant again (becameReady).
		return stall("UnknownParent", "there is no Tenant %q; create it, or correct spec.parent", spec.Parent)
	case err != nil:
		return err
	}
	wanted := v1alpha1.LevelProvince
	if spec.Level == v1alpha1.LevelDistrict {
		wanted = v1alpha1.LevelCity
	}
	if parent.Spec.Level != wanted {
		return stall("WrongParent", "spec.parent %q is a %s; the parent of a %s is a %s", spec.Parent, parent.Spec.Level, spec.Level, wanted)
	}
	if parent.Status.ReadyTime == nil {
		return stall("ParentNotReady", "the parent %q is not Ready yet; this tenant goes on when it is", spec.Parent)
	}
	return nil
}

// provision makes, adopts, migrates or repairs role, schema and policies.
func (r *Reconciler) provision(ctx context.Context, s *scope) error {
	spec := provisionSpec(s.tenant)
	return s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		made, err := p.Create(ctx, spec)
		if err != nil {
			setProvisioned(s, nil, err)
			return err
		}
		s.did = made.Did
		observed, err := p.Observe(ctx, spec.Name)
		if err != nil {
			return err
		}
		setProvisioned(s, observed[0], nil)
		st := &s.tenant.Status
		st.Schema, st.Role, st.SchemaVersion = made.Tenant.Schema, made.Tenant.Role, int32(made.Tenant.SchemaVersion)
		if len(made.Did) > 0 && s.before.ReadyTime != nil {
			r.tellf(s, "Normal", "Repaired", "brought back into line: %s", strings.Join(made.Did, ", "))
		}
		return nil
	})
}

func provisionSpec(t *v1alpha1.Tenant) provision.Spec {
	spec := provision.Spec{
		Name: tenant.Name(t.Name), DisplayNameZh: t.Spec.DisplayName.Zh, DisplayNameEn: t.Spec.DisplayName.En,
		Level: provision.Level(t.Spec.Level), Parent: tenant.Name(t.Spec.Parent), DivisionCode: t.Spec.DivisionCode,
		Cluster: t.Status.Cluster, StandardsPack: t.Spec.StandardsPack, DeletionPolicy: provision.DeletionPolicy(t.Spec.DeletionPolicy),
		Quotas: provision.Quotas{
			Stations: t.Spec.Quotas.Stations, Staff: t.Spec.Quotas.Staff, Residents: t.Spec.Quotas.Residents,
			RequestsPerSecond: t.Spec.Quotas.RequestsPerSecond,
		},
	}
	for _, g := range t.Spec.Policy.Grants {
		spec.Policy.Grants = append(spec.Policy.Grants, provision.Grant{Subject: g.Subject, Role: g.Role})
	}
	spec.Policy.Rules = provisionRules(t.Spec.Policy.Rules)
	return spec
}

// stations creates the stations of the division table that the tenant lacks, when the object was made or has changed.
func (r *Reconciler) stations(ctx context.Context, s *scope) error {
	from := s.tenant.Spec.Stations.FromDivisions
	if from == "" || from == v1alpha1.StationsNone || s.before.ObservedGeneration == s.tenant.Generation && s.before.ReadyTime != nil {
		return nil
	}
	wanted := stationsOf(s.tenant.Spec.DivisionCode, from)
	if len(wanted) == 0 {
		return nil
	}
	return s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		created, err := p.EnsureStations(ctx, tenant.Name(s.tenant.Name), r.today(), wanted)
		if created > 0 {
			r.tellf(s, "Normal", "StationsCreated", "created %d stations from the division table", created)
		}
		return err
	})
}

// stationsOf lists the townships below a division: streets (街道) alone, or all.
func stationsOf(code string, from v1alpha1.StationSource) []provision.Station {
	var stations []provision.Station
	for _, d := range divisions.Children(code) {
		if len(d.Code) < 9 {
			stations = append(stations, stationsOf(d.Code, from)...)
			continue
		}
		if from == v1alpha1.StationsFromTownships || strings.HasSuffix(d.Name, "街道") || strings.HasSuffix(d.Name, "街道办事处") {
			stations = append(stations, provision.Station{DivisionCode: d.Code, DisplayName: d.Name + "社工站"})
		}
	}
	return stations
}

func (r *Reconciler) today() time.Time {
	y, m, d := r.Now().In(time.FixedZone("Asia/Shanghai", 8*60*60)).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// suspend makes the control schema and the database agree with spec.suspend.
func (r *Reconciler) suspend(ctx context.Context, s *scope) error {
	return s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		act := p.Resume
		if s.tenant.Spec.Suspend {
			act = p.Suspend
		}
		done, err := act(ctx, tenant.Name(s.tenant.Name))
		setSuspended(s, err)
		if err == nil && slices.Contains(done.Did, "state") {
			r.tellf(s, "Normal", map[bool]string{true: "Suspended", false: "Resumed"}[s.tenant.Spec.Suspend], "the services were told")
		}
		return err
	})
}

// isolation is proven after each change and again after a while.
func (r *Reconciler) isolation(ctx context.Context, s *scope) error {
	now, last := r.Now(), s.tenant.Status.IsolationProvenTime
	due := last == nil || len(s.did) > 0 || s.before.ObservedGeneration != s.tenant.Generation || !now.Before(last.Add(r.IsolationEvery))
	if due {
		err := s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
			return p.ProveIsolation(ctx, tenant.Name(s.tenant.Name))
		})
		setIsolationProven(s, now, err)
		if err != nil {
			return err
		}
		last = &metav1.Time{Time: now}
	}
	// Jitter keeps thousands of tenants that were made together from being proven together.
	s.again = last.Add(r.IsolationEvery).Sub(now) + rand.N(r.IsolationEvery/10+1) //nolint:gosec // spread, not secrecy
	return nil
}

// count reads what quotas bound. It is for people: a failure to count does not make a tenant unready.
func (r *Reconciler) count(ctx context.Context, s *scope) error {
	return s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		c, err := p.Counts(ctx, tenant.Name(s.tenant.Name))
		if err != nil {
			return err
		}
		s.tenant.Status.Counts = &v1alpha1.TenantCounts{Stations: int32(c.Stations), Staff: int32(c.Staff), Residents: int32(c.Residents)}
		s.tenant.Status.PolicyVersion = c.PolicyVersion
		return nil
	})
}

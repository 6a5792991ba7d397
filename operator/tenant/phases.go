package tenant

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"circle15.dev/api/tenancy/v1alpha1"
	"circle15.dev/internal/divisions"
	"circle15.dev/internal/tenant"
	"circle15.dev/operator/cluster"
	"circle15.dev/operator/provision"
)

// phases of a living tenant, in order.
func (r *Reconciler) phases() []phase {
	return []phase{
		{"spec", checkSpec},
		{"parent", r.checkParent},
		{"division", r.checkDivision},
		{"place", r.place},
		{"provision", r.provision},
		{"stations", r.stations},
		{"grants", r.grants},
		{"suspend", r.suspend},
		{"isolation", r.isolation},
		{"count", r.count},
		{"acknowledged", r.acknowledged},
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
	if spec.Parent == "" || s.settled {
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
	if parent.Spec.DivisionCode[:2] != spec.DivisionCode[:2] {
		return stall("WrongParent", "division %s is not in the province of spec.parent %q (%s); correct one of them",
			spec.DivisionCode, spec.Parent, parent.Spec.DivisionCode)
	}
	if !parent.DeletionTimestamp.IsZero() {
		return stall("UnknownParent", "spec.parent %q is being deleted; create it again, or correct spec.parent", spec.Parent)
	}
	if parent.Status.ReadyTime == nil {
		return stall("ParentNotReady", "the parent %q is not Ready yet; this tenant goes on when it is", spec.Parent)
	}
	return nil
}

// checkDivision stalls on a division code that an older Tenant has. Each database cluster refuses a second tenant of a
// division by itself; here those of other clusters count too.
func (r *Reconciler) checkDivision(ctx context.Context, s *scope) error {
	if s.before.ReadyTime != nil {
		return nil
	}
	var list v1alpha1.TenantList
	if err := r.Client.List(ctx, &list, client.MatchingFields{DivisionIndex: s.tenant.Spec.DivisionCode}); err != nil {
		return err
	}
	for i := range list.Items {
		other := &list.Items[i]
		if other.UID != s.tenant.UID && other.DeletionTimestamp.IsZero() && goesBefore(other, s.tenant) {
			return stall("DivisionTaken", "spec.divisionCode %s is that of Tenant %q; correct it, or delete that Tenant",
				s.tenant.Spec.DivisionCode, other.Name)
		}
	}
	return nil
}

// goesBefore says which of two tenants of one division has it: one that was Ready, else the older.
func goesBefore(a, b *v1alpha1.Tenant) bool {
	if a.Status.ReadyTime != nil {
		return true
	}
	if order := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); order != 0 {
		return order < 0
	}
	return a.Name < b.Name
}

// provision makes, adopts, migrates or repairs role, schema and policies. For a settled tenant it looks first, and most
// often that is all.
func (r *Reconciler) provision(ctx context.Context, s *scope) error {
	spec := provisionSpec(s.tenant)
	return s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		if s.settled {
			observed, err := look(ctx, s.handle, p, spec)
			if err != nil {
				setProvisioned(s, nil, err)
				return err
			}
			if len(observed.Drift) == 0 && observed.Stalled == nil {
				s.policies = &observed.Policies
				setProvisioned(s, observed, nil)
				return nil
			}
		}
		if err := r.checkStillThere(ctx, s, p); err != nil {
			setProvisioned(s, nil, err)
			return err
		}
		made, err := p.Create(ctx, spec)
		s.handle.Outdated(spec.Name)
		if err != nil {
			setProvisioned(s, nil, err)
			return err
		}
		s.did = made.Did
		observed, err := p.Inspect(ctx, spec)
		if err != nil {
			return err
		}
		setProvisioned(s, observed, nil)
		if len(made.Did) > 0 && s.settled {
			r.tellf(s, "Normal", "Repaired", "brought back into line: %s", strings.Join(made.Did, ", "))
		}
		return nil
	})
}

// checkStillThere stalls on a tenant that was Ready and of which the database knows nothing: it is another database than
// it was, or has lost it, and an empty tenant would look like the one that was there.
func (r *Reconciler) checkStillThere(ctx context.Context, s *scope, p *provision.Provisioner) error {
	if s.before.ReadyTime == nil {
		return nil
	}
	observed, err := p.Inspect(ctx, provisionSpec(s.tenant))
	if err != nil || observed.Tenant != nil || observed.SchemaExists {
		return err
	}
	return stall(string(provision.DataLost), "the database of DatabaseCluster %q does not hold the tenant, which was Ready there: "+
		"see whether its Secret names the right database, restore a backup, or delete this Tenant and create it again, empty",
		s.tenant.Status.Cluster)
}

// seenLately is how old what a scan of the cluster saw may be to stand for a look at one tenant.
const seenLately = 2 * time.Minute

// look asks the database only where no scan of the whole cluster has just done so: after a start of the operator all
// tenants are looked at.
func look(ctx context.Context, h *cluster.Handle, p *provision.Provisioner, spec provision.Spec) (*provision.Observation, error) {
	if seen := h.Seen(spec.Name, seenLately); seen != nil {
		return p.Judge(ctx, seen, spec)
	}
	return p.Inspect(ctx, spec)
}

// stations creates the stations of the division table that the tenant lacks, when the object was made or has changed.
func (r *Reconciler) stations(ctx context.Context, s *scope) error {
	from := s.tenant.Spec.Stations.FromDivisions
	if s.settled || from == "" || from == v1alpha1.StationsNone {
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
		setPoliciesFailed(s, err)
		return err
	})
}

// grants gives the roles at single stations, which exist by now.
func (r *Reconciler) grants(ctx context.Context, s *scope) error {
	grants := stationGrants(s.tenant)
	if s.settled || len(grants) == 0 && s.before.ReadyTime == nil {
		return nil
	}
	return s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		err := p.EnsureStationGrants(ctx, tenant.Name(s.tenant.Name), grants)
		setPoliciesFailed(s, err)
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

// suspend tells of what provisioning has done about spec.suspend: the state in the control schema, which the services
// follow, and the role's membership.
func (r *Reconciler) suspend(_ context.Context, s *scope) error {
	was := meta.IsStatusConditionTrue(s.before.Conditions, v1alpha1.ConditionSuspended)
	setSuspended(s)
	switch {
	case s.tenant.Spec.Suspend && !was:
		r.tellf(s, "Normal", "Suspended", "services and database refuse the tenant from now on")
	case !s.tenant.Spec.Suspend && was:
		r.tellf(s, "Normal", "Resumed", "the tenant is served again")
	}
	return nil
}

// isolation is proven after each change and again after a while.
func (r *Reconciler) isolation(ctx context.Context, s *scope) error {
	now, last := r.Now(), s.tenant.Status.IsolationProvenTime
	s.thorough = last == nil || len(s.did) > 0 || !s.settled || !now.Before(last.Add(r.IsolationEvery))
	if s.thorough {
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

// count reads what quotas bound, as often as isolation is proven. It is for people: a failure
// to count does not make a tenant unready.
func (r *Reconciler) count(ctx context.Context, s *scope) error {
	if !s.thorough {
		return nil
	}
	return s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
		c, err := p.Counts(ctx, tenant.Name(s.tenant.Name))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			slog.WarnContext(ctx, "rows were not counted", "tenant", s.tenant.Name, "error", err)
			return nil
		}
		s.tenant.Status.Counts = &v1alpha1.TenantCounts{Stations: int32(c.Stations), Staff: int32(c.Staff), Residents: int32(c.Residents)}
		return nil
	})
}

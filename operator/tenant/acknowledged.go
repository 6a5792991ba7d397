package tenant

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"circle15.dev/internal/tenant"
	"circle15.dev/operator/provision"
)

const (
	// lookForAcknowledgements is how often a tenant is looked at while a live replica has yet to acknowledge its policy,
	// and for how long; after that the drift scan notices.
	lookForAcknowledgements = 2 * time.Second
	lookAtMost              = 30 * time.Second
)

// acknowledged tells which version the policy has by now, and which replicas of the services decide by it. It is for
// people: a failure to read it does not make a tenant unready.
func (r *Reconciler) acknowledged(ctx context.Context, s *scope) error {
	state := s.policies
	if state == nil || !state.Complete() { // written just now, or seen before the replicas could hear of it
		err := s.handle.Do(ctx, func(ctx context.Context, p *provision.Provisioner) error {
			now, err := p.PolicyState(ctx, tenant.Name(s.tenant.Name))
			state = &now
			return err
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			slog.WarnContext(ctx, "acknowledgements were not read", "tenant", s.tenant.Name, "error", err)
			return nil
		}
	}
	setAcknowledged(s, *state)
	if wait := r.unacknowledged.wait(s.tenant.Name, *state, r.Now()); wait > 0 && (s.again == 0 || wait < s.again) {
		s.again = wait
	}
	return nil
}

// unacknowledged are the tenants with a policy that some live replica has yet to acknowledge.
type unacknowledged struct {
	mu sync.Mutex
	of map[string]waiting
}

type waiting struct {
	version int64
	until   time.Time
}

// wait is when to look at the tenant again; 0: not for this.
func (u *unacknowledged) wait(name string, state provision.PolicyState, now time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state.Complete() {
		delete(u.of, name)
		return 0
	}
	w, known := u.of[name]
	switch {
	case !known || w.version != state.Version:
		if u.of == nil {
			u.of = map[string]waiting{}
		}
		u.of[name] = waiting{state.Version, now.Add(lookAtMost)}
	case now.After(w.until):
		delete(u.of, name)
		return 0
	}
	return lookForAcknowledgements
}

func (u *unacknowledged) forget(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.of, name)
}

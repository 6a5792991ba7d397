package visits

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authn"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
	"circle15.dev/internal/validate"
	"circle15.dev/internal/write"
)

// SyncVisits stores visits that were recorded offline. The whole batch is one transaction, so that an acknowledged
// visit is stored and counted; what could make a visit fail is found before anything is inserted, so that a bad one
// keeps none of the others out.
func (s *Service) SyncVisits(ctx context.Context, req *visitsv1.SyncVisitsRequest) (*visitsv1.SyncVisitsResponse, error) {
	by, err := authn.Subject(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := entriesOf(req.GetVisits())
	if err != nil {
		return nil, err
	}
	return write.Do(ctx, s.db, req, func(ctx context.Context, tx *tenantdb.Tx) (*visitsv1.SyncVisitsResponse, error) {
		b := newBatch(entries)
		if err := b.meetStored(ctx, tx); err != nil {
			return nil, err
		}
		if err := b.takePlans(ctx, tx); err != nil {
			return nil, err
		}
		if err := b.resolve(ctx, tx); err != nil {
			return nil, err
		}
		if err := b.store(ctx, tx, by); err != nil {
			return nil, err
		}
		return &visitsv1.SyncVisitsResponse{Results: b.results}, nil
	})
}

// entry is one visit of a batch as read: told is good unless fault says why not.
type entry struct {
	sentID string // as the client wrote it
	id     uuid.UUID
	told   content
	fault  *apierr.Error
}

// entriesOf reads the visits, each for itself. The error is none of a visit.
func entriesOf(visits []*visitsv1.Visit) ([]entry, error) {
	entries := make([]entry, len(visits))
	for i, v := range visits {
		e := &entries[i]
		e.sentID = v.GetId()
		err := e.read(v)
		if err == nil {
			continue
		}
		if e.fault = faultOf(err); e.fault == nil {
			return nil, err
		}
	}
	return entries, nil
}

func (e *entry) read(v *visitsv1.Visit) (err error) {
	if v.GetId() == "" {
		return apierr.InvalidField("id", "is required: a visit recorded offline has the id that the client made")
	}
	if err = validate.Message("", v); err != nil {
		return err
	}
	if e.id, err = ids.Made("id", v.GetId()); err != nil {
		return err
	}
	if e.told, err = contentOf("", v); err != nil {
		return err
	}
	e.told, err = e.told.tookPlace("")
	return err
}

// faultOf is an error that is the fault of one visit; nil for another, which is one of the whole batch.
func faultOf(err error) *apierr.Error {
	var fault *apierr.Error
	if errors.As(err, &fault) && fault.Kind == apierr.Invalid {
		return fault
	}
	return nil
}

// batch is the work of one attempt at storing entries. A visit is settled once it has a result.
type batch struct {
	entries  []entry
	results  []*visitsv1.SyncResult
	stations []uuid.UUID            // of the entries that resolved
	plans    map[uuid.UUID]visitRow // the planned visits that entries complete
}

// newBatch rejects what is not even well formed.
func newBatch(entries []entry) *batch {
	b := &batch{
		entries: slices.Clone(entries), results: make([]*visitsv1.SyncResult, len(entries)), stations: make([]uuid.UUID, len(entries)),
		plans: map[uuid.UUID]visitRow{},
	}
	for i, e := range entries {
		if e.fault != nil {
			b.reject(i, e.fault, nil)
		}
	}
	return b
}

// open are the indexes of the visits that have no result yet.
func (b *batch) open() []int {
	var out []int
	for i, result := range b.results {
		if result == nil {
			out = append(out, i)
		}
	}
	return out
}

func (b *batch) settle(i int, outcome visitsv1.SyncOutcome, stored visitRow) {
	b.results[i] = &visitsv1.SyncResult{Id: b.entries[i].sentID, Outcome: outcome, Visit: stored.toProto()}
}

func (b *batch) reject(i int, fault *apierr.Error, stored *visitsv1.Visit) {
	out := &visitsv1.SyncError{Reason: string(fault.Kind), Message: fault.Message}
	for _, f := range fault.Fields {
		out.Fields = append(out.Fields, &visitsv1.SyncFieldError{Field: f.Name, Message: f.Description})
	}
	b.results[i] = &visitsv1.SyncResult{
		Id: b.entries[i].sentID, Outcome: visitsv1.SyncOutcome_SYNC_OUTCOME_REJECTED, Error: out, Visit: stored,
	}
}

// meet settles a visit whose id is taken: by itself, sent before, or by another one.
func (b *batch) meet(i int, stored storedVisit) {
	conflict := func(message string, visit *visitsv1.Visit) {
		b.reject(i, apierr.New(apierr.Conflict, "%s", message).With("id", "is taken"), visit)
	}
	switch {
	case !stored.Visible:
		conflict("another visit has this id", nil)
	case stored.State == void:
		b.settle(i, visitsv1.SyncOutcome_SYNC_OUTCOME_VOID, stored.visitRow)
	case stored.State == planned:
		conflict("the visit that was planned with this id is another one", stored.toProto())
	case stored.State == cancelled:
		conflict("the visit that was planned with this id was cancelled", stored.toProto())
	case stored.same(b.entries[i].told.over(stored.content)):
		b.settle(i, visitsv1.SyncOutcome_SYNC_OUTCOME_UNCHANGED, stored.visitRow)
	default:
		conflict("the visit was stored before with another content", stored.toProto())
	}
}

// meetStored settles the open visits whose ids are stored already. Planned ones stay open: see takePlans.
func (b *batch) meetStored(ctx context.Context, tx *tenantdb.Tx) error {
	open := b.open()
	if len(open) == 0 {
		return nil
	}
	wanted := make([]uuid.UUID, len(open))
	for n, i := range open {
		wanted[n] = b.entries[i].id
	}
	stored, err := selectStored(ctx, tx, wanted)
	if err != nil {
		return err
	}
	for _, i := range open {
		row, ok := stored[b.entries[i].id]
		switch {
		case !ok:
		case row.Visible && row.State == planned:
			b.plans[row.ID] = row.visitRow
		default:
			b.meet(i, row)
		}
	}
	return nil
}

// resolve rejects the open visits that name what is not there or not in scope.
func (b *batch) resolve(ctx context.Context, tx *tenantdb.Tx) error {
	open := b.inOrder()
	told := make([]content, len(open))
	for n, i := range open {
		told[n] = b.entries[i].told
	}
	refs, err := load(ctx, tx, told...)
	if err != nil {
		return err
	}
	refs.offline = true
	for n, i := range open {
		plan, isPlan := b.plans[b.entries[i].id]
		station := plan.StationID
		if !isPlan {
			station, err = refs.station("", told[n])
		}
		if err == nil {
			err = refs.check(ctx, "", told[n], plan.content, station)
		}
		b.stations[i] = station
		if err == nil {
			refs.completes(b.entries[i].id, told[n])
			continue
		}
		fault := faultOf(err)
		if fault == nil {
			return err
		}
		b.reject(i, fault, nil)
	}
	return nil
}

// inOrder are the open visits, each after the one of the batch that it follows up. Those that follow up each other come
// last, and will not find them.
func (b *batch) inOrder() []int {
	waiting, out := b.open(), []int(nil)
	for len(waiting) > 0 {
		left := make(map[uuid.UUID]bool, len(waiting))
		for _, i := range waiting {
			left[b.entries[i].id] = true
		}
		var later []int
		for _, i := range waiting {
			if of := b.entries[i].told.FollowUpOf; of != nil && left[*of] {
				later = append(later, i)
			} else {
				out = append(out, i)
			}
		}
		if len(later) == len(waiting) {
			return append(out, later...)
		}
		waiting = later
	}
	return out
}

// store inserts the open visits, or completes their plans, and counts them. A visit that occurs twice in the batch is stored
// once, and one that another client has stored since meetStored looked is not stored again.
func (b *batch) store(ctx context.Context, tx *tenantdb.Tx, by string) error {
	open := b.open()
	if len(open) == 0 {
		return nil
	}
	stored, err := b.write(ctx, tx, by)
	if err != nil {
		return err
	}
	for _, i := range open {
		if _, ok := stored[b.entries[i].id]; !ok && followedUp(stored, b.entries[i].id) {
			return errSendAgain() // the visit that is there in its place may be another one
		}
	}
	settled := make(map[uuid.UUID]bool, len(open))
	var counted []facts.Fact
	for _, i := range open {
		row, ok := stored[b.entries[i].id]
		switch {
		case !ok: // another client's insert came first; settled below
		case settled[row.ID]: // a twin's
			b.meet(i, storedVisit{visitRow: row, Visible: true})
		default:
			settled[row.ID] = true
			b.settle(i, b.outcome(row.ID), row)
			counted = append(counted, row.facts()...)
		}
	}
	if err := facts.Append(ctx, tx, counted...); err != nil {
		return err
	}
	if err := b.meetStored(ctx, tx); err != nil {
		return err
	}
	if len(b.open()) > 0 {
		return errSendAgain()
	}
	return nil
}

// errSendAgain is for a batch that met visits which others stored meanwhile: sent again, it meets them from the start.
func errSendAgain() error {
	return apierr.New(apierr.Unavailable, "the visits could not be stored; send them again")
}

// write stores the open visits, of twins the first, and returns what is stored by id.
func (b *batch) write(ctx context.Context, tx *tenantdb.Tx, by string) (map[uuid.UUID]visitRow, error) {
	var fresh, plans []visitRow
	seen := map[uuid.UUID]bool{}
	for _, i := range b.open() {
		e := b.entries[i]
		if seen[e.id] {
			continue
		}
		seen[e.id] = true
		row := visitRow{ID: e.id, StationID: b.stations[i], content: e.told, State: completed}
		if _, ok := b.plans[e.id]; ok {
			plans = append(plans, row)
		} else {
			fresh = append(fresh, row)
		}
	}
	created, err := insertAll(ctx, tx, fresh, by)
	if err != nil {
		return nil, err
	}
	done, err := completeAll(ctx, tx, plans) // which may follow up what was just inserted
	out := make(map[uuid.UUID]visitRow, len(seen))
	for _, row := range append(created, done...) {
		out[row.ID] = row
	}
	return out, err
}

package visits

import (
	"context"
	"errors"

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
	stations []uuid.UUID // of the entries that resolved
}

// newBatch rejects what is not even well formed.
func newBatch(entries []entry) *batch {
	b := &batch{
		entries: entries, results: make([]*visitsv1.SyncResult, len(entries)), stations: make([]uuid.UUID, len(entries)),
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
	switch {
	case !stored.Visible:
		b.reject(i, apierr.New(apierr.Conflict, "another visit has this id").With("id", "is taken"), nil)
	case stored.same(b.entries[i].told):
		b.settle(i, visitsv1.SyncOutcome_SYNC_OUTCOME_UNCHANGED, stored.visitRow)
	default:
		fault := apierr.New(apierr.Conflict, "the visit was stored before with another content").With("id", "is taken")
		b.reject(i, fault, stored.toProto())
	}
}

// meetStored settles the open visits whose ids are stored already.
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
		if row, ok := stored[b.entries[i].id]; ok {
			b.meet(i, row)
		}
	}
	return nil
}

// resolve rejects the open visits that name what is not there or not in scope.
func (b *batch) resolve(ctx context.Context, tx *tenantdb.Tx) error {
	open := b.open()
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
		station, err := refs.station("", told[n])
		if err == nil {
			err = refs.check(ctx, "", told[n], content{}, station)
		}
		b.stations[i] = station
		if err == nil {
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

// store inserts the open visits and counts them. A visit that occurs twice in the batch is stored once, and one that
// another client has stored since meetStored looked is not stored again.
func (b *batch) store(ctx context.Context, tx *tenantdb.Tx, by string) error {
	open := b.open()
	if len(open) == 0 {
		return nil
	}
	fresh := make(map[uuid.UUID]visitRow, len(open))
	for _, i := range open {
		e := b.entries[i]
		if _, twin := fresh[e.id]; !twin {
			fresh[e.id] = visitRow{ID: e.id, StationID: b.stations[i], content: e.told, State: completed}
		}
	}
	created, err := insertAll(ctx, tx, fresh, by)
	if err != nil {
		return err
	}
	var counted []facts.Fact
	for _, i := range open {
		row, ok := created[b.entries[i].id]
		_, first := fresh[row.ID]
		switch {
		case !ok: // another client's insert came first; settled below
		case !first: // a twin's
			b.meet(i, storedVisit{visitRow: row, Visible: true})
		default:
			delete(fresh, row.ID)
			b.settle(i, visitsv1.SyncOutcome_SYNC_OUTCOME_CREATED, row)
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
		return apierr.New(apierr.Unavailable, "the visits could not be stored; send them again")
	}
	return nil
}

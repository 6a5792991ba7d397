package rpcserver

import (
	"context"
	"sync"

	"circle15.dev/internal/apierr"
)

// How many messages may be arriving at the gRPC door at once. One that is there already, as nearly all are, takes its
// place for microseconds; the places are for the slow, each of which may hold limits.body of memory before anything has
// looked at it.
const (
	maxArriving         = 32   // messages, of all callers: 128 MiB by default
	maxArrivingOfCaller = 8    // so that no caller takes all places
	maxCallsOfCaller    = 1024 // with those that wait for a place, each of which may hold a stream's window
	maxArrivingOpen     = 8    // messages of callers without a token to one service that asks for none; none of them waits
)

// intake gives out the places of arriving messages.
type intake struct {
	all              chan struct{}
	ofCaller, queued int

	mu      sync.Mutex
	callers map[string]*arrivals
}

// arrivals are those of one caller.
type arrivals struct {
	places chan struct{}
	calls  int // that have a place or wait for one
}

// newIntake has places for all messages together and of one caller, of whom as many calls as queued may be waiting
// or arriving.
func newIntake(all, ofCaller, queued int) *intake {
	return &intake{all: make(chan struct{}, all), ofCaller: ofCaller, queued: queued, callers: map[string]*arrivals{}}
}

// enter takes a place for a message of the caller, waiting for it until ctx ends; leave gives it back. Errors:
// RateLimited for a caller of whom too many calls wait already, and those of ctx.
func (in *intake) enter(ctx context.Context, caller string) (leave func(), err error) {
	a, err := in.join(caller)
	if err != nil {
		return nil, err
	}
	if err := take(ctx, a.places); err != nil {
		in.quit(caller, a)
		return nil, err
	}
	if err := take(ctx, in.all); err != nil {
		<-a.places
		in.quit(caller, a)
		return nil, err
	}
	return func() {
		<-in.all
		<-a.places
		in.quit(caller, a)
	}, nil
}

func (in *intake) join(caller string) (*arrivals, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.callers[caller]
	if a == nil {
		a = &arrivals{places: make(chan struct{}, in.ofCaller)}
		in.callers[caller] = a
	}
	if a.calls >= in.queued {
		return nil, apierr.New(apierr.RateLimited, "too many messages are arriving at once; try again in a second")
	}
	a.calls++
	return a, nil
}

func (in *intake) quit(caller string, a *arrivals) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if a.calls--; a.calls == 0 {
		delete(in.callers, caller)
	}
}

func take(ctx context.Context, places chan<- struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

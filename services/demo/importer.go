// Package demo brings the demo data into a running platform, through its REST API like any other client.
package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	iamv1 "circle15.dev/api/iam/v1"
	visitsv1 "circle15.dev/api/visits/v1"
	"circle15.dev/services/demo/haikou"
	"circle15.dev/services/demo/restclient"
)

// Importer sends a plan. It may be stopped at any moment and run again: every request carries its id and its idempotency
// key, so what was done before is not done twice.
type Importer struct {
	Base          string   // of the platform
	Token         string   // of a bureau administrator
	SecurityToken string   // of a security administrator, who alone gives roles
	Workers       int      // requests at a time; 0 means 8
	Progress      Progress // nil: silent
	// Patience is how long a request is repeated while the platform is away. 0: not at all.
	Patience time.Duration
}

// Progress is told how the import gets on.
type Progress interface {
	Begin(phase string, requests int) // the next phase
	Done()                            // one request more
	End()                             // of the last phase
}

// Imported says whether the seed's plan was carried out to its last step.
func (i *Importer) Imported(ctx context.Context, seed uint64) (bool, error) {
	err := i.client(i.Token).Call(ctx, haikou.LastStep(seed), nil)
	var problem *restclient.Problem
	if errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// Run sends the plan: phase after phase, in each several chains at a time. It stops at the first error.
func (i *Importer) Run(ctx context.Context, plan *haikou.Plan) error {
	by := clients{bureau: i.client(i.Token), security: i.client(i.SecurityToken)}
	progress := i.Progress
	if progress == nil {
		progress = silent{}
	}
	defer progress.End()
	for _, phase := range plan.Phases {
		progress.Begin(phase.Name, phase.Calls())
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(i.workers())
		for _, chain := range phase.Chains {
			group.Go(func() error { return send(ctx, by, chain, progress) })
		}
		if err := group.Wait(); err != nil {
			return fmt.Errorf("the import stopped at %s: %w", phase.Name, err)
		}
	}
	return nil
}

func (i *Importer) workers() int {
	if i.Workers == 0 {
		return 8
	}
	return i.Workers
}

// clients send what their holders may.
type clients struct{ bureau, security *restclient.Client }

func (c clients) of(request proto.Message) *restclient.Client {
	if _, ok := request.(*iamv1.CreateRoleGrantRequest); ok {
		return c.security
	}
	return c.bureau
}

func (i *Importer) client(token string) *restclient.Client {
	return &restclient.Client{
		Base: i.Base, Token: token, Patience: i.Patience,
		HTTP: &http.Client{
			Timeout:   time.Minute,
			Transport: &http.Transport{MaxIdleConnsPerHost: i.workers(), IdleConnTimeout: 10 * time.Second},
		},
	}
}

// send sends the requests of a chain one after another.
func send(ctx context.Context, by clients, chain haikou.Chain, progress Progress) error {
	for _, request := range chain {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := sendOne(ctx, by.of(request), request); err != nil {
			return err
		}
		progress.Done()
	}
	return nil
}

// sendOne sends a request. A batch of visits is answered visit by visit.
func sendOne(ctx context.Context, client *restclient.Client, request proto.Message) error {
	batch, ok := request.(*visitsv1.SyncVisitsRequest)
	if !ok {
		return client.Call(ctx, request, nil)
	}
	var reply visitsv1.SyncVisitsResponse
	if err := client.Call(ctx, batch, &reply); err != nil {
		return err
	}
	for _, result := range reply.GetResults() {
		if result.GetOutcome() == visitsv1.SyncOutcome_SYNC_OUTCOME_REJECTED {
			return fmt.Errorf("the visit %s was rejected: %s", result.GetId(), result.GetError().GetMessage())
		}
	}
	return nil
}

type silent struct{}

func (silent) Begin(string, int) {}
func (silent) Done()             {}
func (silent) End()              {}

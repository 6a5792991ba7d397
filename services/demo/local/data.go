package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"circle15.dev/services/demo"
	"circle15.dev/services/demo/haikou"
	"circle15.dev/services/demo/restclient"
)

// bringData imports what is not there yet.
func (s *service) bringData(ctx context.Context) error {
	token, err := s.token(principals.importer)
	if err != nil {
		return err
	}
	security, err := s.token(principals.securityAdmin)
	if err != nil {
		return err
	}
	i := &demo.Importer{Base: s.base(), Token: token, SecurityToken: security, Patience: 10 * time.Second}
	there, err := i.Imported(ctx, haikou.DefaultSeed)
	if there || err != nil {
		return err
	}
	plan, err := haikou.New(haikou.DefaultSeed)
	if err != nil {
		return err
	}
	sayf(s.out, "Importing the demo data of Haikou through the REST API ...")
	i.Progress = demo.ShowProgress(s.out, plan.Calls())
	err = s.database.hastily(ctx, func() error { return i.Run(ctx, plan) })
	var problem *restclient.Problem
	if errors.As(err, &problem) && problem.Kind() == "already-exists" {
		return fmt.Errorf("%w; the import was cut short too long ago to be continued, so begin anew with --reset", err)
	}
	return err
}

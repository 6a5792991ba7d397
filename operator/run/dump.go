package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"circle15.dev/internal/tenant"
	"circle15.dev/operator/cluster"
	"circle15.dev/operator/provision"
	operatortenant "circle15.dev/operator/tenant"
)

// dumpInto writes final dumps into a folder: <tenant>.tar, complete or not there at all.
func dumpInto(folder string, clusters *cluster.Pool) operatortenant.Dumper {
	if folder == "" {
		return nil
	}
	return func(ctx context.Context, name tenant.Name, clusterName string) (err error) {
		handle, err := clusters.Get(clusterName)
		if err != nil {
			return err
		}
		file, err := os.CreateTemp(folder, "."+string(name)+"-*.tar")
		if err != nil {
			return fmt.Errorf("the final dump cannot be written: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(file.Name())) }()
		return writeDump(ctx, handle.Provisioner, name, file, filepath.Join(folder, string(name)+".tar"))
	}
}

func writeDump(ctx context.Context, p *provision.Provisioner, name tenant.Name, file *os.File, to string) error {
	if err := errors.Join(p.Dump(ctx, name, file), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), to)
}

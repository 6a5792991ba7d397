// Command image packs static binaries into an image archive (the format of `docker load`, `ctr images import` and
// `kind load image-archive`), without a container engine: no base image, a non-root user, the CA certificates of this
// machine, and each binary in the root under its own name. The first binary is the entrypoint.
//
//	image REF OUT.tar BINARY [BINARY ...]
//
// The archive depends on its inputs alone: times are zero, so the same binaries give the same digest.
package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// user is the "nonroot" user of distroless images.
const user = "65532:65532"

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: image REF OUT.tar BINARY [BINARY ...]")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func pack(ref, out string, binaries []string) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	files, err := archive(binaries)
	if err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files)), nil
	})
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	image, err = configure(image, "/"+filepath.Base(binaries[0]))
	if err != nil {
		return err
	}
	return tarball.WriteToFile(out, tag, image)
}

func archive(binaries []string) ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, dir := range []string{"tmp/", "etc/", "etc/ssl/", "etc/ssl/certs/"} {
		mode := int64(0o755)
		if dir == "tmp/" {
			mode = 0o1777
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: mode}); err != nil {
			return nil, err
		}
	}
	if err := add(w, "etc/passwd", 0o644, []byte("nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")); err != nil {
		return nil, err
	}
	if certificates, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt"); err == nil {
		if err := add(w, "etc/ssl/certs/ca-certificates.crt", 0o644, certificates); err != nil {
			return nil, err
		}
	}
	for _, path := range binaries {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if err := add(w, filepath.Base(path), 0o755, content); err != nil {
			return nil, err
		}
	}
	return buffer.Bytes(), w.Close()
}

func add(w *tar.Writer, path string, mode int64, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: path, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

func configure(image v1.Image, entrypoint string) (v1.Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Entrypoint = []string{entrypoint}
	config.Config.User = user
	// The binaries are found by their names alone, as Tilt calls tar.
	config.Config.Env = []string{"PATH=/"}
	return mutate.ConfigFile(image, config)
}

//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// aChangedBinaryRunsWithoutANewPod updates a container in place as the development loop does: the development image, and
// an archive of the new binary on the standard input of tar, in the container.
func aChangedBinaryRunsWithoutANewPod(i *installation, chart string) {
	i.t.Helper()
	live := os.Getenv("E2E_LIVE_IMAGE")
	if live == "" {
		i.t.Fatal("set E2E_LIVE_IMAGE to the development image (make image DEV=1) that the node has")
	}
	repository, tag, _ := strings.Cut(live, ":")
	i.helm(chart, "image.repository="+repository, "image.tag="+tag, "services.command={/rerun,/tmp/circle15,/circle15}",
		"services.tmpSize=512Mi", "services.replicas=1", "services.drainDelaySeconds=0")
	var pod string
	i.eventually("the one Pod of the development image", func() error {
		pods := strings.Fields(kubectl(i.t, "-n", namespace, "get", "pods", "-l", "circle15.dev/services=true", "-o", "name"))
		if len(pods) != 1 {
			return fmt.Errorf("%v: %w", pods, errNotYet)
		}
		pod = pods[0]
		return nil
	})
	run(i.t, i.archiveOfANewBinary("changed-by-hand"), "kubectl", "-n", namespace, "exec", "-i", pod, "-c", "circle15", "--",
		"tar", "-C", "/", "-x", "-f", "-")
	i.eventually("the new binary in the old Pod", func() error {
		logs, err := try("", "kubectl", "-n", namespace, "logs", pod)
		if err != nil || !strings.Contains(logs, `"version":"changed-by-hand"`) {
			return fmt.Errorf("%w, %w", errNotYet, err)
		}
		return nil
	})
	kubectl(i.t, "-n", namespace, "wait", pod, "--for=condition=Ready", "--timeout=30s")
	restarts := kubectl(i.t, "-n", namespace, "get", pod, "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
	if restarts != "0" {
		i.t.Errorf("the container restarted %s times", restarts)
	}
}

// archiveOfANewBinary compiles the services with another version, which they log, and packs them as Tilt does.
func (i *installation) archiveOfANewBinary(version string) string {
	i.t.Helper()
	binary := filepath.Join(i.t.TempDir(), "circle15")
	build := exec.CommandContext(i.t.Context(), "go", "build", "-trimpath",
		"-ldflags", "-s -w -X circle15.dev/internal/version.Version="+version, "-o", binary, "circle15.dev/services/cmd/circle15")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		i.t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		i.t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "tmp/circle15", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}); err != nil {
		i.t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		i.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		i.t.Fatal(err)
	}
	return archive.String()
}

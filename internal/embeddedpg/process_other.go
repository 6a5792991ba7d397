//go:build unix && !linux

package embeddedpg

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// serverAttributes puts the server into its own process group, so that Ctrl-C reaches only its parent, which drains
// first. There is no parent-death signal here: the next Start stops a server that was left behind.
func serverAttributes(who account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: who.credential()}
}

// isServerOf says whether the process pid is a server of the data folder, by its command line.
func isServerOf(pid int, data string) bool {
	out, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), data)
}

func throughDescriptor(int) (string, bool) { return "", false }
